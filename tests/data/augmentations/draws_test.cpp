// What augmentations draw: from which ranges, how often, and by which key.
#include "data/augmentations/color_jitter.h"
#include "data/augmentations/random_erasing.h"
#include "tests/support/catch.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <vector>

namespace bsq::test {
namespace {

constexpr AugmentKey kDrawKey{.seed = 7, .stream = 3, .epoch = 2};
constexpr int kPictures = 4800;

std::vector<int> words(const AugmentKey& key, std::int64_t number, std::uint32_t which, int count) {
  PictureDraws draws(key, number, which);
  std::vector<int> all;
  for (int i = 0; i < count; ++i) all.push_back(draws.below(1 << 30));
  return all;
}

}  // namespace

TEST_CASE("words of an augmentation are of seed, stream, epoch, picture and augmentation, and never those of crops") {
  const std::vector<int> expected = words(kDrawKey, 5, 1, 12);
  CHECK(words(kDrawKey, 5, 1, 12) == expected);
  CHECK(std::set<int>(expected.begin(), expected.end()).size() == 12);
  for (const AugmentKey& other : {AugmentKey{8, 3, 2}, {7, 4, 2}, {7, 3, 3}}) CHECK(words(other, 5, 1, 12) != expected);
  CHECK(words(kDrawKey, 6, 1, 12) != expected);
  CHECK(words(kDrawKey, 5, 2, 12) != expected);
  // Counters are (picture, epoch, stream, draw): of crops and flips they are below 1 << 16.
  const PhiloxCounter first = philox4x32({5, 2, 3, 1U << 16}, 7);
  CHECK(expected[1] == static_cast<int>(bounded_from_bits(first[1], 1U << 30)));
}

TEST_CASE("ColorJitter draws every order equally often, and factors from the whole of their ranges") {
  std::map<std::array<int, 4>, int> orders;
  std::array<double, 4> least, most, sums{};
  least.fill(9);
  most.fill(-9);
  for (int number = 0; number < kPictures; ++number) {
    PictureDraws draws(kDrawKey, number, 2);
    const ColorJitterDraw draw = draw_color_jitter({0.4, 1.5, 0, 0.1}, draws);
    ++orders[draw.order];
    for (std::size_t i = 0; i < 4; ++i) {
      least[i] = std::min(least[i], draw.factors[i]);
      most[i] = std::max(most[i], draw.factors[i]);
      sums[i] += draw.factors[i];
    }
  }
  CHECK(orders.size() == 24);
  for (const auto& [order, count] : orders) {
    CHECK(count > 130);  // 200 expected, 5 standard deviations
    CHECK(count < 270);
  }
  const std::array<double, 4> lowest = {0.6, 0, 1, -0.1}, highest = {1.4, 2.5, 1, 0.1};  // a factor is never negative
  for (std::size_t i = 0; i < 4; ++i) {
    INFO(i);
    const double range = highest[i] - lowest[i];
    CHECK(least[i] >= lowest[i]);
    CHECK(least[i] <= lowest[i] + 0.01 * range);
    CHECK(most[i] <= highest[i]);
    CHECK(most[i] >= highest[i] - 0.01 * range);
    CHECK(std::abs(sums[i] / kPictures - (lowest[i] + highest[i]) / 2) <= 0.03 * range);
  }
}

TEST_CASE("RandomErasing takes parts of torchvision's areas and sides, as often as it should, everywhere") {
  int erased = 0;
  double areas = 0;
  std::array<int, 4> edges{};  // that a part touches
  for (int number = 0; number < kPictures; ++number) {
    PictureDraws draws(kDrawKey, number, 3);
    const auto part = draw_erased_part(40, 60, 0.25, draws);
    if (!part) continue;
    ++erased;
    const double area = 1.0 * part->height * part->width / (40 * 60);
    const double ratio = 1.0 * part->height / part->width;
    const bool is_inside = part->top >= 0 && part->left >= 0 && part->top + part->height <= 40 &&
                           part->left + part->width <= 60 && part->height < 40 && part->width < 60;
    if (!is_inside || area < 0.017 || area > 0.345 || ratio < 0.25 || ratio > 3.9) FAIL(number << ": " << area);
    areas += area;
    edges[0] += part->top == 0;
    edges[1] += part->left == 0;
    edges[2] += part->top + part->height == 40;
    edges[3] += part->left + part->width == 60;
  }
  CHECK(erased > 1050);  // 1200 expected, 5 standard deviations
  CHECK(erased < 1350);
  CHECK(areas / erased > 0.15);  // those too high for the picture are drawn again: below 0.175
  CHECK(areas / erased < 0.18);
  CHECK(std::ranges::min(edges) > 10);
  PictureDraws draws(kDrawKey, 1, 3);
  CHECK_FALSE(draw_erased_part(40, 60, 0, draws));
  for (int number = 0; number < 100; ++number) {
    PictureDraws of_small(kDrawKey, number, 3);
    const auto part = draw_erased_part(1, 1, 1, of_small);
    CHECK((!part || part->height * part->width == 0));  // never the whole of a picture
  }
}

}  // namespace bsq::test
