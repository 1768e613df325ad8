#include "tools/export/verification.h"

#include "data/datasets.h"
#include "data/synthetic.h"
#include "engine/training/experiment.h"
#include "kernels/base/error.h"

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

std::vector<std::uint8_t> verified_pictures(const Dataset& images) {
  const std::size_t bytes = images.info().image_bytes();
  std::vector<std::uint8_t> pictures;
  for (int i = 0; i < verified_count(images); ++i) {
    pictures.resize(pictures.size() + bytes);
    images.read(i, std::span(pictures).last(bytes));
  }
  return pictures;
}

std::string accuracy_text(const EvaluationJob& job, Backend& backend, Console& console) {
  const Accuracies found = evaluate_model(job, backend, *make_single_process(), console);
  return fmt::format("top-1 of {} test images: {:.2f} % in integers, {:.2f} % with calibrated scales as trained",
                     found.deployed->samples, found.deployed->top1_percent(), found.calibrated->top1_percent());
}

std::string rounded_text(const std::vector<std::string>& rounded) {
  if (rounded.empty()) return {};
  return fmt::format("rounded to 127 levels to a side, by output channel: {}", fmt::join(rounded, ", "));
}

}  // namespace bsq
