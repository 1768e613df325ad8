#include "tools/export/verification.h"

#include "data/datasets.h"
#include "data/picture_set.h"
#include "data/synthetic.h"
#include "engine/input/gray.h"
#include "engine/input/image_set.h"
#include "kernels/base/error.h"
#include "kernels/devices.h"

#include <fmt/ranges.h>

#include <algorithm>

namespace bsq {
namespace {

constexpr std::int64_t kVerifiedImages = 32;
constexpr int kSyntheticImages = 100;  // a few of every class

/// Synthetic images, without their colours for a gray model.
std::unique_ptr<const Dataset> stand_ins(const Config& config) {
  auto coloured = synthesize(config.seed, SyntheticSplit::test, kSyntheticImages);
  if (config.data.channels == 3) return coloured;
  auto gray = std::make_unique<ImageSet>(coloured->info());
  gray->images.channels = 1;
  std::vector<std::uint8_t> rgb(coloured->info().image_bytes());
  for (std::int64_t i = 0; i < coloured->size(); ++i) {
    coloured->read(i, rgb);
    gray->labels.push_back(coloured->label(i));
    gray->pixels.resize(gray->pixels.size() + gray->images.image_bytes());
    make_gray(rgb, gray->pixels.data() + i * static_cast<std::int64_t>(gray->images.image_bytes()));
  }
  return gray;
}

}  // namespace

VerificationImages verification_images(const Config& config, Console& console) {
  if (config.data.channels == 1 && !has_pictures(config))  // of a gray model, and no data is said
    return {stand_ins(config), "synthetic images", true};
  try {
    return {open_test_set(config), "test images of " + config.data.kind};
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    console.warning(fmt::format("{}; verified on synthetic images instead", error.what()));
  }
  return {stand_ins(config), "synthetic images", true};
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
