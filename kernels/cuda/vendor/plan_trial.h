// A trial of a plan of a vendor's library before it is taken: it runs twice, on memory and random operands of its own.
// So everything it loads is loaded before work is captured, and a plan that cannot run, or does not give the same bits
// twice, is skipped.
#pragma once

#include "kernels/ops/convolution.h"

#include <cuda_runtime_api.h>

#include <functional>

namespace bsq::cuda {

struct TrialOperands {
  const void* input;   // x or dx
  const void* weight;  // w or dw
  const void* output;  // y or dy
  void* workspace;
};

/// `run` enqueues the pass on `stream`, and says whether that was accepted. Throws Error(device) if the device fails,
/// or has no memory left.
bool runs_twice_alike(const ConvGeometry& geometry, ConvPass pass, std::size_t workspace_bytes, cudaStream_t stream,
                      const std::function<bool(const TrialOperands&)>& run);

}  // namespace bsq::cuda
