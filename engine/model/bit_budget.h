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
  file,       // per weight: what a packed file has, with its header and all that stays float; of budgets in bytes
};

/// As configurations name them: all but `file`.
std::vector<std::string> budget_counts();
/// Of a name among them.
BudgetCount budget_count_named(std::string_view name);
/// What its bits are called: `bits per weight`.
std::string_view unit_of(BudgetCount count);

struct BitBudget {
  double bits = 0;
  BudgetCount count = BudgetCount::published;
  double ratio = 0;  // to float32, if the bits were given as one; 0: they were not
  double bytes = 0;  // of a packed file at most, of count `file`, which leaves `bits` open; 0: none

  std::string_view count_name() const;
  std::string_view unit() const { return unit_of(count); }
  /// Whether it may not be exceeded, where others are met as nearly as a bit of a layer lets them.
  bool is_limit() const { return count == BudgetCount::file; }
  /// The words in which it was given, `12 times smaller than float32`; empty: in bits.
  std::string words() const;
  /// Its bits, in its count.
  double bits_of(const ArenaLayout& layout) const;
  /// `budget 4 bits per weight (stored count)`, as far as it is known of no network.
  std::string title() const;
  /// Bits, count and words: `4 (stored count)`.
  std::string text(const ArenaLayout& layout) const;
  /// The fewest that any network can come to; of files 0, since they differ by network.
  double least_of_any() const;
  /// The average of the tensors' bits; those of 0 bits count as one bit.
  double average(const std::vector<int>& widths, const ArenaLayout& layout) const;
  /// What one bit of the slot is: its weights, of files filled up to bytes, or its multiply-adds times the bits of the
  /// activations.
  double size_of_bit(const ParameterSlot& slot) const;
  /// How much it is of the average.
  double share_of_bit(const ArenaLayout& layout, std::size_t slot) const;
  /// What the count has beside the average, whatever the bits.
  double beside(const ArenaLayout& layout) const;
  /// The average that the budget asks for.
  double target(const ArenaLayout& layout) const { return bits_of(layout) - beside(layout); }
  /// The least that this network can come to, in the count of the budget: one bit of every tensor, and all of those of
  /// a fixed width.
  double least(const ArenaLayout& layout) const;
  /// The bytes of a packed file of so many bits, of count `file`.
  double bytes_of(double file_bits, const ArenaLayout& layout) const;
  /// Whether an average is as low as the target, or so little above it that nobody needs another bit to go.
  bool is_within(double average, double target) const;
  /// How far an average is from the target, beyond what nobody needs; above a limit it is farther than anywhere below.
  double distance(double average, double target) const;
};

/// sum numel bits / P of tensors with these bits; those of 0 bits count as one bit.
double bits_per_weight(const std::vector<int>& bits, const ArenaLayout& layout);
/// How far the average is from the target, beyond what nobody needs.
double budget_distance(double bits, double target);

}  // namespace bsq
