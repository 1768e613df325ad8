#include "engine/model/bit_budget.h"

#include "engine/model/stored_weights.h"

#include <algorithm>
#include <cmath>

namespace bsq {

double BitBudget::beside(const ArenaLayout& layout) const {
  if (!counts_stored) return 0;
  return 1 + kFloatBits * static_cast<double>(layout.slots.size()) / static_cast<double>(layout.parameters);
}

double least_bits(const ArenaLayout& layout) {
  std::vector<int> bits;
  for (const ParameterSlot& slot : layout.slots) bits.push_back(slot.spec.widths.fixed ? slot.spec.widths.start : 1);
  return bits_per_weight(bits, layout);
}

double bits_per_weight(const std::vector<int>& bits, const ArenaLayout& layout) {
  std::int64_t sum = 0;
  for (std::size_t slot = 0; slot < bits.size(); ++slot)
    sum += layout.slots[slot].spec.shape.numel() * std::max(bits[slot], 1);
  return static_cast<double>(sum) / static_cast<double>(layout.parameters);
}

double share_of_bit(const ArenaLayout& layout, std::size_t slot) {
  return static_cast<double>(layout.slots[slot].spec.shape.numel()) / static_cast<double>(layout.parameters);
}

double budget_distance(double bits, double target) {
  return std::max(0.0, std::abs(bits - target) - kBudgetTolerance);
}

}  // namespace bsq
