// What the ranks of a run share out and put together again: slices of batches, sums of metrics, the proof that all hold
// the same bits.
//
// N ranks visit the batches that one rank would visit; each takes its slice. Everything here is collective: every rank
// calls it at the same point.
#pragma once

#include "engine/files/safetensors.h"
#include "kernels/ranks/communicator.h"
#include "kernels/types.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace bsq {

/// A part of 0 .. size-1.
struct Slice {
  std::int64_t first = 0;
  std::int64_t count = 0;
  friend bool operator==(const Slice&, const Slice&) = default;
};

/// The rank's part of `size` things in their order. Parts differ by one at most, the larger ones first; with fewer
/// things than ranks the last ranks get none.
Slice slice_of(std::int64_t size, int rank, int world);

/// Gathers the values of every rank, which are as many on each: [world][values.size()].
template <typename T>
std::vector<T> gather(Communicator& communicator, std::span<const T> values) {
  std::vector<T> gathered(static_cast<std::size_t>(communicator.world()) * values.size());
  communicator.all_gather(values.data(), values.size_bytes(), gathered.data());
  return gathered;
}

/// The text of rank 0, on every rank.
std::string broadcast_text(Communicator& communicator, const std::string& text);

/// Turns metrics of this rank's slices into metrics of the whole batches, step by step: sums in the order of the ranks.
/// The penalty is not summed: it is one of the weights, which are the same everywhere.
void sum_over_ranks(Communicator& communicator, std::vector<StepMetrics>& metrics);

/// 64 bits over type, shape and content.
std::uint64_t checksum(const HostTensor& tensor);

/// Throws Error(device) on every rank, naming the tensors and the ranks, unless all have the same bits. `when` ends the
/// sentence: "after epoch 3 of stage bsq".
void check_same_on_ranks(Communicator& communicator, const std::vector<HostTensor>& tensors, std::string_view when);

}  // namespace bsq
