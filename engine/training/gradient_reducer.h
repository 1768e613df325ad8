// Puts the ranks' gradients together while the backward pass still runs.
//
// What is reduced is the dense gradient of Model::gradients(), 4 bytes per weight whatever its number of bits, in
// buckets that go on their way as soon as the last of their gradients is there; and the running statistics, final after
// the forward pass, so that at every step all ranks hold the same bits whenever somebody asks for a checkpoint.
//
// Weights: a rank's loss gradient is that of the mean over its own slice; weighted with the slice's share of the batch
// the sum is that of the mean over the whole batch, and the statistics are the mean over its samples. (Batch norm
// itself normalizes every slice by itself, and so does the scale of quantized activations, unless they are
// synchronised: kernels/batch_slice.h.)
#pragma once

#include "engine/model/model.h"
#include "kernels/ranks/communicator.h"

#include <vector>

namespace bsq {

/// A range of Model::gradients(), in floats, that is final once the backward pass of `node` is done.
struct GradientBucket {
  std::int64_t offset = 0;
  std::int64_t count = 0;
  std::size_t node = 0;
};

/// Buckets of at least `least_floats` if a group has as many, in the order in which they become final. Together they
/// cover everything once.
std::vector<GradientBucket> plan_buckets(const Network& network, const ArenaLayout& quantized, const ArenaLayout& plain,
                                         std::int64_t least_floats);

/// What every rank hands over in one step; nothing if there is one alone.
struct ReducedBytes {
  std::size_t gradients = 0;
  std::size_t statistics = 0;
};

class GradientReducer {
 public:
  /// Both must outlive the reducer.
  GradientReducer(Communicator& communicator, Model& model);

  /// To be called after the forward pass. `weight`: this rank's share of the batch, 0 .. 1.
  void start_statistics(float weight);
  /// To be called after the backward pass of `node`, for nodes in falling order; nodes left out count as done.
  void node_done(std::size_t node, float weight);
  /// Work enqueued from here on sees the sums.
  void finish();

  ReducedBytes bytes_per_step() const;

 private:
  Communicator& communicator_;
  Model& model_;
  std::vector<GradientBucket> buckets_;  // none for a single rank
  std::size_t next_bucket_ = 0;
};

}  // namespace bsq
