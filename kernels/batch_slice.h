// What turns statistics of a rank's slice into those of the whole batch, in the middle of an operation: synchronised
// batch norm (METHOD 10).
//
// Backends call it between the passes of norm_act, and every rank does so in the same order. Like the operations
// themselves it only enqueues. Implemented in rank_slice.h; an interface without inline functions, because the CPU's
// loops, compiled once for each instruction set, call it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace bsq {

class BatchSlice {
 public:
  virtual ~BatchSlice() = default;
  /// The rows of all ranks together, if this rank has `rows`.
  virtual std::int64_t rows_of_batch(std::int64_t rows) const = 0;
  /// Replaces means over the rows of this rank by means over all rows.
  virtual void average(float* device, std::size_t count) = 0;
  /// Replaces maxima on this rank, none of them negative, by the maxima over all ranks.
  virtual void maximum(float* device, std::size_t count) = 0;
};

}  // namespace bsq
