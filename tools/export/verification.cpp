#include "tools/export/verification.h"

#include "data/datasets.h"
#include "data/synthetic.h"
#include "kernels/base/error.h"
#include "kernels/devices.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace bsq {
namespace {

constexpr std::int64_t kVerifiedImages = 32;
constexpr int kSyntheticImages = 100;  // a few of every class

}  // namespace

VerificationImages verification_images(const Config& config, Console& console) {
  try {
    return {open_test_set(config), "test images of " + config.data.kind};
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    console.warning(fmt::format("{}; verified on synthetic images instead", error.what()));
  }
  return {synthesize(config.seed, SyntheticSplit::test, kSyntheticImages), "synthetic images", true};
}

int verified_count(const Dataset& images) {
  return static_cast<int>(std::min(images.size(), kVerifiedImages));
}

std::vector<std::uint8_t> first_pictures(const Dataset& images, int count) {
  const std::size_t bytes = images.info().image_bytes();
  std::vector<std::uint8_t> pictures(static_cast<std::size_t>(count) * bytes);
  for (int i = 0; i < count; ++i)
    images.read(i, std::span(pictures).subspan(static_cast<std::size_t>(i) * bytes, bytes));
  return pictures;
}

std::string accuracy_text(const ExportJob& job, const DeployedNetwork& network, Arithmetic arithmetic,
                          const Dataset& images, Console& console) {
  const auto backend = make_backend("cpu", {.threads = job.config.threads});
  const Accuracies found = evaluate_model({.model = job.model,
                                           .weights = job.model.weights,
                                           .config = job.config,
                                           .images = images,
                                           .deployed = &network,
                                           .arithmetic = arithmetic},
                                          *backend, *make_single_process(), console);
  return fmt::format("top-1 of {} test images: {:.2f} % in integers, {:.2f} % {}as trained", found.deployed->samples,
                     found.deployed->top1_percent(), found.calibrated.value_or(found.trained).top1_percent(),
                     found.calibrated ? "with calibrated scales " : "");
}

std::string rounded_text(const Deployment& deployment) {
  return fmt::format("rounded to 127 levels to a side, by output channel: {}", fmt::join(deployment.rounded, ", "));
}

}  // namespace bsq
