// NCCL: what bsq needs of it. It is loaded when it is first needed, not linked: one GPU does not need it, and a plug-in
// that links it does not start if it is missing.
//
// Implemented in nccl.cpp; if bsq is built without NCCL, in no_nccl.cpp, where every function says so.
#pragma once

#include <cuda_runtime_api.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

namespace bsq::cuda {

/// "2.28.9": the version of the library that is there. Throws Error(device) with the reason alone if it cannot be used.
std::string nccl_version();

/// The id by which the ranks of a run find each other; made by one rank and sent to all.
using NcclId = std::array<char, 128>;
NcclId make_nccl_id();

/// The GPU of one rank among those of the others. It is freed together with theirs; while an exception is under way, by
/// itself, since the others may be gone.
class NcclHandle {
 public:
  NcclHandle() = default;
  NcclHandle(const NcclHandle&) = delete;
  NcclHandle& operator=(const NcclHandle&) = delete;
  virtual ~NcclHandle() = default;

  /// Replaces `floats` by the sum over the ranks of weight * floats: enqueued on `stream`, where it can be captured.
  virtual void weighted_sum(float* floats, std::size_t count, float weight, cudaStream_t stream) = 0;
  /// The same with the largest over the ranks.
  virtual void maximum(float* floats, std::size_t count, cudaStream_t stream) = 0;
  /// What has gone wrong outside of calls; empty: nothing. Any thread may ask.
  virtual std::string failure() const = 0;
};

/// To be called by all ranks, on the device that is current. Throws Error(device) if they have not found each other
/// within `patience`.
std::unique_ptr<NcclHandle> join_nccl(const NcclId& id, int rank, int world, int device, std::chrono::seconds patience);

}  // namespace bsq::cuda
