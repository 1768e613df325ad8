// The loss with its counts: one launch over the rows, whose last block adds up the sums of all.
//
// Least bytes: it reads the logits and writes their gradient.
#include "kernels/cuda/device/device.cuh"
#include "kernels/cuda/ops/launchers.h"

namespace bsq::cuda {
namespace {

constexpr int kLossThreads = 256;
constexpr int kLossWarps = kLossThreads / kWarp;
constexpr int kLastRank = 1 << 30;     // past every top
constexpr unsigned kLossBlocks = 256;  // at most

/// The sums of a warp, then of a block, then of the grid.
struct LossSums {
  double loss = 0;
  int top1 = 0;
  int top5 = 0;

  __device__ void add(const LossSums& other) {
    loss += other.loss;
    top1 += other.top1;
    top5 += other.top5;
  }
};
static_assert(kLossBlocks * sizeof(LossSums) <= GridMemory::kSumBytes);

struct RowLoss {
  float largest = 0;
  double exponentials = 0;
  int rank = 0;  // how many logits come before the label's; kLastRank if the row has a NaN
};

/// A row of logits. Each lane of a full warp holds one of them; if there are more, the others are read again.
class RowLogits {
 public:
  __device__ RowLogits(const float* logits, int classes)
      : logits_(logits),
        lane_(static_cast<int>(threadIdx.x) % kWarp),
        own_(lane_ < classes ? logits[lane_] : -INFINITY) {}
  /// `i`: the lane plus a multiple of kWarp.
  __device__ float of_lane(int i) const { return i == lane_ ? own_ : logits_[i]; }
  /// `i`: the same in all lanes.
  __device__ float of_class(int i) const {
    const float among_first = __shfl_sync(kFullMask, own_, i % kWarp);
    return i < kWarp ? among_first : logits_[i];
  }

 private:
  const float* logits_;
  int lane_;
  float own_;
};

/// All lanes of a full warp work on one row.
__device__ RowLoss row_loss(const RowLogits& logits, int classes, int label, float of_label) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  float largest = -INFINITY;
  int rank = 0;
  int nans = 0;
  for (int i = lane; i < classes; i += kWarp) {
    const float logit = logits.of_lane(i);
    largest = Largest()(largest, logit);
    nans += logit != logit;
    rank += logit > of_label || (logit == of_label && i < label);
  }
  largest = reduce_warp(largest, Largest());
  double exponentials = 0;
  for (int i = lane; i < classes; i += kWarp) exponentials += expf(logits.of_lane(i) - largest);
  exponentials = reduce_warp(exponentials, Sum());
  rank = reduce_warp(rank, Sum());
  nans = reduce_warp(nans, Sum());
  return {largest, exponentials, nans > 0 ? kLastRank : rank};
}

/// The mean over all classes of what the row would cost if it were the label. All lanes of a full warp call it.
__device__ double mean_loss(const RowLogits& logits, int classes, const RowLoss& found) {
  double sum = 0;
  for (int i = static_cast<int>(threadIdx.x) % kWarp; i < classes; i += kWarp)
    sum += static_cast<double>(logits.of_lane(i) - found.largest);
  return log(found.exponentials) - reduce_warp(sum, Sum()) / classes;
}

// grid at most kLossBlocks, block kLossThreads, one warp per row at a time
__global__ void cross_entropy(int batch, int classes, const float* logits, const std::int32_t* labels, float* d_logits,
                              const StepInputs* inputs, StepMetrics* metrics, double smoothing, GridMemory memory) {
  wait_for_previous();
  BSQ_SHARED(LossSums, shared, [kLossWarps]);
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const std::int64_t row_step = std::int64_t{gridDim.x} * kLossWarps;
  const std::int64_t slot = inputs->metrics_slot;
  const double elsewhere = smoothing / classes;  // the target of a class that is not the label
  const double at_label = 1.0 - smoothing + elsewhere;
  LossSums own;
  for (std::int64_t row = std::int64_t{blockIdx.x} * kLossWarps + warp; row < batch; row += row_step) {
    const RowLogits row_logits(logits + row * classes, classes);
    const int label = labels[row];
    const float of_label = row_logits.of_class(label);
    const RowLoss found = row_loss(row_logits, classes, label, of_label);
    double loss = log(found.exponentials) - static_cast<double>(of_label - found.largest);
    if (smoothing > 0) loss = (1.0 - smoothing) * loss + smoothing * mean_loss(row_logits, classes, found);
    own.add({loss, found.rank < 1, found.rank < 5});
    if (d_logits == nullptr) continue;
    const double per_exponential = 1.0 / (found.exponentials * batch);
    for (int i = lane; i < classes; i += kWarp) {
      const double exponential = expf(row_logits.of_lane(i) - found.largest);
      // Of certainty nothing cancels; without smoothing the targets are 1 and 0, and their products exact.
      const double above = exponential - (i == label ? at_label : elsewhere) * found.exponentials;
      d_logits[row * classes + i] = static_cast<float>(above * per_exponential);
    }
  }
  if (lane == 0) shared[warp] = own;
  __syncthreads();
  auto* blocks = static_cast<LossSums*>(memory.sums);
  if (threadIdx.x == 0) {
    for (int other = 1; other < kLossWarps; ++other) own.add(shared[other]);
    blocks[blockIdx.x] = own;
  }
  if (!arrives_last(memory.counters, gridDim.x) || threadIdx.x != 0) return;
  LossSums all;
#pragma unroll 16
  for (unsigned block = 0; block < gridDim.x; ++block) all.add(blocks[block]);
  StepMetrics& result = metrics[slot];
  result.loss_sum = all.loss;
  result.top1 = all.top1;
  result.top5 = all.top5;
  result.samples = batch;
}

}  // namespace

void softmax_cross_entropy(const CrossEntropyArgs& args, const DeviceContext& on) {
  const unsigned blocks = (static_cast<unsigned>(args.batch) + kLossWarps - 1) / kLossWarps;
  launch(cross_entropy, blocks < kLossBlocks ? blocks : kLossBlocks, dim3(kLossThreads), 0, on.stream, args.batch,
         args.classes, args.logits, args.labels, args.d_logits, args.inputs, args.metrics,
         static_cast<double>(args.label_smoothing), on.memory);
}

}  // namespace bsq::cuda
