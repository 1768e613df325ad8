// What a plan of a vendor's library does before it is taken: it runs twice, on memory and random operands of its own.
// So everything it loads is loaded before work is captured, and one that cannot run, or not twice alike, is passed
// over.
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

/// `run` enqueues the pass on `stream`, and says whether that was taken. Throws Error(device) where the device fails,
/// or has no memory left.
bool runs_twice_alike(const ConvGeometry& geometry, ConvPass pass, std::size_t workspace_bytes, cudaStream_t stream,
                      const std::function<bool(const TrialOperands&)>& run);

}  // namespace bsq::cuda
