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
  /// Rows of all ranks together, if there are `rows` here.
  virtual std::int64_t rows_of_batch(std::int64_t rows) const = 0;
  /// Means over the rows here become means over all rows.
  virtual void average(float* device, std::size_t count) = 0;
  /// Maxima of what is here, none negative, become those of all.
  virtual void maximum(float* device, std::size_t count) = 0;
};

}  // namespace bsq
