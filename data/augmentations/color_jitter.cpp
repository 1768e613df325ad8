#include "data/augmentations/color_jitter.h"

#include "data/augmentations/color_operations.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace bsq {
namespace {

constexpr std::size_t kHue = 3;  // the last of them
constexpr double kLargestTurn = 0.5;

class ColorJitter final : public PictureAugmentation {
 public:
  explicit ColorJitter(std::vector<double> ranges) : ranges_(std::move(ranges)) {}

  void apply(const PictureView& picture, PictureDraws& draws) const override {
    constexpr std::array kAdjust = {adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue};
    const ColorJitterDraw draw = draw_color_jitter(ranges_, draws);
    for (const int next : draw.order) {
      const auto which = static_cast<std::size_t>(next);
      if (ranges_[which] > 0) kAdjust[which](picture, draw.factors[which]);
    }
  }

 private:
  std::vector<double> ranges_;
};

void check_color_jitter(const Config& config, std::vector<Conflict>& conflicts) {
  const std::vector<double>& ranges = config.part<ColorJitterConfig>().color_jitter;
  if (ranges[kHue] > kLargestTurn)
    conflicts.push_back({{"data.color_jitter"},
                         fmt::format("data.color_jitter = [{}]; the last number, of the hue, must be at most {}",
                                     fmt::join(ranges, ", "), kLargestTurn)});
}

}  // namespace

ColorJitterDraw draw_color_jitter(const std::vector<double>& ranges, PictureDraws& draws) {
  ColorJitterDraw draw{.order = {0, 1, 2, 3}, .factors = {}};
  for (int i = static_cast<int>(kHue); i > 0; --i)
    std::swap(draw.order[static_cast<std::size_t>(i)], draw.order[static_cast<std::size_t>(draws.below(i + 1))]);
  for (std::size_t i = 0; i < kHue; ++i) draw.factors[i] = draws.between(std::max(0.0, 1 - ranges[i]), 1 + ranges[i]);
  draw.factors[kHue] = draws.between(-ranges[kHue], ranges[kHue]);
  return draw;
}

void add_color_jitter_keys(ConfigSchema& schema) {
  constexpr double kLargestRange = 100;
  Allowed four = between(0, kLargestRange);
  four.length = kHue + 1;
  auto data = schema.part<ColorJitterConfig>("data");
  data.add("color_jitter", &ColorJitterConfig::color_jitter, four,
           "brightness, contrast, saturation and hue of training images, in random order, as torchvision's "
           "ColorJitter: factors from 1 - x to 1 + x, of the hue a turn of at most 0.5");
  schema.add_check("data", check_color_jitter);
}

std::unique_ptr<const PictureAugmentation> make_color_jitter(const Config& config) {
  const std::vector<double>& ranges = config.part<ColorJitterConfig>().color_jitter;
  if (std::ranges::all_of(ranges, [](double range) { return range == 0; })) return nullptr;
  return std::make_unique<ColorJitter>(ranges);
}

}  // namespace bsq
