#include "kernels/cuda/vendor/convolution_plan.h"

#include "kernels/base/error.h"
#include "kernels/cuda/check.h"

#include <algorithm>
#include <vector>

namespace bsq::cuda {
namespace {

std::size_t bytes_of(const Shape& shape, DType dtype) {
  return static_cast<std::size_t>(shape.numel()) * size_of(dtype);
}

/// Whether tensor cores that read the operands of a filter gradient where they lie go before engines that the
/// heuristics prefer, which copy them into another layout. H200, cuDNN 9.19, the layers of ResNet-20 at batch 128: 39
/// us instead of 154 (3x3, 32 to 32 channels), 40 instead of 54 (16 to 32, strided), 23 instead of 27 (32 to 64,
/// strided), the same engine in the others; but 112 instead of 55 with 16 to 16 channels, and more than 91 instead of
/// 75 in the stem. With groups the heuristics know engines that copy nothing, depthwise ones among them.
bool prefers_no_copies(const ConvGeometry& geometry, ConvPass pass, bool allow_tf32) {
  return pass == ConvPass::backward_weight && geometry.dtype == DType::f32 && allow_tf32 && geometry.groups == 1 &&
         std::min(geometry.in_channels, geometry.out_channels) >= 16 &&
         std::max(geometry.in_channels, geometry.out_channels) >= 32;
}

/// Whether a plan uses tensor cores with less workspace than a copy of the smaller operand takes. Other engines copy
/// nothing either, but are several times as slow (number 1: 226 us with 32 to 32 channels); an A100 has only such ones.
bool copies_nothing(const ConvPlan& plan, const ConvGeometry& geometry) {
  const std::size_t smaller_operand =
      std::min(bytes_of(geometry.input_shape(), geometry.dtype), bytes_of(geometry.output_shape(), geometry.dtype));
  return plan.engine().uses_tensor_cores() && plan.workspace_bytes() < smaller_operand;
}

/// cuDNN's engine 0 sums filter gradients in 1.2 to 2.3 ms where the best others take 0.03 to 0.3 ms, 528 us in the
/// stem instead of 203 (H200, cuDNN 9.19, the 3x3 layers of ResNet-20 at batch 128 in fp32; the heuristics put it first
/// in one). With 1x1 filters it is as good as the others at best.
bool is_slow(const ConvEngine& engine, ConvPass pass) {
  return pass == ConvPass::backward_weight && engine.index == 0;
}

/// The engines that are exact enough, best first.
std::vector<ConvEngine> candidates(const ConvGraph& graph, DType dtype, ConvPass pass, bool allow_tf32) {
  std::vector<ConvEngine> engines;
  for (const cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK})
    for (ConvEngine& engine : graph.named_by(mode))
      if (is_exact_enough(engine.numerics, dtype, allow_tf32)) engines.push_back(std::move(engine));
  std::ranges::stable_partition(engines, [=](const ConvEngine& engine) { return !is_slow(engine, pass); });
  return engines;
}

}  // namespace

std::optional<ConvPlan> ConvPlan::of(const CudnnTarget& target, ConvEngine engine) {
  CudnnDescriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
  target.set_on_plan(plan);
  plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, engine.config);
  if (plan.try_finalize() != CUDNN_STATUS_SUCCESS) return std::nullopt;
  const auto workspace = plan.get<std::int64_t>(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1);
  if (workspace.empty()) return std::nullopt;
  return ConvPlan(std::move(plan), std::move(engine), target.handle(), static_cast<std::size_t>(workspace.front()));
}

cudnnStatus_t ConvPlan::execute(const void* input, const void* weight, const void* output, void* workspace) const {
  require(handle_ != nullptr, "a convolution planned for a device that is not there cannot be run");
  const void* pointers[] = {input, weight, output};
  const std::vector<std::int64_t> uids = {kInputUid, kWeightUid, kOutputUid};
  CudnnDescriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, std::ssize(uids), pointers);
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, uids);
  pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
  pack.finalize();
  return cudnnBackendExecute(handle_->get(), plan_.get(), pack.get());
}

void ConvPlan::run(const void* input, const void* weight, const void* output, void* workspace) const {
  BSQ_CUDNN_CHECK(execute(input, weight, output, workspace));
}

bool ConvPlan::try_run(const void* input, const void* weight, const void* output, void* workspace) const {
  return execute(input, weight, output, workspace) == CUDNN_STATUS_SUCCESS;
}

std::optional<ConvPlan> find_plan(const CudnnTarget& target, const ConvGeometry& geometry, ConvPass pass,
                                  const ConvPlanOptions& options) {
  const std::optional<ConvGraph> graph = ConvGraph::of(target, geometry, pass);
  const bool wants_no_copies = prefers_no_copies(geometry, pass, options.allow_tf32);
  std::optional<ConvPlan> first;
  if (graph) {
    for (ConvEngine& engine : candidates(*graph, geometry.dtype, pass, options.allow_tf32)) {
      std::optional<ConvPlan> plan = ConvPlan::of(target, std::move(engine));
      if (!plan || plan->workspace_bytes() > options.most_workspace_bytes) continue;
      const bool is_good = !wants_no_copies || copies_nothing(*plan, geometry);
      if (!is_good && first) continue;
      if (options.accepts && !options.accepts(*plan)) continue;
      if (is_good) return plan;
      first = std::move(plan);
    }
  }
  if (!first && target.is_there()) BSQ_CUDA_CHECK(cudaDeviceSynchronize());  // throws if the device itself has failed
  return first;
}

}  // namespace bsq::cuda
