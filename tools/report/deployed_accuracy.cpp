#include "tools/report/deployed_accuracy.h"

#include "data/datasets.h"
#include "engine/files/atomic_file.h"
#include "engine/files/json.h"
#include "kernels/base/thread_count.h"
#include "tools/session/deployed_model.h"
#include "tools/session/model_config.h"
#include "tools/session/run_files.h"

#include <fmt/format.h>

#include <span>

namespace bsq {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

fs::path file_of(const RunReport& report) {
  return report.path / "deployed.json";
}

}  // namespace

std::optional<DeployedAccuracy> read_deployed_accuracy(const RunReport& report) {
  std::error_code ignored;
  const fs::path file = file_of(report);
  if (!fs::exists(file, ignored)) return std::nullopt;
  try {
    const nlohmann::json json = parse_json(read_text_file(file, ErrorKind::checkpoint));
    if (json.at("model") != report.model) return std::nullopt;
    return DeployedAccuracy{.top1 = json.at("test_top1"),
                            .top5 = json.at("test_top5"),
                            .loss = json.at("test_loss"),
                            .rounded = json.at("rounded")};
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::checkpoint, "{}: {}; the file is damaged, remove it", file.string(), error.what());
  }
}

void measure_deployed_accuracy(const RunReport& report) {
  if (!report.config.quant.deployed || report.model.empty() || read_deployed_accuracy(report)) return;
  const Config config = with_paths_of(report.path, report.config, {});
  ModelFile file = describe_model(read_safetensors(report.path / "checkpoints" / report.model / "model.safetensors"));
  const OpenModel model = open_model(std::move(file), quantizer_of(config));
  const std::unique_ptr<const Dataset> images = open_test_set(config);
  const std::optional<Deployment> deployment = deploy_by_own_ranges(model, network_for(model, images->info()), config);
  if (!deployment) return;  // such as a stage in float
  const int threads = config.threads > 0 ? config.threads : default_threads().threads;
  const EvalResult result = evaluate_deployed(deployment->network, *images, threads);
  const ordered_json json = {
      {"model", report.model},      {"test_top1", result.top1_percent()}, {"test_top5", result.top5_percent()},
      {"test_loss", result.loss()}, {"test_images", result.samples},      {"rounded", deployment->rounded}};
  const std::string text = json.dump(2) + "\n";
  write_file_atomically(file_of(report), std::as_bytes(std::span(text)));
}

}  // namespace bsq
