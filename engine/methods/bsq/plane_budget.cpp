#include "engine/methods/bsq/plane_budget.h"

#include "kernels/base/error.h"

#include <optional>

namespace bsq {
namespace {

bool is_fixed(const ArenaLayout& layout, std::size_t slot) {
  return layout.slots[slot].spec.widths.fixed;
}

}  // namespace

double average_bits(const BitBudget& budget, const std::vector<BitPlanes>& planes, const ArenaLayout& layout) {
  std::vector<int> bits;
  for (const BitPlanes& tensor : planes) bits.push_back(tensor.bits);
  return budget.average(bits, layout);
}

void requantize_all(std::vector<BitPlanes>& planes, const ArenaLayout& layout, const std::vector<int>& most_bits,
                    bool may_grow) {
  require(planes.size() == layout.slots.size(), "{} plane tensors for {} slots", planes.size(), layout.slots.size());
  for (std::size_t slot = 0; slot < planes.size(); ++slot)
    requantize(planes[slot], may_grow ? most_bits[slot] : planes[slot].bits);
}

void adjust_all(std::vector<BitPlanes>& planes, const ArenaLayout& layout, double threshold_percent) {
  for (std::size_t slot = 0; slot < planes.size(); ++slot)
    if (!is_fixed(layout, slot)) adjust_precision(planes[slot], threshold_percent);
}

void adjust_to(std::vector<BitPlanes>& planes, const ArenaLayout& layout, double threshold_percent,
               const BitBudget& budget) {
  const double target = budget.target(layout);
  const std::vector<BitPlanes> requantized = planes;
  adjust_all(planes, layout, threshold_percent);
  while (true) {
    const double bits = average_bits(budget, planes, layout);
    double nearest = budget.distance(bits, target);
    std::optional<std::size_t> kept;
    for (std::size_t slot = 0; slot < planes.size(); ++slot) {
      const double left = budget.distance(bits + budget.share_of_bit(layout, slot), target);
      if (planes[slot].bits == requantized[slot].bits || left >= nearest) continue;
      nearest = left;
      kept = slot;
    }
    if (!kept) return;
    const int least_bits = planes[*kept].bits + 1;
    planes[*kept] = requantized[*kept];
    adjust_precision(planes[*kept], threshold_percent, least_bits);
  }
}

std::vector<int> remove_planes(std::vector<BitPlanes>& planes, const ArenaLayout& layout, const BitBudget& budget,
                               double target) {
  std::vector<int> removed(planes.size());
  while (true) {
    const double bits = average_bits(budget, planes, layout);
    std::optional<std::size_t> cheapest;
    double least = 0;
    for (std::size_t slot = 0; slot < planes.size(); ++slot) {
      const double nearer = budget.distance(bits - budget.share_of_bit(layout, slot), target);
      if (is_fixed(layout, slot) || planes[slot].bits == 1 || nearer >= budget.distance(bits, target)) continue;
      const double cost = removal_cost(planes[slot]) / budget.size_of_bit(layout.slots[slot]);
      if (cheapest && cost >= least) continue;
      cheapest = slot;
      least = cost;
    }
    if (!cheapest) return removed;
    remove_least_significant(planes[*cheapest]);
    ++removed[*cheapest];
  }
}

}  // namespace bsq
