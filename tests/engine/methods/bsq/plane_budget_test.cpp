// Which planes a budget keeps and takes away.
#include "engine/methods/bsq/plane_budget.h"

#include "engine/model/bit_summary.h"

#include "tests/engine/methods/store_support.h"
#include "tests/support/config.h"

namespace bsq::test {
namespace {

/// Three tensors of 225, 21 and 3 weights, 249 in all.
ArenaLayout budget_layout() {
  return store_layout();
}

BitPlanes planes_with_levels(int bits, std::vector<int> k, float scale = 1) {
  return planes_from_levels(symmetric_levels(bits, scale, std::move(k)));
}

/// Levels `most`, 1, -2, 3, ..., of which all but the first are times `step`.
std::vector<int> some_levels(std::int64_t numel, int most, int step = 1) {
  std::vector<int> k(static_cast<std::size_t>(numel));
  for (std::size_t i = 0; i < k.size(); ++i)
    k[i] = step * (static_cast<int>(i) % (most / step + 1)) * (i % 2 == 0 ? -1 : 1);
  k[0] = most;
  return k;
}

std::vector<int> widths_of(const std::vector<BitPlanes>& planes) {
  std::vector<int> bits;
  for (const BitPlanes& tensor : planes) bits.push_back(tensor.bits);
  return bits;
}

double bits_of_widths(const std::vector<int>& widths) {
  return (225.0 * widths[0] + 21.0 * widths[1] + 3.0 * widths[2]) / 249;
}

}  // namespace

TEST_CASE("a budget in stored bits is one in planes: a sign per weight and a scale per tensor are always there") {
  ArenaLayout layout = budget_layout();
  BudgetConfig options{.budget_bits = 4, .budget_count = "published"};
  CHECK(options.budget().target(layout) == 4);
  options.budget_count = "stored";
  CHECK(options.budget().target(layout) == Approx(4 - 1 - 32 * 3 / 249.0));
  // What reports count of planes that are not empty.
  std::vector<BitPlanes> planes;
  for (const ParameterSlot& slot : layout.slots)
    planes.push_back(planes_with_levels(3, some_levels(numel_of(slot), 7)));
  const BitSummary summary = summarize_bits(StoredPlanes(planes), layout, 0);
  CHECK(average_bits({}, planes, layout) == Approx(summary.bits_per_parameter()));
  CHECK(average_bits({}, planes, layout) + options.budget().beside(layout) ==
        Approx(summary.stored_bits_per_parameter()));

  CHECK(BitBudget{}.least(layout) == 1);
  layout.slots[1].spec.widths = {.start = 8, .most = 8, .fixed = true};
  CHECK(BitBudget{}.least(layout) == Approx(bits_of_widths({1, 8, 1})));
}

TEST_CASE("without its least significant plane a tensor has half the levels, each rounded to the nearest") {
  BitPlanes planes = planes_with_levels(3, {0, 1, 2, 3, 4, 5, 6, 7, -1, -3, -7}, 0.7F);
  const std::vector<float> before = effective_weights(planes);
  const double cost = removal_cost(planes);
  remove_least_significant(planes);
  CHECK(planes.bits == 2);
  CHECK(integer_levels(planes) == std::vector<int>{0, 0, 1, 2, 2, 2, 3, 3, 0, -2, -3});
  const std::vector<float> after = effective_weights(planes);
  CHECK(after[2] == Approx(before[2]));
  CHECK(after[6] == Approx(before[6]));
  double change = 0, squares = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    change += std::pow(double{after[i]} - double{before[i]}, 2);
    squares += std::pow(double{before[i]}, 2);
  }
  CHECK(change / squares == Approx(cost));
  CHECK(removal_cost(planes_with_levels(2, {0, 0, 0})) == 0);
}

TEST_CASE("planes are taken away where that changes the weights least, until the average is nearest to the budget") {
  const ArenaLayout layout = budget_layout();
  const auto start = [&] {
    return std::vector<BitPlanes>{planes_with_levels(5, some_levels(225, 31)),
                                  planes_with_levels(6, some_levels(21, 63)),
                                  planes_with_levels(4, some_levels(3, 15))};
  };
  for (const double target : {4.9, 4.5, 4.0, 3.2, 2.0, 1.3}) {
    INFO("budget " << target);
    std::vector<BitPlanes> planes = start(), expected = start();
    const std::vector<int> removed = remove_planes(planes, layout, {}, target);
    // The same by the rule, written out.
    const auto distance = [&](const std::vector<BitPlanes>& of) {
      return std::max(0.0, std::abs(bits_of_widths(widths_of(of)) - target) - 0.005);
    };
    for (bool goes_on = true; goes_on;) {
      std::vector<BitPlanes> best;
      double least = 0;
      for (std::size_t slot = 0; slot < 3; ++slot) {
        if (expected[slot].bits == 1) continue;
        std::vector<BitPlanes> tried = expected;
        remove_least_significant(tried[slot]);
        if (distance(tried) >= distance(expected)) continue;
        const auto old = effective_weights(expected[slot]), now = effective_weights(tried[slot]);
        double change = 0, squares = 0;
        for (std::size_t i = 0; i < old.size(); ++i) {
          change += std::pow(double{now[i]} - double{old[i]}, 2);
          squares += std::pow(double{old[i]}, 2);
        }
        const double cost = change / squares / static_cast<double>(old.size());
        if (!best.empty() && cost >= least) continue;
        best = tried;
        least = cost;
      }
      goes_on = !best.empty();
      if (goes_on) expected = best;
    }
    CHECK(widths_of(planes) == widths_of(expected));
    for (std::size_t slot = 0; slot < 3; ++slot) CHECK(start()[slot].bits - planes[slot].bits == removed[slot]);
    CHECK(std::abs(average_bits({}, planes, layout) - target) <= 0.5 * 225 / 249 + 0.005);
  }
}

TEST_CASE("a tensor of a fixed width loses no plane to a budget, and no tensor loses its last one") {
  ArenaLayout layout = budget_layout();
  layout.slots[0].spec.widths = {.start = 3, .most = 3, .fixed = true};
  std::vector<BitPlanes> planes = {planes_with_levels(3, some_levels(225, 7)),
                                   planes_with_levels(4, some_levels(21, 15)),
                                   planes_with_levels(1, some_levels(3, 1))};
  remove_planes(planes, layout, {}, 1);
  CHECK(widths_of(planes) == std::vector<int>{3, 1, 1});
}

TEST_CASE("a plane that would go stays if the average is further below the budget without it than above with it") {
  const ArenaLayout layout = budget_layout();
  // Levels that are even: the last plane of each is empty.
  const std::vector<BitPlanes> start = {planes_with_levels(4, some_levels(225, 14, 2)),
                                        planes_with_levels(4, some_levels(21, 14, 2)),
                                        planes_with_levels(4, some_levels(3, 14, 2))};
  const auto adjusted = [&](double target) {
    std::vector<BitPlanes> planes = start;
    adjust_to(planes, layout, 0, {target});
    for (std::size_t slot = 0; slot < 3; ++slot) {  // whatever stays is empty
      const std::vector<float> weights = effective_weights(planes[slot]), before = effective_weights(start[slot]);
      for (std::size_t i = 0; i < weights.size(); ++i) CHECK(weights[i] == Approx(before[i]));
    }
    return widths_of(planes);
  };
  CHECK(adjusted(2.5) == std::vector<int>{3, 3, 3});  // above the budget: all go
  CHECK(adjusted(3.004) == std::vector<int>{3, 3, 3});
  CHECK(adjusted(3.08) == std::vector<int>{3, 4, 3});  // 21 of 249 weights are 0.084 bits
  CHECK(adjusted(3.4) == std::vector<int>{3, 4, 4});   // 0.3 too few, a plane of the first would be 0.5 too many
  CHECK(adjusted(3.5) == std::vector<int>{4, 3, 3});   // 0.4 too many instead of 0.5 too few
  CHECK(adjusted(3.906) == std::vector<int>{4, 3, 3});
  CHECK(adjusted(9) == std::vector<int>{4, 4, 4});
}

}  // namespace bsq::test
