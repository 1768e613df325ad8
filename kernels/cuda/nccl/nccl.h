// NCCL: what bsq needs of it. Loaded when it is first asked for, not linked: one GPU needs none, and a plug-in that
// links it does not start where it is missing.
//
// Implemented in nccl.cpp; where bsq is built without NCCL in no_nccl.cpp, where every function says so.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

namespace bsq::cuda {

/// "2.28.9", of the library that is there. Throws Error(device) with the reason alone where it cannot be used.
std::string nccl_version();

/// By what the ranks of a run find each other; made by one, told to all.
using NcclId = std::array<char, 128>;
NcclId make_nccl_id();

/// The GPU of one rank among those of the others. Freed together with theirs; while an exception is under way without
/// them, since they may be gone.
class NcclHandle {
 public:
  NcclHandle() = default;
  NcclHandle(const NcclHandle&) = delete;
  NcclHandle& operator=(const NcclHandle&) = delete;
  virtual ~NcclHandle() = default;

  /// Replaces `floats` by the sum over the ranks of weight * floats: enqueued on `stream`, where it can be captured.
  virtual void weighted_sum(float* floats, std::size_t count, float weight, cudaStream_t stream) = 0;
  /// Likewise by the largest over the ranks.
  virtual void maximum(float* floats, std::size_t count, cudaStream_t stream) = 0;
  /// What has gone wrong behind the back of the calls; empty: nothing. Any thread may ask.
  virtual std::string failure() const = 0;
};

/// To be called by all ranks, on the device that is current. Throws Error(device) where they have not found each other
/// within `patience`.
std::unique_ptr<NcclHandle> join_nccl(const NcclId& id, int rank, int world, int device, std::chrono::seconds patience);

}  // namespace bsq::cuda
