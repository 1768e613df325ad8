// Ranks with one GPU each: NCCL reduces what lies in GPU memory; everything else is done by the communicator that has
// started the ranks.
#pragma once

#include "kernels/ranks/communicator.h"

#include <cuda_runtime_api.h>

#include <memory>
#include <string>

namespace bsq::cuda {

/// Reductions wait for work on `stream` of `device`. To be called by all ranks. Throws the same Error(device) on all if
/// one has no NCCL, or if two have the same GPU. Any rank's error is Error(device).
std::unique_ptr<Communicator> make_nccl_communicator(Communicator& ranks, int device, cudaStream_t stream);

}  // namespace bsq::cuda
