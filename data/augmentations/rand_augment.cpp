#include "data/augmentations/rand_augment.h"

#include "data/augmentations/color_operations.h"
#include "data/augmentations/geometric_operations.h"

#include <cmath>
#include <cstdlib>

namespace bsq {
namespace {

constexpr int kLargest = RandAugmentOperation::largest_magnitude;

/// The share of `end` that belongs to a magnitude, as torch.linspace rounds it: from both ends, in float.
double strength(double end, int magnitude) {
  const auto last = static_cast<float>(end);
  const float step = last / static_cast<float>(kLargest);
  const int steps = std::abs(magnitude);
  constexpr int kMiddle = (kLargest + 1) / 2;
  const float size = steps < kMiddle ? step * static_cast<float>(steps)
                                     : static_cast<float>(double{last} - double{step} * (kLargest - steps));
  return magnitude < 0 ? -double{size} : double{size};
}

constexpr double kLargestSlope = 0.3, kLargestAngle = 30, kLargestChange = 0.9;
constexpr double kLargestMove = 150.0 / 331;  // of the width, or height

/// Of a factor, which is 1 where nothing changes.
double factor_at(int magnitude) {
  return 1 + strength(kLargestChange, magnitude);
}

int posterized_bits(int magnitude) {
  constexpr double kMostDropped = 4;
  return 8 - static_cast<int>(std::nearbyint(magnitude * kMostDropped / kLargest));
}

class RandAugment final : public PictureAugmentation {
 public:
  RandAugment(int operations, int magnitude) : operations_(operations), magnitude_(magnitude) {}

  void apply(const PictureView& picture, PictureDraws& draws) const override {
    const std::vector<RandAugmentOperation>& all = rand_augment_operations();
    for (int i = 0; i < operations_; ++i) {
      const RandAugmentOperation& operation = all[static_cast<std::size_t>(draws.below(static_cast<int>(all.size())))];
      const bool goes_other_way = draws.below(2) == 1 && operation.is_signed;
      operation.apply(picture, goes_other_way ? -magnitude_ : magnitude_);
    }
  }

 private:
  int operations_;
  int magnitude_;
};

}  // namespace

const std::vector<RandAugmentOperation>& rand_augment_operations() {
  using View = PictureView;
  constexpr bool kSigned = true, kUnsigned = false;
  static const std::vector<RandAugmentOperation> table = {
      {"identity", kUnsigned, [](const View&, int) {}},
      {"shear_x", kSigned, [](const View& p, int m) { shear_rows(p, strength(kLargestSlope, m)); }},
      {"shear_y", kSigned, [](const View& p, int m) { shear_columns(p, strength(kLargestSlope, m)); }},
      {"translate_x", kSigned,
       [](const View& p, int m) { translate(p, static_cast<int>(strength(kLargestMove * p.width, m)), 0); }},
      {"translate_y", kSigned,
       [](const View& p, int m) { translate(p, 0, static_cast<int>(strength(kLargestMove * p.height, m))); }},
      {"rotate", kSigned, [](const View& p, int m) { rotate(p, strength(kLargestAngle, m)); }},
      {"brightness", kSigned, [](const View& p, int m) { adjust_brightness(p, factor_at(m)); }},
      {"color", kSigned, [](const View& p, int m) { adjust_saturation(p, factor_at(m)); }},
      {"contrast", kSigned, [](const View& p, int m) { adjust_contrast(p, factor_at(m)); }},
      {"sharpness", kSigned, [](const View& p, int m) { adjust_sharpness(p, factor_at(m)); }},
      {"posterize", kUnsigned, [](const View& p, int m) { posterize(p, posterized_bits(m)); }},
      {"solarize", kUnsigned, [](const View& p, int m) { solarize(p, 255 - 255.0 * m / kLargest); }},
      {"auto_contrast", kUnsigned, [](const View& p, int) { stretch_contrast(p); }},
      {"equalize", kUnsigned, [](const View& p, int) { equalize(p); }},
  };
  return table;
}

void add_policy_keys(ConfigSchema& schema) {
  constexpr int kMostOperations = 14;
  const auto is_rand_augment = [](const Config& config) {
    return config.part<PolicyConfig>().policy == "rand_augment";
  };
  auto data = schema.part<PolicyConfig>("data");
  data.add("policy", &PolicyConfig::policy, one_of({"none", "rand_augment"}),
           "operations that are drawn for every training image, as torchvision's RandAugment");
  data.add("rand_augment_ops", &PolicyConfig::rand_augment_ops, between(1, kMostOperations),
           "operations per image, one after the other")
      .applies = is_rand_augment;
  data.add("rand_augment_magnitude", &PolicyConfig::rand_augment_magnitude, between(0, kLargest),
           "how far each of them goes, in thirtieths of its most")
      .applies = is_rand_augment;
}

std::unique_ptr<const PictureAugmentation> make_policy(const Config& config) {
  const auto& policy = config.part<PolicyConfig>();
  if (policy.policy == "none") return nullptr;
  return std::make_unique<RandAugment>(policy.rand_augment_ops, policy.rand_augment_magnitude);
}

}  // namespace bsq
