// Between bit planes and fixed-point weights: the same weights, bit for bit, through the levels they share.
#include "engine/methods/bsq/stored_planes.h"

#include "engine/methods/fixed_point/stored_fixed_point.h"
#include "tests/engine/methods/store_support.h"

namespace bsq::test {
namespace {

std::vector<float> weights_of(const FixedPoint& tensor) {
  return StoredFixedPoint({tensor}).values(0);
}
FixedPoint fixed_from(const BitPlanes& planes) {
  return to_fixed(std::vector<BitPlanes>{planes}).front();
}
BitPlanes planes_from(const FixedPoint& tensor) {
  return to_planes(std::vector<FixedPoint>{tensor}).front();
}

}  // namespace

TEST_CASE("planes and fixed point hold the same weights, bit for bit, there and back") {
  const int bits = GENERATE(1, 2, 3, 4, 5, 6, 7, 8);
  const BitPlanes planes =
      trained_planes("there and back", bits, 300, 0.37F);  // beyond the clamp of the forward pass too
  const std::vector<float> weights = effective_weights(planes);
  const FixedPoint fixed = fixed_from(planes);
  CHECK(fixed.bits == bits);
  CHECK(fixed.scale == planes.scale);
  CHECK(weights_of(fixed) == weights);

  const BitPlanes back = planes_from(fixed);
  CHECK(effective_weights(back) == weights);
  const FixedPoint again = fixed_from(back);
  CHECK(again.bits == bits);
  CHECK(again.u == fixed.u);
}

TEST_CASE("a fixed-point weight off the grid and its planes are the same weight") {
  const FixedPoint fixed{3, 0.7F, {0.999F, -0.2F, 0.07F, 1.0F, -1.0F, 0.5F}};
  const BitPlanes planes = planes_from(fixed);
  CHECK(planes.bits == 3);
  CHECK(integer_levels(planes) == std::vector<int>{7, -1, 0, 7, -7, 4});  // 0.5 * 7 = 3.5 is a tie and goes to 4
  CHECK(effective_weights(planes) == weights_of(fixed));
}

TEST_CASE("empty planes become 0 bits, and 0 bits one empty plane") {
  const FixedPoint fixed = fixed_from(planes_from_levels(symmetric_levels(3, 0.7F, {0, 0})));
  CHECK(fixed.bits == 0);
  CHECK(fixed.scale == 0.7F);
  CHECK(fixed.u == std::vector<float>{0, 0});
  CHECK(weights_of({0, 0.7F, {0.5F, 1.0F}}) == std::vector<float>{0, 0});

  const BitPlanes planes = planes_from(fixed);
  CHECK(planes.bits == 1);
  CHECK(planes.scale == 0.7F);
  CHECK(is_empty(planes));
}

TEST_CASE("a scale comes back from the unit of its levels, bit for bit") {
  RandomTensors random("scales");
  for (const float scale : random.uniform(1000, 1e-6F, 3.0F))
    for (int bits = 0; bits <= kMaxBits; ++bits) CHECK(scale_of(symmetric_levels(bits, scale, {})) == scale);
  for (const float scale : {0.0F, -0.3F, 1e-38F, 3e38F})
    for (int bits = 0; bits <= kMaxBits; ++bits) CHECK(scale_of(symmetric_levels(bits, scale, {})) == scale);
}

}  // namespace bsq::test
