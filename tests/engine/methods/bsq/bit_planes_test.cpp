// The bit-plane algebra: every rule of METHOD 4 by a case small enough to check by hand, and the conversions.
// Weights are compared bit for bit unless a scale is rescaled; then float32 rounds a few times and 1e-6 relative holds.
#include "engine/methods/bsq/bit_planes.h"

#include "kernels/base/error.h"
#include "tests/support/catch.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

namespace bsq {
namespace {

/// Planes that hold exactly these levels.
BitPlanes planes_of(int bits, float scale, const std::vector<int>& levels) {
  const auto numel = static_cast<std::int64_t>(levels.size());
  BitPlanes planes{bits, scale, numel, {}, {}};
  for (int plane = 0; plane < bits; ++plane) {
    for (const int level : levels) {
      const auto bit = static_cast<float>((std::abs(level) >> (bits - 1 - plane)) & 1);
      planes.p.push_back(level > 0 ? bit : 0.0F);
      planes.n.push_back(level < 0 ? bit : 0.0F);
    }
  }
  return planes;
}

/// Planes as training leaves them: anything in [0, largest].
BitPlanes random_planes(int bits, std::size_t numel, float largest, unsigned seed) {
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> value(0.0F, largest);
  BitPlanes planes{bits, 0.75F, static_cast<std::int64_t>(numel), {}, {}};
  for (std::size_t i = 0; i < numel * static_cast<std::size_t>(bits); ++i) {
    planes.p.push_back(value(generator));
    planes.n.push_back(value(generator));
  }
  return planes;
}

std::vector<float> random_weights(std::size_t numel, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> value(0.0F, 0.05F);
  std::vector<float> weights(numel);
  for (float& weight : weights) weight = value(generator);
  return weights;
}

/// The largest difference over the largest expected value.
double relative_error(const std::vector<float>& actual, const std::vector<float>& expected) {
  REQUIRE(actual.size() == expected.size());
  double difference = 0;
  double magnitude = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    difference = std::max(difference, std::abs(static_cast<double>(actual[i]) - static_cast<double>(expected[i])));
    magnitude = std::max(magnitude, std::abs(static_cast<double>(expected[i])));
  }
  return magnitude > 0 ? difference / magnitude : difference;
}

void check_holds(const BitPlanes& planes, int bits, const std::vector<int>& levels) {
  const BitPlanes expected = planes_of(bits, 1.0F, levels);
  CHECK(planes.bits == bits);
  CHECK(planes.p == expected.p);
  CHECK(planes.n == expected.n);
}

template <typename Function>
void check_diverged(Function function, const std::string& text) {
  try {
    function();
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::diverged);
    CHECK_THAT(error.what(), Catch::Matchers::Contains(text));
  }
}

}  // namespace

TEST_CASE("a float weight becomes the bits of its level, in the plane of its sign") {
  // max 3, 2 bits: levels are the weights themselves; 0.5 and 1.5 are ties and go to the even level.
  const std::vector<float> weights = {3, -2, 1, 0, 0.5F, -1.5F};
  const BitPlanes planes = planes_from_float(weights, 2);
  CHECK(planes.scale == 3.0F);
  CHECK(planes.numel == 6);
  check_holds(planes, 2, {3, -2, 1, 0, 0, -2});
  CHECK(effective_weights(planes) == std::vector<float>{3, -2, 1, 0, 0, -2});
}

TEST_CASE("conversion to planes is off by half a level at most, and keeps what is on the grid") {
  const int bits = GENERATE(1, 2, 3, 5, 8);
  const std::vector<float> weights = random_weights(1000, 1);
  const BitPlanes planes = planes_from_float(weights, bits);
  const std::vector<float> effective = effective_weights(planes);
  const float half_level = 0.5F * planes.scale / static_cast<float>((1 << bits) - 1);
  float worst = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) worst = std::max(worst, std::abs(weights[i] - effective[i]));
  CHECK(worst <= half_level * 1.00001F);  // the division by s and the product with it round in float32

  const BitPlanes again = planes_from_float(effective, bits);
  CHECK(again.scale == planes.scale);  // the largest weight is s times 1
  CHECK(again.p == planes.p);
  CHECK(again.n == planes.n);
}

TEST_CASE("a tensor of zeros has empty planes and scale 0") {
  const BitPlanes planes = planes_from_float(std::vector<float>(5), 3);
  CHECK(planes.scale == 0);
  CHECK(is_empty(planes));
  CHECK(effective_weights(planes) == std::vector<float>(5));
}

TEST_CASE("the effective weight clamps the sum of the planes to -1 .. 1 and rounds half to even") {
  // One bit: u = p - n. 2 is clamped to 1; 0.5 is a tie and becomes 0; so does -0.5; 0.75 becomes 1.
  BitPlanes planes{1, 4.0F, 5, {2, 0, 0.5F, 0, 0.75F}, {0, 1.75F, 0, 0.5F, 0}};
  CHECK(effective_weights(planes) == std::vector<float>{4, -4, 0, 0, 4});
}

TEST_CASE("density counts the entries of a plane that do not cancel") {
  const BitPlanes planes{2, 1.0F, 4, {1, 0, 0.5F, 0, 1, 1, 0, 0}, {0, 0, 0.5F, 0, 0, 0, 1, 1}};
  CHECK(plane_density_percent(planes) == std::vector<double>{25.0, 100.0});
  CHECK_FALSE(is_empty(planes));
  CHECK(is_empty({1, 1.0F, 2, {0.5F, 0}, {0.5F, 0}}));
}

TEST_CASE("re-quantization turns planes into bits and keeps weights bit for bit") {
  const int bits = GENERATE(1, 2, 3, 4, 5, 6, 7, 8);
  // Planes up to 0.5 keep |u| below 1: nothing grows, nothing is clamped.
  BitPlanes planes = random_planes(bits, 500, 0.5F, 2);
  const std::vector<float> before = effective_weights(planes);
  requantize(planes, 8);
  CHECK(planes.bits == bits);
  CHECK(planes.scale == 0.75F);
  for (const std::vector<float>* side : {&planes.p, &planes.n}) {
    CHECK(std::all_of(side->begin(), side->end(), [](float value) { return value == 0 || value == 1; }));
  }
  CHECK(effective_weights(planes) == before);

  const BitPlanes once = planes;
  requantize(planes, 8);
  CHECK(planes.p == once.p);
  CHECK(planes.n == once.n);
}

TEST_CASE("re-quantization below the limit grows by one bit where a level does not fit") {
  // 2 bits, c = 2/3, 1/3. Levels: 2*2 + 1 = 5 (does not fit), -2, 1.
  BitPlanes planes{2, 3.0F, 3, {2, 0, 0, 1, 0, 1}, {0, 1, 0, 0, 0, 0}};
  requantize(planes, 8);
  check_holds(planes, 3, {5, -2, 1});
  CHECK(planes.scale == 7.0F);  // 3 * 7 / 3
  CHECK(relative_error(effective_weights(planes), {5, -2, 1}) < 1e-6);
}

TEST_CASE("re-quantization at the limit clamps the levels and keeps the scale") {
  const int bits = GENERATE(2, 8);
  BitPlanes planes = planes_of(bits, 3.0F, {1, -1});
  planes.p[0] = 2.0F;  // a most significant bit of 2 is more than fits
  planes.n[1] = 2.0F;
  const std::vector<float> before = effective_weights(planes);
  requantize(planes, bits);
  const int largest = (1 << bits) - 1;
  check_holds(planes, bits, {largest, -largest});
  CHECK(planes.scale == 3.0F);
  CHECK(effective_weights(planes) == before);
}

TEST_CASE("a most significant plane without entries is dropped, whatever the threshold") {
  const double threshold = GENERATE(0.0, 1.0);
  BitPlanes planes = planes_of(4, 15.0F, {3, -1, 2, 0});
  adjust_precision(planes, threshold);
  check_holds(planes, 2, {3, -1, 2, 0});
  CHECK(planes.scale == 3.0F);  // 15 * 3 / 15
}

TEST_CASE("empty planes between others stay") {
  BitPlanes planes = planes_of(3, 7.0F, {5, -5, 1, 4});
  adjust_precision(planes, 0.0);
  check_holds(planes, 3, {5, -5, 1, 4});
  CHECK(planes.scale == 7.0F);
}

TEST_CASE("a most significant plane below the threshold is added to those that stay, clipped at 1") {
  // Plane 0 holds one entry of four (25 %), the others two. 4 becomes 0 + 3 = 3; 1 loses nothing.
  BitPlanes planes = planes_of(3, 7.0F, {-4, 3, 3, 0});
  adjust_precision(planes, 30.0);
  check_holds(planes, 2, {-3, 3, 3, 0});
  CHECK(planes.scale == 3.0F);

  BitPlanes clipped = planes_of(3, 7.0F, {7, 3, 0, 0});  // 4 is added to planes that hold 3 already
  adjust_precision(clipped, 30.0);
  check_holds(clipped, 2, {3, 3, 0, 0});
}

TEST_CASE("a plane exactly at the threshold stays at the top and goes at the bottom") {
  BitPlanes planes = planes_of(3, 7.0F, {4, 2, 2, 1});  // densities 25, 50, 25
  adjust_precision(planes, 25.0);
  check_holds(planes, 2, {2, 1, 1, 0});
  CHECK(planes.scale == 6.0F);  // 7 * 2 * 3 / 7
}

TEST_CASE("of several planes below the threshold only the last one's contribution stays") {
  // Densities 10, 10, 20, 20 of ten weights: 8 in the first, 4 in the second, both dropped; only the 4 is added.
  BitPlanes planes = planes_of(4, 15.0F, {8, -4, 3, 3, 0, 0, 0, 0, 0, 0});
  adjust_precision(planes, 15.0);
  check_holds(planes, 2, {0, -3, 3, 3, 0, 0, 0, 0, 0, 0});
  CHECK(planes.scale == 3.0F);
}

TEST_CASE("an empty plane below a sparse one takes its contribution along") {
  BitPlanes planes = planes_of(4, 15.0F, {8, 3, 3, 0, 0, 0, 0, 0, 0, 0});  // densities 10, 0, 20, 20
  adjust_precision(planes, 15.0);
  check_holds(planes, 2, {0, 3, 3, 0, 0, 0, 0, 0, 0, 0});
}

TEST_CASE("where a sparse plane is added to the only one left, the sum is not clipped but counts as 1") {
  BitPlanes planes = planes_of(2, 3.0F, {3, 1, -1, 0});  // densities 25, 75
  adjust_precision(planes, 30.0);
  CHECK(planes.bits == 1);
  CHECK(planes.p == std::vector<float>{2, 1, 0, 0});
  CHECK(planes.n == std::vector<float>{0, 0, 1, 0});
  CHECK(planes.scale == 1.0F);
  CHECK(effective_weights(planes) == std::vector<float>{1, 1, -1, 0});
}

TEST_CASE("empty least significant planes are dropped and the scale follows") {
  BitPlanes planes = planes_of(4, 15.0F, {12, -4, 8, 0});
  const std::vector<float> before = effective_weights(planes);
  adjust_precision(planes, 0.0);
  check_holds(planes, 2, {3, -1, 2, 0});
  CHECK(planes.scale == 12.0F);  // 15 * 2 * 2 * 3 / 15
  CHECK(relative_error(effective_weights(planes), before) < 1e-6);
}

TEST_CASE("the least significant side sees the densities after the drop at the top") {
  // Densities 10, 20, 10. At 15 % the 4 goes and is added to both planes below: the last one, now at 20 %, stays.
  BitPlanes planes = planes_of(3, 7.0F, {4, 2, 2, 1, 0, 0, 0, 0, 0, 0});
  adjust_precision(planes, 15.0);
  check_holds(planes, 2, {3, 2, 2, 1, 0, 0, 0, 0, 0, 0});
  CHECK(planes.scale == 3.0F);
}

TEST_CASE("adjustment stops at one bit") {
  const double threshold = GENERATE(0.0, 100.0);
  BitPlanes planes = planes_of(5, 31.0F, {0, 0, 0});
  adjust_precision(planes, threshold);
  check_holds(planes, 1, {0, 0, 0});
  CHECK(planes.scale == 1.0F);
  adjust_precision(planes, threshold);  // one bit is left alone
  check_holds(planes, 1, {0, 0, 0});
  CHECK(planes.scale == 1.0F);
}

TEST_CASE("without a threshold re-quantization and adjustment keep the effective weights") {
  const int bits = GENERATE(1, 2, 3, 4, 5, 6, 7, 8);
  const float largest = GENERATE(0.02F, 0.3F, 0.5F);
  BitPlanes planes = random_planes(bits, 300, largest, 3);
  const std::vector<float> before = effective_weights(planes);
  requantize(planes, 8);
  adjust_precision(planes, 0.0);
  CHECK(relative_error(effective_weights(planes), before) < 1e-6);
}

TEST_CASE("what is not a number does not become bits") {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float infinity = std::numeric_limits<float>::infinity();
  check_diverged([&] { planes_from_float(std::vector<float>{1, nan}, 4); }, "a weight is nan");
  check_diverged([&] { planes_from_float(std::vector<float>{1, -infinity}, 4); }, "a weight is -inf");
  BitPlanes planes = planes_of(2, 1.0F, {1, 2});
  planes.p[0] = nan;
  check_diverged([&] { requantize(planes, 8); }, "a weight is nan times the scale");
  check_diverged([&] { effective_weights(planes); }, "a weight is nan times the scale");
}

}  // namespace bsq
