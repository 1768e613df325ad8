// BSQ under a budget: the bits per weight come down along a plan. Where training is ahead of it alpha gives way, and
// where training is behind it planes have to go (METHOD 15).
//
// All bits here are those of the published count: planes per weight, no signs, no scales. Epochs count from 0 within
// the stage. Sources: none; the method and its numbers are ours.
#pragma once

#include "engine/config/config.h"
#include "engine/model/bit_budget.h"

#include <nlohmann/json.hpp>

namespace bsq {

/// Until when the plan leads down to the budget, in epochs: 0.8 of those before the rate falls, for afterwards alpha
/// moves nothing, and the model has little time to settle. The rate falls at the first milestone, or where a cosine has
/// come down to half.
double planned_epochs(const StageConfig& stage);

class BudgetController {
 public:
  /// `most_alpha`: the strength of the penalty as long as training is not ahead of the plan, above 0.
  BudgetController(double most_alpha, const StageConfig& stage);

  /// Before the steps of an epoch: what a re-quantization would leave now, and what the budget is, in bits per weight.
  void measure(int epoch, double bits, double target);
  /// Whether this epoch, in which a run may have been interrupted, has been measured.
  bool has_measured(int epoch) const { return epoch_ == epoch; }
  /// From now on the budget is met: alpha is 0.
  void set_met() { is_met_ = true; }

  bool is_met() const { return is_met_; }
  /// The strength of the penalty in this epoch.
  double alpha() const;
  double bits() const { return bits_; }
  /// The bits after so many epochs by the plan: from those at the start down to the target, as a parabola.
  double planned_bits(int epochs) const;
  /// Whether the bits are so far above the plan, or the plan so near to its end, that planes have to go now, down to
  /// the bits planned for the end of the epoch.
  bool is_behind() const;
  /// Whether the plan has come down to the budget by the end of the epoch.
  bool ends() const { return epoch_ + 1 >= planned_epochs_; }
  /// The bits planned for the end of the epoch that was measured last.
  double planned_bits() const { return planned_bits(epoch_ + 1); }
  /// ln(bits / planned bits at the end of the epoch), and the sum of it over the epochs, kept within -6 and 0.
  double error() const { return error_; }
  double integral() const { return integral_; }

  nlohmann::json state() const;
  /// Throws nlohmann::json::exception.
  void restore(const nlohmann::json& state);

 private:
  double most_alpha_;
  int epochs_;
  double planned_epochs_;
  double target_ = 0;

  // What a checkpoint holds.
  int epoch_ = -1;  // the one measured last
  bool is_met_ = false;
  double start_bits_ = 0;
  double bits_ = 0;
  double error_ = 0;
  double integral_ = 0;
};

}  // namespace bsq
