#include "kernels/cuda/vendor/convolution_plan.h"

#include "kernels/base/error.h"
#include "kernels/cuda/check.h"

#include <array>

namespace bsq::cuda {

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
  std::optional<ConvPlan> first;
  for (const cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
    if (!graph) break;
    for (ConvEngine& engine : graph->named_by(mode)) {
      if (!is_exact_enough(engine.numerics, geometry.dtype, options.allow_tf32)) continue;
      std::optional<ConvPlan> plan = ConvPlan::of(target, std::move(engine));
      if (!plan || plan->workspace_bytes() > options.most_workspace_bytes) continue;
      const bool is_good = plan->workspace_bytes() < options.good_workspace_bytes;
      if (!is_good && first) continue;
      if (options.accepts && !options.accepts(*plan)) continue;
      if (is_good) return plan;
      first = std::move(plan);
    }
  }
  if (!first && target.is_there())
    BSQ_CUDA_CHECK(cudaDeviceSynchronize());  // or does the device fail whatever it is asked?
  return first;
}

}  // namespace bsq::cuda
