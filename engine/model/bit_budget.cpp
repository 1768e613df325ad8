#include "engine/model/bit_budget.h"

#include "engine/model/stored_weights.h"
#include "kernels/base/error.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace bsq {
namespace {

constexpr std::array<std::string_view, 3> kCounts = {"stored", "published", "bops"};  // in the order of the values

/// BitBudget::size_of_bit of all slots together.
double size_of_bits(const BitBudget& budget, const ArenaLayout& layout) {
  double sum = 0;
  for (const ParameterSlot& slot : layout.slots) sum += budget.size_of_bit(slot);
  return sum;
}

}  // namespace

std::vector<std::string> budget_counts() {
  return {kCounts.begin(), kCounts.end()};
}

BudgetCount budget_count_named(std::string_view name) {
  const auto found = std::ranges::find(kCounts, name);
  require(found != kCounts.end(), "no count of budgets is called {}", name);
  return static_cast<BudgetCount>(found - kCounts.begin());
}

std::string_view unit_of(BudgetCount count) {
  return count == BudgetCount::bops ? "bits per operation" : "bits per weight";
}

std::string_view BitBudget::count_name() const {
  return kCounts.at(static_cast<std::size_t>(count));
}

double BitBudget::average(const std::vector<int>& widths, const ArenaLayout& layout) const {
  double sum = 0;
  for (std::size_t slot = 0; slot < widths.size(); ++slot)
    sum += size_of_bit(layout.slots[slot]) * std::max(widths[slot], 1);
  return sum / size_of_bits(*this, layout);
}

double BitBudget::size_of_bit(const ParameterSlot& slot) const {
  return count == BudgetCount::bops ? slot.bit_operations : static_cast<double>(slot.spec.shape.numel());
}

double BitBudget::share_of_bit(const ArenaLayout& layout, std::size_t slot) const {
  return size_of_bit(layout.slots[slot]) / size_of_bits(*this, layout);
}

double BitBudget::beside(const ArenaLayout& layout) const {
  const double scales = kFloatBits * static_cast<double>(layout.slots.size()) / static_cast<double>(layout.parameters);
  return count == BudgetCount::published ? 0 : count == BudgetCount::stored ? 1 + scales : 1;
}

double BitBudget::least(const ArenaLayout& layout) const {
  std::vector<int> fewest;
  for (const ParameterSlot& slot : layout.slots) fewest.push_back(slot.spec.widths.fixed ? slot.spec.widths.start : 1);
  return average(fewest, layout) + beside(layout);
}

double bits_per_weight(const std::vector<int>& bits, const ArenaLayout& layout) {
  return BitBudget{.count = BudgetCount::published}.average(bits, layout);
}

double budget_distance(double bits, double target) {
  return std::max(0.0, std::abs(bits - target) - kBudgetTolerance);
}

}  // namespace bsq
