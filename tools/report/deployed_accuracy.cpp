#include "tools/report/deployed_accuracy.h"

#include "data/datasets.h"
#include "engine/files/atomic_file.h"
#include "engine/files/json.h"
#include "engine/model/state_hash.h"
#include "kernels/base/thread_count.h"
#include "tools/session/deployed_model.h"
#include "tools/session/model_config.h"

#include <fmt/format.h>

#include <span>

namespace bsq {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

fs::path file_of(const RunReport& report) {
  return report.path / "deployed.json";
}

fs::path model_of(const RunReport& report) {
  return report.path / "checkpoints" / report.model / "model.safetensors";
}

std::string hash_of_model(const RunReport& report) {
  return hash_text(hash_of_tensors(read_safetensors(model_of(report))));
}

}  // namespace

std::optional<DeployedAccuracy> read_deployed_accuracy(const RunReport& report) {
  std::error_code ignored;
  const fs::path file = file_of(report);
  if (!report.config.quant.deployed || report.model.empty() || !fs::exists(file, ignored)) return std::nullopt;
  try {
    const nlohmann::json json = parse_json(read_text_file(file, ErrorKind::checkpoint));
    if (json.at("model_hash") != hash_of_model(report)) return std::nullopt;
    return DeployedAccuracy{.top1 = json.at("test_top1"),
                            .top5 = json.at("test_top5"),
                            .loss = json.at("test_loss"),
                            .rounded = json.at("rounded")};
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::checkpoint, "{}: {}; the file is damaged, remove it", file.string(), error.what());
  }
}

void measure_deployed_accuracy(const RunReport& report, const Config& opened, Console& console) {
  if (!report.config.quant.deployed || report.model.empty() || report.deployed) return;
  const OpenModel model = open_model(describe_model(read_safetensors(model_of(report))), quantizer_of(opened));
  const std::unique_ptr<const Dataset> images = open_test_set(opened);
  const std::optional<Deployment> deployment = deploy_by_own_ranges(model, network_for(model, images->info()), opened);
  if (!deployment) return;  // such as a stage in float
  console.info(fmt::format("evaluating checkpoints/{} in integers on {} test images", report.model, images->size()));
  const int threads = opened.threads > 0 ? opened.threads : default_threads().threads;
  const EvalResult result = evaluate_deployed(deployment->network, *images, threads);
  const ordered_json json = {{"model", report.model},
                             {"model_hash", hash_of_model(report)},
                             {"test_top1", result.top1_percent()},
                             {"test_top5", result.top5_percent()},
                             {"test_loss", result.loss()},
                             {"test_images", result.samples},
                             {"rounded", deployment->rounded}};
  const std::string text = json.dump(2) + "\n";
  write_file_atomically(file_of(report), std::as_bytes(std::span(text)));
}

}  // namespace bsq
