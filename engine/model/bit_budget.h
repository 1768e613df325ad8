// A budget of bits per weight, as a person gives it and as methods count.
//
// Counted is sum numel bits / P over all tensors: the bits of the published count. Signs and scales add the same to
// every scheme, so that a budget in stored bits is one in these.
#pragma once

#include "engine/network/parameters.h"

#include <vector>

namespace bsq {

/// Beyond the budget by so little that nobody needs another bit to go, in bits per weight.
inline constexpr double kBudgetTolerance = 0.005;

struct BitBudget {
  double bits = 0;             // per weight
  bool counts_stored = false;  // a sign per weight and a scale of 32 bits per tensor count as well

  /// What its count adds to the published one, per weight.
  double beside(const ArenaLayout& layout) const;
  /// The budget in bits of the published count.
  double published(const ArenaLayout& layout) const { return bits - beside(layout); }
};

/// The fewest bits per weight that a network can come to, in the published count: one bit of every tensor, and all of
/// those of a fixed width.
double least_bits(const ArenaLayout& layout);
/// sum numel bits / P of tensors with these bits; those of 0 bits count as one bit.
double bits_per_weight(const std::vector<int>& bits, const ArenaLayout& layout);
/// How much one bit of the slot is of the bits per weight.
double share_of_bit(const ArenaLayout& layout, std::size_t slot);
/// How far the average is from the target, beyond what nobody needs.
double budget_distance(double bits, double target);

}  // namespace bsq
