// How the passes of convolutions are run by cuDNN: planned together, once, and kept.
#pragma once

#include "kernels/cuda/vendor/convolution_plan.h"
#include "kernels/engine_note.h"

#include <array>
#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace bsq::cuda {

/// How one pass is run. Scratch: the workspace; then a gradient that is added to another (backward_data), or the two
/// operands in float32 (backward_weight that widens them).
struct PlannedPass {
  std::optional<ConvPlan> plan;   // none: own loops run the pass
  bool widens_operands = false;   // the plan reads float32, and the tensors are bf16
  std::size_t result_offset = 0;  // bytes
  std::size_t second_offset = 0;  // bytes; the widened d_output
  std::size_t scratch_bytes = 0;
};

/// Tells whether a plan does what it should on the device that is there (plan_trial.h).
using PlanTrials = std::function<bool(const ConvGeometry& geometry, ConvPass pass, const ConvPlan& plan)>;

class ConvolutionPlanner {
 public:
  /// `trials` may be empty. `allow_tf32`: float32 operands may be rounded to tf32.
  ConvolutionPlanner(CudnnTarget target, bool allow_tf32, PlanTrials trials = {});

  /// What has been planned stays as it is.
  void plan(std::span<const ConvRequest> requests);
  /// Throws Error(internal) for a pass that was not planned.
  const PlannedPass& find(const ConvGeometry& geometry, ConvPass pass) const;
  /// The most that any of the passes needs.
  std::size_t scratch_bytes(const ConvGeometry& geometry, const ConvPasses& passes) const;

  const std::vector<EngineNote>& engines() const { return engines_; }
  /// One sentence per pass that is left to own loops.
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  PlannedPass plan_pass(const ConvGeometry& geometry, ConvPass pass) const;
  void keep(const ConvGeometry& geometry, ConvPass pass, PlannedPass planned);
  bool is_planned(const ConvGeometry& geometry, ConvPass pass) const;
  std::function<bool(const ConvPlan&)> trial_of(const ConvGeometry& geometry, ConvPass pass) const;

  CudnnTarget target_;
  bool allow_tf32_;
  PlanTrials trials_;
  std::map<ConvGeometry, std::array<std::optional<PlannedPass>, 3>> planned_;  // by ConvPass
  std::vector<EngineNote> engines_;
  std::vector<std::string> notes_;
};

}  // namespace bsq::cuda
