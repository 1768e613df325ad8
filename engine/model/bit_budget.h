// A budget of bits, as a person gives it and as methods count.
//
// Methods count the average of the bits of all tensors, weighted by what a bit of each is for the budget. Signs and
// scales add the same to every scheme, so that a budget with them is one in these bits.
#pragma once

#include "engine/network/parameters.h"

#include <string>
#include <string_view>
#include <vector>

namespace bsq {

/// Beyond the budget by so little that nobody needs another bit to go, in bits per weight.
inline constexpr double kBudgetTolerance = 0.005;

/// What a budget counts.
enum class BudgetCount {
  stored,     // per weight: its bits, a sign, and its part of a scale of 32 bits per tensor
  published,  // per weight: its bits
  bops,       // per multiply-add, times the bits of the activation: the bits of the weight and a sign
};

/// As configurations name them.
std::vector<std::string> budget_counts();
/// Of a name among them.
BudgetCount budget_count_named(std::string_view name);
/// What its bits are called: `bits per weight`.
std::string_view unit_of(BudgetCount count);

struct BitBudget {
  double bits = 0;
  BudgetCount count = BudgetCount::published;

  std::string_view count_name() const;
  std::string_view unit() const { return unit_of(count); }
  /// The fewest that any network can come to.
  double least_of_any() const { return count == BudgetCount::published ? 1 : 2; }
  /// The average of the tensors' bits; those of 0 bits count as one bit.
  double average(const std::vector<int>& widths, const ArenaLayout& layout) const;
  /// What one bit of the slot is: its weights, or its multiply-adds times the bits of the activations.
  double size_of_bit(const ParameterSlot& slot) const;
  /// How much it is of the average.
  double share_of_bit(const ArenaLayout& layout, std::size_t slot) const;
  /// What the count has beside the average, whatever the bits.
  double beside(const ArenaLayout& layout) const;
  /// The average that the budget asks for.
  double target(const ArenaLayout& layout) const { return bits - beside(layout); }
  /// The least that this network can come to, in the count of the budget: one bit of every tensor, and all of those of
  /// a fixed width.
  double least(const ArenaLayout& layout) const;
};

/// sum numel bits / P of tensors with these bits; those of 0 bits count as one bit.
double bits_per_weight(const std::vector<int>& bits, const ArenaLayout& layout);
/// How far the average is from the target, beyond what nobody needs.
double budget_distance(double bits, double target);

}  // namespace bsq
