#include "kernels/rank_slice.h"

#include <algorithm>

namespace bsq {

std::int64_t RankSlice::rows_of_batch(std::int64_t rows) const {
  return rows / std::max(samples_, 1) * batch_;
}

void RankSlice::average(float* device, std::size_t count) {
  communicator_.start_weighted_sum(device, count, static_cast<float>(samples_) / static_cast<float>(batch_));
  communicator_.finish_reductions();
}

void RankSlice::maximum(float* device, std::size_t count) {
  if (samples_ == 0) backend_.fill_zero(device, count * sizeof(float));
  communicator_.start_maximum(device, count);
  communicator_.finish_reductions();
}

}  // namespace bsq
