// Filter gradients of bf16 tensors are promised in float32. cuDNN has engines that write float32 from bf16, but they
// are slow: the faster of two takes 639 us for 16 to 16 channels, 3x3, on 128 images of 32x32 (H200, cuDNN 9.19). To
// widen both operands to float32 takes two kernels of 3 to 7 us and an engine of 55 us: every bf16 number is a tf32
// number, so that tensor cores lose nothing.
#include "kernels/cuda/vendor/convolution_plans.h"

#include "kernels/planned_passes.h"

#include <algorithm>

namespace bsq::cuda {
namespace {

constexpr std::size_t kMostWorkspaceBytes = std::size_t{256} << 20;  // a plan that needs more is skipped
constexpr std::size_t kAlignment = 256;

std::size_t aligned(std::size_t size_bytes) {
  return (size_bytes + kAlignment - 1) / kAlignment * kAlignment;
}

std::size_t bytes_of(const Shape& shape, DType dtype) {
  return static_cast<std::size_t>(shape.numel()) * size_of(dtype);
}

ConvGeometry widened(ConvGeometry geometry) {
  geometry.dtype = DType::f32;
  return geometry;
}

}  // namespace

ConvolutionPlanner::ConvolutionPlanner(CudnnTarget target, bool allow_tf32, PlanTrials trials)
    : target_(std::move(target)), allow_tf32_(allow_tf32), trials_(std::move(trials)) {}

void ConvolutionPlanner::plan(std::span<const ConvRequest> requests) {
  for (const ConvRequest& request : requests)
    for (const ConvPass pass : kEveryPass)
      if (request.passes.contains(pass) && !is_planned(request.geometry, pass))
        keep(request.geometry, pass, plan_pass(request.geometry, pass));
}

PlannedPass ConvolutionPlanner::plan_pass(const ConvGeometry& geometry, ConvPass pass) const {
  const bool widens = pass == ConvPass::backward_weight && geometry.dtype == DType::bf16;
  const ConvGeometry read = widens ? widened(geometry) : geometry;
  PlannedPass planned;
  planned.plan = find_plan(target_, read, pass,
                           {.allow_tf32 = allow_tf32_ || widens,
                            .most_workspace_bytes = kMostWorkspaceBytes,
                            .accepts = trial_of(read, pass)});
  planned.widens_operands = widens && planned.plan;
  return planned;
}

/// Keeps the plan of a pass: lays out its scratch memory and notes which engine it is.
void ConvolutionPlanner::keep(const ConvGeometry& geometry, ConvPass pass, PlannedPass planned) {
  EngineNote note;
  note.geometry = geometry;
  note.pass = pass;
  note.engine = "own loops";
  if (planned.plan) {
    const ConvEngine& engine = planned.plan->engine();
    note.engine = fmt::format("cuDNN {}", engine.index);
    note.found_by = engine.found_by;
    note.numerics = names_of(engine.numerics);
    note.behavior = names_of(engine.behavior);
    note.workspace_bytes = planned.plan->workspace_bytes();
    note.widens_operands = planned.widens_operands;
    planned.result_offset = aligned(note.workspace_bytes);
    planned.second_offset = planned.result_offset + aligned(bytes_of(geometry.input_shape(), DType::f32));
    planned.scratch_bytes = note.workspace_bytes;
    if (pass == ConvPass::backward_data)
      planned.scratch_bytes = planned.result_offset + bytes_of(geometry.input_shape(), geometry.dtype);
    if (planned.widens_operands)
      planned.scratch_bytes = planned.second_offset + bytes_of(geometry.output_shape(), DType::f32);
  } else {
    notes_.push_back(fmt::format("convolution {}: no cuDNN engine that serves; {} runs by own loops, which are slow",
                                 describe(geometry), name_of(pass)));
  }
  engines_.push_back(std::move(note));
  planned_[geometry][static_cast<std::size_t>(pass)] = std::move(planned);
}

bool ConvolutionPlanner::is_planned(const ConvGeometry& geometry, ConvPass pass) const {
  const auto known = planned_.find(geometry);
  return known != planned_.end() && known->second[static_cast<std::size_t>(pass)].has_value();
}

std::function<bool(const ConvPlan&)> ConvolutionPlanner::trial_of(const ConvGeometry& geometry, ConvPass pass) const {
  if (!trials_) return {};
  return [=, this](const ConvPlan& plan) { return trials_(geometry, pass, plan); };
}

const PlannedPass& ConvolutionPlanner::find(const ConvGeometry& geometry, ConvPass pass) const {
  require_planned(geometry, pass, is_planned(geometry, pass));
  return *planned_.at(geometry)[static_cast<std::size_t>(pass)];
}

std::size_t ConvolutionPlanner::scratch_bytes(const ConvGeometry& geometry, const ConvPasses& passes) const {
  std::size_t most = 0;
  for (const ConvPass pass : kEveryPass)
    if (passes.contains(pass)) most = std::max(most, find(geometry, pass).scratch_bytes);
  return most;
}

}  // namespace bsq::cuda
