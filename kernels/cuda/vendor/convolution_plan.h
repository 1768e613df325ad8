// One pass of a convolution, ready to be run by one engine of cuDNN.
#pragma once

#include "kernels/cuda/vendor/convolution_engines.h"

#include <functional>

namespace bsq::cuda {

class ConvPlan {
 public:
  /// Nothing if the engine does not serve after all. Some engines are compiled here.
  static std::optional<ConvPlan> of(const CudnnTarget& target, ConvEngine engine);

  std::size_t workspace_bytes() const { return workspace_bytes_; }
  const ConvEngine& engine() const { return engine_; }
  /// Enqueues it on the stream of the handle that it was made with. Input: x or dx; weight: w or dw; output: y or dy.
  void run(const void* input, const void* weight, const void* output, void* workspace) const;
  /// As run(), but returns whether cuDNN accepted it.
  bool try_run(const void* input, const void* weight, const void* output, void* workspace) const;

 private:
  ConvPlan(CudnnDescriptor plan, ConvEngine engine, std::shared_ptr<const CudnnHandle> handle,
           std::size_t workspace_bytes)
      : plan_(std::move(plan)),
        engine_(std::move(engine)),
        handle_(std::move(handle)),
        workspace_bytes_(workspace_bytes) {}

  cudnnStatus_t execute(const void* input, const void* weight, const void* output, void* workspace) const;

  CudnnDescriptor plan_;
  ConvEngine engine_;
  std::shared_ptr<const CudnnHandle> handle_;  // null: the plan is for a device that is not there
  std::size_t workspace_bytes_;
};

struct ConvPlanOptions {
  bool allow_tf32 = false;
  std::size_t most_workspace_bytes = 0;
  /// Whether a plan does what it should on the device that is there; not asked if it is empty.
  std::function<bool(const ConvPlan&)> accepts = {};
};

/// The plan of the first engine that cuDNN's heuristics name, that is exact enough, and that runs here. Two exceptions:
/// for filter gradients in tf32 an engine that copies no operand comes first if that was measured to be better; an
/// engine that was measured to be slow serves only if no other does. Nothing if there is no engine.
std::optional<ConvPlan> find_plan(const CudnnTarget& target, const ConvGeometry& geometry, ConvPass pass,
                                  const ConvPlanOptions& options);

}  // namespace bsq::cuda
