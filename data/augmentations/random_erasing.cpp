#include "data/augmentations/random_erasing.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace bsq {
namespace {

using Color = std::vector<std::uint8_t>;  // [channels]

class RandomErasing final : public PictureAugmentation {
 public:
  RandomErasing(double probability, Color color) : probability_(probability), color_(std::move(color)) {}

  void apply(const PictureView& picture, PictureDraws& draws) const override {
    const auto part = draw_erased_part(picture.height, picture.width, probability_, draws);
    if (!part) return;
    for (int y = part->top; y < part->top + part->height; ++y) {
      const std::ptrdiff_t first = std::ptrdiff_t{y} * picture.width + part->left;
      for (std::ptrdiff_t place = first; place < first + part->width; ++place)
        std::ranges::copy(color_, picture.pixels.begin() + place * picture.channels);
    }
  }

 private:
  double probability_;
  Color color_;
};

}  // namespace

std::optional<ErasedPart> draw_erased_part(int height, int width, double probability, PictureDraws& draws) {
  constexpr int kTries = 10;
  constexpr double kLeastArea = 0.02, kMostArea = 0.33, kLeastRatio = 0.3, kMostRatio = 3.3;
  if (draws.between(0, 1) >= probability) return {};
  const double all = static_cast<double>(height) * width;
  for (int i = 0; i < kTries; ++i) {
    const double area = all * draws.between(kLeastArea, kMostArea);
    const double ratio = std::exp(draws.between(std::log(kLeastRatio), std::log(kMostRatio)));
    const auto rows = static_cast<int>(std::nearbyint(std::sqrt(area * ratio)));
    const auto columns = static_cast<int>(std::nearbyint(std::sqrt(area / ratio)));
    if (rows >= height || columns >= width) continue;
    const int top = draws.below(height - rows + 1), left = draws.below(width - columns + 1);
    return ErasedPart{top, left, rows, columns};
  }
  return {};
}

void add_random_erasing_keys(ConfigSchema& schema) {
  auto data = schema.part<RandomErasingConfig>("data");
  data.add("random_erasing", &RandomErasingConfig::random_erasing, between(0, 1),
           "probability that a random rectangle of a training image gets the mean colour, as of torchvision's "
           "RandomErasing; 0 = off");
}

std::unique_ptr<const PictureAugmentation> make_random_erasing(const Config& config) {
  const double probability = config.part<RandomErasingConfig>().random_erasing;
  if (probability == 0) return nullptr;
  Color color;
  for (const double mean : config.data.mean) color.push_back(static_cast<std::uint8_t>(std::nearbyint(mean * 255)));
  return std::make_unique<RandomErasing>(probability, std::move(color));
}

}  // namespace bsq
