#include "engine/methods/bsq/plane_budget.h"

#include "kernels/base/error.h"

#include <optional>

namespace bsq {
namespace {

bool is_fixed(const ArenaLayout& layout, std::size_t slot) {
  return layout.slots[slot].spec.widths.fixed;
}

double plane_of(const BitPlanes& planes, const ArenaLayout& layout) {
  return static_cast<double>(planes.numel) / static_cast<double>(layout.parameters);
}

}  // namespace

double bits_beside_planes(const BsqConfig& options, const ArenaLayout& layout) {
  return BitBudget{options.budget_bits, options.counts_stored_bits()}.beside(layout);
}

double published_budget(const BsqConfig& options, const ArenaLayout& layout) {
  return options.budget_bits - bits_beside_planes(options, layout);
}

double bits_per_weight(const std::vector<BitPlanes>& planes, const ArenaLayout& layout) {
  std::int64_t bits = 0;
  for (const BitPlanes& tensor : planes) bits += tensor.numel * tensor.bits;
  return static_cast<double>(bits) / static_cast<double>(layout.parameters);
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

void adjust_to(std::vector<BitPlanes>& planes, const ArenaLayout& layout, double threshold_percent, double target) {
  const std::vector<BitPlanes> requantized = planes;
  adjust_all(planes, layout, threshold_percent);
  while (true) {
    const double bits = bits_per_weight(planes, layout);
    double nearest = budget_distance(bits, target);
    std::optional<std::size_t> kept;
    for (std::size_t slot = 0; slot < planes.size(); ++slot) {
      const double left = budget_distance(bits + plane_of(planes[slot], layout), target);
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

std::vector<int> remove_planes(std::vector<BitPlanes>& planes, const ArenaLayout& layout, double target) {
  std::vector<int> removed(planes.size());
  while (true) {
    const double bits = bits_per_weight(planes, layout);
    std::optional<std::size_t> cheapest;
    double least = 0;
    for (std::size_t slot = 0; slot < planes.size(); ++slot) {
      const double nearer = budget_distance(bits - plane_of(planes[slot], layout), target);
      if (is_fixed(layout, slot) || planes[slot].bits == 1 || nearer >= budget_distance(bits, target)) continue;
      const double cost = removal_cost(planes[slot]) / static_cast<double>(planes[slot].numel);
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
