// Filter gradients of bf16 tensors. cuDNN's heuristics name no engine that writes them in float32, which is what is
// promised; but it has some, which it compiles when they are planned. That takes a second or more each, so it is done
// for what runs at every step, and on several threads. Everywhere else the operands are widened to float32 first: every
// bf16 number is a tf32 number, so that tensor cores lose nothing of them.
#include "kernels/cuda/vendor/convolution_plans.h"

#include "kernels/planned_passes.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

namespace bsq::cuda {
namespace {

constexpr std::size_t kMostWorkspaceBytes = std::size_t{256} << 20;  // a plan that wants more is passed over
constexpr std::size_t kAlignment = 256;
constexpr std::size_t kMostThreads = 8;  // that compile
constexpr ConvPass kPasses[] = {ConvPass::forward, ConvPass::backward_data, ConvPass::backward_weight};

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

ConvolutionPlanner::ConvolutionPlanner(std::function<CudnnTarget()> make_target, bool allow_tf32, PlanTrials trials)
    : make_target_(std::move(make_target)),
      target_(make_target_()),
      allow_tf32_(allow_tf32),
      trials_(std::move(trials)) {}

void ConvolutionPlanner::plan(std::span<const ConvRequest> requests) {
  std::set<ConvGeometry> unnamed;  // filter gradients of bf16 tensors for which the heuristics have nothing
  for (const auto& [geometry, passes, runs_often] : requests) {
    for (const ConvPass pass : kPasses) {
      const bool may_be_compiled = pass == ConvPass::backward_weight && geometry.dtype == DType::bf16;
      if (!passes.contains(pass) || is_planned(geometry, pass)) continue;
      if (may_be_compiled && unnamed.contains(geometry)) continue;
      PlannedPass planned = plan_named(geometry, pass);
      if (planned.plan || !may_be_compiled)
        keep(geometry, pass, std::move(planned), 0);
      else
        unnamed.insert(geometry);
    }
  }
  std::map<ConvGeometry, DirectGradient> compiled = compile(requests);
  for (const auto& [geometry, passes, runs_often] : requests)
    if (passes.backward_weight && !is_planned(geometry, ConvPass::backward_weight))
      plan_bf16_gradient(geometry, compiled[geometry]);
}

/// Compiles what runs often, on as many threads as there are cores.
std::map<ConvGeometry, ConvolutionPlanner::DirectGradient> ConvolutionPlanner::compile(
    std::span<const ConvRequest> requests) const {
  std::map<ConvGeometry, DirectGradient> compiled;
  for (const auto& [geometry, passes, runs_often] : requests)
    if (runs_often && passes.backward_weight && !is_planned(geometry, ConvPass::backward_weight))
      compiled.try_emplace(geometry);
  std::vector<std::pair<const ConvGeometry, DirectGradient>*> jobs;
  for (auto& job : compiled) jobs.push_back(&job);
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    std::optional<CudnnTarget> target;  // of this thread
    for (std::size_t i = next++; i < jobs.size(); i = next++) {
      auto& [geometry, result] = *jobs[i];
      try {
        if (!target) target.emplace(make_target_());
        result = compile_gradient(*target, geometry);
      } catch (const std::exception& error) {
        result.obstacle = error.what();
      }
    }
  };
  const auto cores = std::max<std::size_t>(1, std::thread::hardware_concurrency());
  {
    std::vector<std::jthread> helpers;  // joined at the end
    try {
      while (helpers.size() + 1 < std::min({jobs.size(), kMostThreads, cores})) helpers.emplace_back(work);
    } catch (const std::system_error&) {  // a limit on threads: the others do it
    }
    work();
  }
  return compiled;
}

ConvolutionPlanner::DirectGradient ConvolutionPlanner::compile_gradient(const CudnnTarget& target,
                                                                        const ConvGeometry& geometry) {
  const auto begin = std::chrono::steady_clock::now();
  const std::optional<ConvGraph> graph = ConvGraph::of(target, geometry, ConvPass::backward_weight);
  CompiledEngines engines = graph ? graph->compiled() : CompiledEngines{};
  DirectGradient result;
  for (ConvEngine& engine : engines.engines) {
    if (!is_exact_enough(engine.numerics, geometry.dtype, /*allow_tf32=*/false)) continue;
    result.plan = ConvPlan::of(target, std::move(engine));
    if (result.plan && result.plan->workspace_bytes() <= kMostWorkspaceBytes) break;
    result.obstacle = result.plan ? "the engine that cuDNN compiles for it wants too much memory"
                                  : fmt::format("cuDNN fails to compile its engine ({})", cudnn_last_message());
    result.plan.reset();
  }
  if (result.plan)
    result.obstacle.clear();
  else if (engines.known == 0)
    result.obstacle = fmt::format("cuDNN {} has no engine that writes float32 from bf16", cudnn_version());
  else if (engines.lacks_compiler && engines.engines.empty())
    result.obstacle =
        "cuDNN finds no NVRTC to compile its engine with; put libnvrtc and libnvrtc-builtins of the CUDA toolkit "
        "beside "
        "cuDNN, or their folder into LD_LIBRARY_PATH";
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return result;
}

void ConvolutionPlanner::plan_bf16_gradient(const ConvGeometry& geometry, DirectGradient& compiled) {
  const auto accepts = trial_of(geometry, ConvPass::backward_weight);
  if (compiled.plan && accepts && !accepts(*compiled.plan)) {
    compiled.plan.reset();
    compiled.obstacle = "the engine that cuDNN compiles for it does not run here, or not twice alike";
  }
  if (!compiled.obstacle.empty() && obstacles_.insert(compiled.obstacle).second)
    notes_.push_back(fmt::format(
        "filter gradients of bf16 tensors are computed from operands that are widened to float32 first, which takes "
        "longer: {} (convolution {})",
        compiled.obstacle, describe(geometry)));
  PlannedPass planned;
  planned.plan = std::move(compiled.plan);
  keep(geometry, ConvPass::backward_weight, planned.plan ? std::move(planned) : plan_widened(geometry),
       compiled.seconds);
}

PlannedPass ConvolutionPlanner::plan_named(const ConvGeometry& geometry, ConvPass pass) const {
  PlannedPass planned;
  planned.plan = find_plan(
      target_, geometry, pass,
      {.allow_tf32 = allow_tf32_, .most_workspace_bytes = kMostWorkspaceBytes, .accepts = trial_of(geometry, pass)});
  return planned;
}

PlannedPass ConvolutionPlanner::plan_widened(const ConvGeometry& geometry) const {
  const ConvGeometry wide = widened(geometry);
  // With less workspace than an operand has bytes, an engine does not copy one into another layout.
  const std::size_t smaller_operand =
      std::min(bytes_of(wide.input_shape(), wide.dtype), bytes_of(wide.output_shape(), wide.dtype));
  PlannedPass planned;
  planned.plan = find_plan(target_, wide, ConvPass::backward_weight,
                           {.allow_tf32 = true,
                            .most_workspace_bytes = kMostWorkspaceBytes,
                            .good_workspace_bytes = smaller_operand,
                            .accepts = trial_of(wide, ConvPass::backward_weight)});
  planned.widens_operands = planned.plan.has_value();
  return planned;
}

/// Lays out its scratch and takes down what it is.
void ConvolutionPlanner::keep(const ConvGeometry& geometry, ConvPass pass, PlannedPass planned, double seconds) {
  EngineNote note;
  note.geometry = geometry;
  note.pass = pass;
  note.engine = "own loops";
  note.planning_seconds = seconds;
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
  for (const ConvPass pass : kPasses)
    if (passes.contains(pass)) most = std::max(most, find(geometry, pass).scratch_bytes);
  return most;
}

}  // namespace bsq::cuda
