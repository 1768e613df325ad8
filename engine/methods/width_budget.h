// Widths under a budget: which tensors lose a bit before which epoch, along a plan, until the average is what was asked
// for (METHOD 13). What a method measures decides which go first.
#pragma once

#include "engine/methods/method.h"
#include "engine/model/bit_budget.h"

#include <nlohmann/json.hpp>

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bsq {

/// The bits per weight after so many epochs by the plan: from those at the start down to the target, as a parabola, and
/// the target from the end of the window on.
double planned_width(double start, double target, int epochs, int window);

/// How many epochs the budget is to be met in: what the configuration says, or half of the stage.
int budget_window(int budget_epochs, int stage_epochs);
/// Whether some tensor could lose a bit and bring the average nearer to what the budget asks for.
bool can_come_nearer(const std::vector<int>& bits, const ArenaLayout& layout, const BitBudget& budget);

/// What decides which tensor loses its next bit: by slot, and by the width that it has then, 0 .. its own.
using WidthMeasures = std::vector<std::vector<float>>;
/// Measures that double with every bit, from those at these widths on.
WidthMeasures doubling(const std::vector<float>& measures, const std::vector<int>& bits);

/// Takes bits from tensors whose width is not fixed, the one of the least measure first, until the average is no more
/// than `planned`, and as long as it comes nearer to the budget: a bit that would leave it further below than it is
/// above stays. Each tensor loses one bit at most, or with `several` as many as that takes. Returns the bits that are
/// left.
std::vector<int> take_bits(std::vector<int> bits, const WidthMeasures& measures, const ArenaLayout& layout,
                           const BitBudget& budget, double planned, bool several);

/// What a method says of its budget.
struct WidthBudgetRule {
  std::string section;                  // of the configuration, whose budget it is: `lsq`
  BitBudget budget = {};                // as it is configured
  int window = 1;                       // epochs
  std::string_view measures_name = {};  // in notes: `sensitivities`
  std::string_view which_go = {};       // `whose rounding changes the loss least`
};

class WidthBudget {
 public:
  explicit WidthBudget(WidthBudgetRule rule) : rule_(std::move(rule)) {}

  /// `budget 3 bits per weight (stored count) within 8 epochs`.
  std::string title() const;
  /// Why this network cannot meet it; empty if it can.
  std::string conflict(const ArenaLayout& layout) const;

  /// Whether no bit that goes would bring the average nearer to it.
  bool is_met() const { return is_met_; }
  /// Before the first step of an epoch; returns whether it begins, and not goes on. What steps have measured since the
  /// epoch before decides which bits are to go now; it is asked for only where that is to be decided.
  bool start_epoch(int epoch, const std::vector<int>& bits, const std::function<WidthMeasures()>& measure,
                   const ArenaLayout& layout);
  /// After the last epoch, where the window is longer than the stage: whatever the budget still needs.
  void end(const std::vector<int>& bits, const WidthMeasures& measures, const ArenaLayout& layout);
  /// The bits that tensors are to have now; empty: those that they have.
  const std::vector<int>& next_bits() const { return next_bits_; }
  std::vector<int> take_next_bits() { return std::exchange(next_bits_, {}); }

  const std::optional<EpochNote>& note() const { return note_; }
  nlohmann::json state() const;
  void restore(const nlohmann::json& state);

 private:
  double counted(const std::vector<int>& bits, const ArenaLayout& layout) const;
  EpochNote note_of_epoch(int epoch, const std::vector<int>& bits, const WidthMeasures& measures,
                          const std::vector<int>& left, const ArenaLayout& layout) const;
  EpochNote note_of_end(const std::vector<int>& bits, const std::vector<int>& left, const ArenaLayout& layout) const;

  WidthBudgetRule rule_;

  // What a checkpoint holds.
  int epoch_ = -1;  // the one that has begun last
  bool is_met_ = false;
  double start_bits_ = 0;  // BitBudget::average

  std::vector<int> next_bits_;
  std::optional<EpochNote> note_;
};

}  // namespace bsq
