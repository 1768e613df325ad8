#include "engine/methods/lsq/width_budget.h"

#include "engine/model/bit_budget.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace bsq {
namespace {

bool comes_nearer(const std::vector<int>& bits, const ArenaLayout& layout, std::size_t slot, double target) {
  if (layout.slots[slot].spec.widths.fixed || bits[slot] <= 1) return false;
  const double now = bits_per_weight(bits, layout);
  return budget_distance(now - share_of_bit(layout, slot), target) < budget_distance(now, target);
}

}  // namespace

int window_of(const LsqConfig& options, const StageConfig& stage) {
  return std::max(1, options.budget_epochs > 0 ? options.budget_epochs : (stage.epochs + 1) / 2);
}

double planned_width(double start, double target, int epochs, int window) {
  if (epochs >= window || start <= target) return target;
  return target + (start - target) * std::pow(1 - static_cast<double>(epochs) / window, 2);
}

bool can_come_nearer(const std::vector<int>& bits, const ArenaLayout& layout, double target) {
  for (std::size_t slot = 0; slot < bits.size(); ++slot)
    if (comes_nearer(bits, layout, slot, target)) return true;
  return false;
}

std::vector<int> take_bits(std::vector<int> bits, std::vector<float> sensitivities, const ArenaLayout& layout,
                           double target, double planned, bool several) {
  std::vector<bool> may_lose(bits.size(), true);
  while (bits_per_weight(bits, layout) > planned + kBudgetTolerance) {
    std::optional<std::size_t> least;
    for (std::size_t slot = 0; slot < bits.size(); ++slot) {
      if (!may_lose[slot] || !comes_nearer(bits, layout, slot, target)) continue;
      if (!least || sensitivities[slot] < sensitivities[*least]) least = slot;
    }
    if (!least) break;
    --bits[*least];
    sensitivities[*least] *= 2;
    may_lose[*least] = several;
  }
  return bits;
}

}  // namespace bsq
