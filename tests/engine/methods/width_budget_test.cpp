// Widths under a budget: the plan, and which tensors lose a bit.
#include "engine/methods/width_budget.h"

#include "engine/methods/budget_keys.h"

#include "tests/engine/methods/store_support.h"

namespace bsq::test {
namespace {

/// 225, 21 and 3 weights.
double average_of(const std::vector<int>& widths) {
  return (225.0 * widths[0] + 21.0 * widths[1] + 3.0 * widths[2]) / 249;
}

std::vector<int> taken(const std::vector<int>& bits, const std::vector<float>& sensitivities, double target,
                       double planned, bool several = false, const ArenaLayout& layout = store_layout()) {
  return take_bits(bits, doubling(sensitivities, bits), layout, {target}, planned, several);
}

/// 225, 21 and 3 weights of which the convolution multiplies with each 16 times, and reads 4 bits; the bias multiplies
/// nothing.
ArenaLayout multiplying_layout() {
  ArenaLayout layout = store_layout();
  layout.slots[0].bit_operations = 225 * 16 * 4;
  layout.slots[1].bit_operations = 21 * 4;
  return layout;
}

}  // namespace

TEST_CASE("the least sensitive tensors lose a bit each, until the plan is met") {
  const std::vector<float> e = {3, 1, 2};
  CHECK(taken({8, 8, 8}, e, 3, 8) == std::vector<int>{8, 8, 8});
  CHECK(taken({8, 8, 8}, e, 3, 7.95) == std::vector<int>{8, 7, 8});
  CHECK(taken({8, 8, 8}, e, 3, 7.91) == std::vector<int>{8, 7, 7});
  CHECK(taken({8, 8, 8}, e, 3, 7.8) == std::vector<int>{7, 7, 7});
  CHECK(taken({8, 8, 8}, e, 3, 3) == std::vector<int>{7, 7, 7});  // one each at a time
  CHECK(taken({8, 8, 8}, {1, 2, 3}, 3, 7.95) == std::vector<int>{7, 8, 8});
  CHECK(taken({8, 8, 8}, {1, 1, 1}, 3, 7.95) == std::vector<int>{7, 8, 8});  // of equal ones the first
}

TEST_CASE("at the end of the window tensors lose as many bits as it takes, each of them a doubled sensitivity") {
  CHECK(taken({8, 8, 8}, {1, 1.5F, 100}, 3, 6.9, true) == std::vector<int>{6, 7, 8});
  CHECK(taken({8, 8, 8}, {1, 100, 100}, 6, 6, true) == std::vector<int>{6, 6, 6});
  CHECK(taken({1, 1, 2}, {1, 1, 1}, 0.5, 0.5, true) == std::vector<int>{1, 1, 1});  // a bit stays
}

TEST_CASE("a tensor is measured anew at every width that it comes to") {
  const WidthMeasures measures = {{9, 9, 9, 9}, {9, 9, 9, 0}, {9, 9, 5, 1}};
  CHECK(take_bits({3, 3, 3}, measures, store_layout(), {1}, 2.99, true) == std::vector<int>{3, 2, 3});
  CHECK(take_bits({3, 3, 3}, measures, store_layout(), {1}, 2.91, true) == std::vector<int>{3, 2, 2});
  CHECK(take_bits({3, 3, 3}, measures, store_layout(), {1}, 2.895, true) == std::vector<int>{3, 2, 1});
}

TEST_CASE("the bit that would cross the target stays if the average is nearer with it") {
  // A bit of the first tensor is 0.904 of the average.
  CHECK(taken({4, 4, 4}, {1, 9, 9}, 3.6, 3.6, true) == std::vector<int>{4, 1, 1});  // 3.71, and not 3.10
  CHECK(taken({4, 4, 4}, {1, 9, 9}, 3.5, 3.5, true) == std::vector<int>{3, 4, 4});  // 3.10: nearer than 4 is
  CHECK(std::abs(average_of({3, 4, 4}) - 3.5) < 0.904 / 2);
  CHECK_FALSE(can_come_nearer({3, 4, 4}, store_layout(), {3.2}));
  CHECK(can_come_nearer({4, 4, 4}, store_layout(), {3.2}));
  CHECK_FALSE(can_come_nearer({4, 4, 4}, store_layout(), {4}));
  CHECK_FALSE(can_come_nearer({1, 1, 1}, store_layout(), {0.5}));
}

TEST_CASE("tensors of a fixed width and those without weights are left alone") {
  ArenaLayout layout = store_layout();
  layout.slots[1].spec.widths = {.start = 8, .most = 8, .fixed = true};
  CHECK(taken({8, 8, 0}, {9, 1, 0}, 3, 3, true, layout) == std::vector<int>{3, 8, 0});
  CHECK(BitBudget{3}.least(layout) == Approx(average_of({1, 8, 1})));
  CHECK(bits_per_weight(std::vector<int>{2, 8, 0}, layout) == Approx(average_of({2, 8, 1})));
}

TEST_CASE("a budget in stored bits has a sign per weight and a scale per tensor beside the bits") {
  const ArenaLayout layout = store_layout();
  CHECK(BitBudget{4, BudgetCount::published}.target(layout) == 4);
  CHECK(BitBudget{4, BudgetCount::stored}.target(layout) == Approx(4 - 1 - 32 * 3 / 249.0));
  CHECK(BitBudget{4, BudgetCount::bops}.target(layout) == 3);
  CHECK(budget_count_named("bops") == BudgetCount::bops);
  CHECK(BitBudget{4, budget_count_named("stored")}.count_name() == "stored");
}

TEST_CASE("a budget of operations weighs bits by what they multiply, and leaves alone what multiplies nothing") {
  const ArenaLayout layout = multiplying_layout();
  const BitBudget budget{4, BudgetCount::bops};
  const double first = 225 * 16 / (225 * 16 + 21.0);
  CHECK(budget.average({6, 2, 8}, layout) == Approx(6 * first + 2 * (1 - first)));
  CHECK(budget.share_of_bit(layout, 0) == Approx(first));
  CHECK(budget.share_of_bit(layout, 2) == 0);
  CHECK(budget.least(layout) == Approx(2));
  const std::vector<int> bits = {8, 8, 8};
  CHECK(take_bits(bits, doubling({3, 2, 1}, bits), layout, budget, 3, /*several=*/true) == std::vector<int>{3, 3, 8});
}

TEST_CASE("a budget in bytes is a limit on a file: rows of whole bytes and all that is beside them count") {
  ArenaLayout layout = store_layout();
  layout.packed_rest = 1000;
  constexpr double kRows = 29 + 3 + 1;  // bytes of a row of bits of each tensor
  const auto bytes_of = [](const std::vector<int>& bits) {
    return 1000.0 + 29 * (bits[0] + 1) + 3 * (bits[1] + 1) + 1 * (bits[2] + 1);
  };
  const auto budget_of = [](double bytes) { return BitBudget{.count = BudgetCount::file, .bytes = bytes}; };
  const std::vector<int> bits = {8, 8, 8};
  const BitBudget some = budget_of(1200);
  CHECK(some.average({4, 2, 8}, layout) + some.beside(layout) == Approx(8 * bytes_of({4, 2, 8}) / (8 * kRows)));
  CHECK(some.bytes_of(some.bits_of(layout), layout) == Approx(1200));
  for (int bytes = 1066; bytes <= 1300; ++bytes) {
    INFO(bytes << " bytes");
    const BitBudget budget = budget_of(bytes);
    const std::vector<int> left =
        take_bits(bits, doubling({1, 2, 3}, bits), layout, budget, budget.target(layout), /*several=*/true);
    CHECK(bytes_of(left) <= bytes);
    CHECK((left == bits || bytes_of(left) > bytes - 29));
    CHECK_FALSE(can_come_nearer(left, layout, budget));
  }
  CHECK(bytes_of({1, 1, 1}) == 1066);
  CHECK(budget_conflict("lsq", budget_of(1066), layout).empty());
  CHECK(budget_conflict("lsq", budget_of(1065), layout) ==
        "lsq.budget_bytes = 1065: a packed file of this network cannot come below 1066 bytes, with a bit of each "
        "tensor and all bits of those of a fixed width; raise it");
}

TEST_CASE("a budget as a ratio is one in the bits of its count, and the largest that a network can have is said") {
  ArenaLayout layout = store_layout();
  const auto budget_of = [](double ratio) { return BudgetConfig{.budget_ratio = ratio}.budget(); };
  CHECK(budget_of(8).bits == 4);
  CHECK(budget_of(8).target(layout) == Approx(4 - 1 - 32 * 3 / 249.0));
  CHECK(budget_of(8).text(layout) == "4 (stored count; 8 times smaller than float32)");
  CHECK(budget_conflict("msq", budget_of(13.414), layout).empty());  // 32 / (2 + 96 / 249)
  CHECK(budget_conflict("msq", budget_of(13.5), layout) ==
        "msq.budget_ratio = 13.5: this network can be 13.414 times smaller at most (msq.budget_count: stored), with a "
        "bit of each tensor and all bits of those of a fixed width; lower it");
}

TEST_CASE("the plan falls from the start to the target as a parabola, and the window is half of a stage") {
  CHECK(planned_width(8, 4, 0, 10) == 8);
  CHECK(planned_width(8, 4, 5, 10) == Approx(5));
  CHECK(planned_width(8, 4, 10, 10) == 4);
  CHECK(planned_width(8, 4, 20, 10) == 4);
  CHECK(planned_width(3, 4, 0, 10) == 4);  // there from the start
  CHECK(budget_window(0, 9) == 5);
  CHECK(budget_window(3, 9) == 3);
  CHECK(budget_window(0, 0) == 1);
}

}  // namespace bsq::test
