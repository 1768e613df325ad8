#include "tools/report/deployed_accuracy.h"

#include "data/datasets.h"
#include "engine/files/atomic_file.h"
#include "engine/files/json.h"
#include "engine/model/state_hash.h"
#include "kernels/base/error.h"
#include "kernels/base/thread_count.h"
#include "kernels/devices.h"
#include "tools/cli/signals.h"
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
  if (report.model.empty() || !fs::exists(file, ignored)) return std::nullopt;
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
  if (report.model.empty() || report.deployed) return;
  const OpenModel model = open_model(describe_model(read_safetensors(model_of(report))), quantizer_of(opened));
  const std::unique_ptr<const Dataset> images = open_test_set(opened);
  const Network network = network_for(model, images->info());
  if (!model.weights->is_quantized() || !deployment_obstacle(network, opened).empty()) return;
  console.info(fmt::format("evaluating checkpoints/{} in integers on {} test images", report.model, images->size()));
  const auto backend = make_backend(
      opened.device, {.threads = opened.threads, .allow_tf32 = opened.precision == name_of(Precision::tf32)});
  const Deployment deployment = deploy_model(model, model.weights, network, opened, *backend);
  const int threads = opened.threads > 0 ? opened.threads : default_threads().threads;
  ProgressLine progress(console, "in integers", images->size());
  const EvalResult result =
      evaluate_deployed(deployment.network, *images, *backend, threads, Arithmetic::integers, [&](std::int64_t done) {
        progress.update(done);
        if (stop_exit_code() != 0) fail(ErrorKind::usage, "stopped on request");
      });
  const ordered_json json = {{"model", report.model},
                             {"model_hash", hash_of_model(report)},
                             {"test_top1", result.top1_percent()},
                             {"test_top5", result.top5_percent()},
                             {"test_loss", result.loss()},
                             {"test_images", result.samples},
                             {"rounded", deployment.rounded}};
  const std::string text = json.dump(2) + "\n";
  write_file_atomically(file_of(report), std::as_bytes(std::span(text)));
}

}  // namespace bsq
