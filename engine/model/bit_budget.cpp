#include "engine/model/bit_budget.h"

#include "engine/model/stored_weights.h"
#include "kernels/base/error.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace bsq {
namespace {

// In the order of the values.
constexpr std::array<std::string_view, 4> kCounts = {"stored", "published", "bops", "file"};
constexpr double kByte = 8;              // bits
constexpr double kSameAverage = 1e-10;   // rounding of sums, in bits per weight; a byte of a file is more
constexpr double kBeyondLimit = 1000.0;  // bits per weight

/// BitBudget::size_of_bit of all slots together.
double size_of_bits(const BitBudget& budget, const ArenaLayout& layout) {
  double sum = 0;
  for (const ParameterSlot& slot : layout.slots) sum += budget.size_of_bit(slot);
  return sum;
}

}  // namespace

std::vector<std::string> budget_counts() {
  return {kCounts.begin(), kCounts.end() - 1};
}

BudgetCount budget_count_named(std::string_view name) {
  const auto found = std::ranges::find(kCounts, name);
  require(found != kCounts.end(), "no count of budgets is called {}", name);
  return static_cast<BudgetCount>(found - kCounts.begin());
}

std::string_view unit_of(BudgetCount count) {
  return count == BudgetCount::bops   ? "bits per operation"
         : count == BudgetCount::file ? "bits of the file per weight"
                                      : "bits per weight";
}

std::string_view BitBudget::count_name() const {
  return kCounts.at(static_cast<std::size_t>(count));
}

std::string BitBudget::words() const {
  if (ratio > 0) return fmt::format("{:g} times smaller than float32", ratio);
  return is_limit() ? fmt::format("at most {:.0f} bytes as a packed file", bytes) : "";
}

std::string BitBudget::title() const {
  if (is_limit()) return "budget of " + words();
  return fmt::format("budget {:g} {} ({} count{}{})", bits, unit(), count_name(), ratio > 0 ? "; " : "", words());
}

double BitBudget::bits_of(const ArenaLayout& layout) const {
  return is_limit() ? kByte * bytes / size_of_bits(*this, layout) : bits;
}

std::string BitBudget::text(const ArenaLayout& layout) const {
  const std::string given = words();
  return fmt::format("{:g} ({} count{}{})", bits_of(layout), count_name(), given.empty() ? "" : "; ", given);
}

double BitBudget::least_of_any() const {
  return count == BudgetCount::published ? 1 : is_limit() ? 0 : 2;
}

double BitBudget::average(const std::vector<int>& widths, const ArenaLayout& layout) const {
  double sum = 0;
  for (std::size_t slot = 0; slot < widths.size(); ++slot)
    sum += size_of_bit(layout.slots[slot]) * std::max(widths[slot], 1);
  return sum / size_of_bits(*this, layout);
}

double BitBudget::size_of_bit(const ParameterSlot& slot) const {
  if (count == BudgetCount::bops) return slot.bit_operations;
  const auto numel = static_cast<double>(slot.spec.shape.numel());
  return is_limit() ? kByte * std::ceil(numel / kByte) : numel;
}

double BitBudget::share_of_bit(const ArenaLayout& layout, std::size_t slot) const {
  return size_of_bit(layout.slots[slot]) / size_of_bits(*this, layout);
}

double BitBudget::beside(const ArenaLayout& layout) const {
  if (is_limit()) return 1 + kByte * static_cast<double>(layout.packed_rest) / size_of_bits(*this, layout);
  const double scales = kFloatBits * static_cast<double>(layout.slots.size()) / static_cast<double>(layout.parameters);
  return count == BudgetCount::published ? 0 : count == BudgetCount::stored ? 1 + scales : 1;
}

double BitBudget::least(const ArenaLayout& layout) const {
  std::vector<int> fewest;
  for (const ParameterSlot& slot : layout.slots) fewest.push_back(slot.spec.widths.fixed ? slot.spec.widths.start : 1);
  return average(fewest, layout) + beside(layout);
}

double BitBudget::bytes_of(double file_bits, const ArenaLayout& layout) const {
  return file_bits * size_of_bits(*this, layout) / kByte;
}

bool BitBudget::is_within(double average, double target) const {
  return average <= target + (is_limit() ? kSameAverage : kBudgetTolerance);
}

double BitBudget::distance(double average, double target) const {
  if (!is_limit()) return budget_distance(average, target);
  return std::abs(average - target) + (is_within(average, target) ? 0 : kBeyondLimit);
}

double bits_per_weight(const std::vector<int>& bits, const ArenaLayout& layout) {
  return BitBudget{.count = BudgetCount::published}.average(bits, layout);
}

double budget_distance(double bits, double target) {
  return std::max(0.0, std::abs(bits - target) - kBudgetTolerance);
}

}  // namespace bsq
