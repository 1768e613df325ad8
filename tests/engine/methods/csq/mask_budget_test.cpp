// Masks that are switched where they harden: which ones, until when, and that doing it again changes nothing.
#include "engine/methods/csq/mask_budget.h"

#include "engine/model/bit_budget.h"
#include "tests/support/catch.h"
#include "tests/support/random_tensors.h"
#include "tests/support/tolerances.h"

#include <algorithm>

namespace bsq::test {
namespace {

std::vector<TensorMasks> two_tensors(std::vector<float> large, std::vector<float> small) {
  return {{.masks = std::move(large), .share = 0.8}, {.masks = std::move(small), .share = 0.2}};
}

}  // namespace

TEST_CASE("a span reaches from the first to the last mask above 0, and a tensor without any counts as a bit") {
  const auto bits = [](const std::vector<float>& masks, bool fixed = false, bool is_soft = false) {
    return span_of(masks, fixed, is_soft).bits;
  };
  CHECK(bits({-1, 2, -1, 3}) == 3);
  CHECK(span_of(std::vector<float>{-1, 2, -1, 3}, false).first == 1);
  CHECK(bits({1, 1}) == 2);
  CHECK(bits({-1, 0}) == 0);
  CHECK(bits({-1, 0}, false, true) == 1);
  CHECK(bits({-1, 0}, true) == 2);
  CHECK(average_bits(two_tensors({1, 1, 1}, {-1, 0})) == Approx(0.8 * 3 + 0.2));
}

TEST_CASE("above the target masks at the ends of spans are switched off, nearest to 0 first") {
  auto tensors = two_tensors({0.5F, 0.1F, 0.3F, 0.4F}, {0.2F, 0.9F, 0.6F, 0.7F});
  // 0.2 of the small tensor; then 0.4 of the large one, since 0.1 and 0.3 lie within; 0.3; 0.1
  const SwitchedMasks switched = settle_masks(tensors, 1.4);
  CHECK(tensors[1].masks == std::vector<float>{-0.2F, 0.9F, 0.6F, 0.7F});
  CHECK(tensors[0].masks == std::vector<float>{0.5F, -0.1F, -0.3F, -0.4F});
  CHECK(switched.off == 4);
  CHECK(switched.on == 0);
  CHECK(average_bits(tensors) == Approx(0.8 + 0.6));
}

TEST_CASE("an end behind a gap goes with the gap, and the last plane of a tensor stays") {
  auto gap = two_tensors({0.9F, -0.5F, -0.5F, 0.1F}, {0.5F});
  settle_masks(gap, 1);
  CHECK(gap[0].masks == std::vector<float>{0.9F, -0.5F, -0.5F, -0.1F});
  CHECK(gap[1].masks == std::vector<float>{0.5F});
  CHECK(average_bits(gap) == Approx(1));
  auto nothing = two_tensors({0.9F}, {0.5F});
  CHECK(settle_masks(nothing, 0.5).off == 0);
}

TEST_CASE("below the target masks beside spans are switched on, those of tensors that have any") {
  auto tensors = two_tensors({-0.5F, 0.1F, -0.3F}, {-0.1F, -0.2F, -0.3F});
  const SwitchedMasks switched = settle_masks(tensors, 2.6);
  CHECK(tensors[0].masks == std::vector<float>{0.5F, 0.1F, 0.3F});
  CHECK(tensors[1].masks == std::vector<float>{-0.1F, -0.2F, -0.3F});
  CHECK(switched.on == 2);
  auto at_zero = two_tensors({0, 0.1F}, {1});
  settle_masks(at_zero, 1.8);
  CHECK(at_zero[0].masks[0] > 0);
}

TEST_CASE("fixed tensors stay, the average ends nearest to the target, and doing it again changes nothing") {
  for (int trial = 0; trial < 50; ++trial) {
    RandomTensors random("masks " + std::to_string(trial));
    std::vector<TensorMasks> tensors;
    double largest = 0;
    for (int i = 0; i < 9; ++i) {
      tensors.push_back({.masks = random.normal(8, 0.05F, 0.3F), .share = (1 + i % 5) / 25.0, .fixed = i == 4});
      if (i != 4) largest = std::max(largest, tensors.back().share);
    }
    const std::vector<float> fixed = tensors[4].masks;
    const double target = 2.5 + trial % 4;
    settle_masks(tensors, target);
    INFO(trial << ": " << average_bits(tensors));
    CHECK(tensors[4].masks == fixed);
    CHECK(budget_distance(average_bits(tensors), target) < largest / 2);
    const std::vector<TensorMasks> before = tensors;
    const SwitchedMasks again = settle_masks(tensors, target);
    CHECK(again.off + again.on == 0);
    for (std::size_t i = 0; i < tensors.size(); ++i) CHECK(tensors[i].masks == before[i].masks);
  }
}

}  // namespace bsq::test
