// Ranks with a GPU each: reductions of what lies in their memory are NCCL's, everything else is done by the
// communicator that has started the ranks.
#pragma once

#include "kernels/ranks/communicator.h"

#include <cuda_runtime_api.h>

#include <memory>
#include <string>

namespace bsq::cuda {

/// Reduces what is enqueued on `stream` of `device`. To be called by all ranks; the same Error(device) on all where one
/// has no NCCL, or two have the same GPU. Any rank's error is Error(device).
std::unique_ptr<Communicator> make_nccl_communicator(Communicator& ranks, int device, cudaStream_t stream);

}  // namespace bsq::cuda
