// The loss with its counts: one launch over the rows, whose last block adds up the sums of all.
//
// Least bytes: it reads the logits, those of a teacher too if there is one, and writes their gradient.
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

/// softmax(row / T) in parts: the logarithm of a class is (logit - largest) / T - log_sum. In double: a model that has
/// learned what it is taught differs from its teacher by little.
struct SoftRow {
  double largest;
  double log_sum;
  double temperature;

  __device__ double log_probability(float logit) const {
    return (static_cast<double>(logit) - largest) / temperature - log_sum;
  }
};

/// All lanes of a full warp work on one row.
__device__ SoftRow soft_row(const RowLogits& logits, int classes, double temperature) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  float largest = -INFINITY;
  for (int i = lane; i < classes; i += kWarp) largest = Largest()(largest, logits.of_lane(i));
  SoftRow row{static_cast<double>(reduce_warp(largest, Largest())), 0.0, temperature};
  double sum = 0;
  for (int i = lane; i < classes; i += kWarp) sum += exp(row.log_probability(logits.of_lane(i)));
  row.log_sum = log(reduce_warp(sum, Sum()));
  return row;
}

/// Returns T^2 KL(q || p) of a row. `d_row`, if it is there, keeps 1 - w of what its lanes hold and gets
/// w T (p - q) / batch. All lanes of a full warp call it.
__device__ double distill_row(const RowLogits& logits, const Distillation& distillation, const float* teacher_row,
                              int batch, int classes, float* d_row) {
  const auto weight = static_cast<double>(distillation.weight);
  const auto temperature = static_cast<double>(distillation.temperature);
  const RowLogits teacher_logits(teacher_row, classes);
  const SoftRow own = soft_row(logits, classes, temperature);
  const SoftRow target = soft_row(teacher_logits, classes, temperature);
  double divergence = 0;
  for (int i = static_cast<int>(threadIdx.x) % kWarp; i < classes; i += kWarp) {
    const double q_log = target.log_probability(teacher_logits.of_lane(i));
    const double p_log = own.log_probability(logits.of_lane(i));
    const double q = exp(q_log);
    if (q != 0) divergence += q * (q_log - p_log);
    if (d_row == nullptr) continue;
    const double taught = weight * temperature * (exp(p_log) - q) / batch;
    d_row[i] = static_cast<float>((1.0 - weight) * static_cast<double>(d_row[i]) + taught);
  }
  return temperature * temperature * reduce_warp(divergence, Sum());
}

/// What is added to the target of a class because its row is mixed with another one: a part of one label becomes one
/// of the other.
struct MixedLabels {
  int own = 0;
  int other = 0;
  double moved = 0;  // 0: not mixed, or with an image of the same class

  __device__ double change_of_target(int i) const { return i == other ? moved : i == own ? -moved : 0.0; }
};

__device__ MixedLabels mixed_labels(const std::int32_t* labels, std::int64_t row, int batch, double of_labels,
                                    float weight) {
  const int own = labels[row], other = labels[batch - 1 - row];
  return {own, other, own == other ? 0.0 : of_labels * (1.0 - static_cast<double>(weight))};
}

// grid at most kLossBlocks, block kLossThreads, one warp per row at a time
template <bool Distills, bool Mixed>
__global__ void cross_entropy(int batch, int classes, const float* logits, const std::int32_t* labels, float* d_logits,
                              const StepInputs* inputs, StepMetrics* metrics, double smoothing,
                              Distillation distillation, GridMemory memory) {
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
    MixedLabels mixed;
    if constexpr (Mixed) {
      mixed = mixed_labels(labels, row, batch, 1.0 - smoothing, inputs->mix.weight);
      const double of_other = row_logits.of_class(mixed.other);
      if (mixed.moved > 0) loss += mixed.moved * (static_cast<double>(of_label) - of_other);
    }
    float* d_row = d_logits == nullptr ? nullptr : d_logits + row * classes;
    const double per_exponential = 1.0 / (found.exponentials * batch);
    for (int i = lane; d_row != nullptr && i < classes; i += kWarp) {
      const double exponential = expf(row_logits.of_lane(i) - found.largest);
      // Of certainty nothing cancels; without smoothing the targets are 1 and 0, and their products exact.
      double target = i == label ? at_label : elsewhere;
      if constexpr (Mixed) target += mixed.change_of_target(i);
      const double above = exponential - target * found.exponentials;
      d_row[i] = static_cast<float>(above * per_exponential);
    }
    if constexpr (Distills) {
      const auto weight = static_cast<double>(distillation.weight);
      loss = weight < 1.0 ? (1.0 - weight) * loss : 0.0;  // of infinity too
      loss += weight *
              distill_row(row_logits, distillation, distillation.teacher_logits + row * classes, batch, classes, d_row);
    }
    own.add({loss, found.rank < 1, found.rank < 5});
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
  const bool distills = args.distillation.teacher_logits != nullptr;
  const auto kernel = args.mixed ? (distills ? cross_entropy<true, true> : cross_entropy<false, true>)
                                 : (distills ? cross_entropy<true, false> : cross_entropy<false, false>);
  launch(kernel, blocks < kLossBlocks ? blocks : kLossBlocks, dim3(kLossThreads), 0, on.stream, args.batch,
         args.classes, args.logits, args.labels, args.d_logits, args.inputs, args.metrics,
         static_cast<double>(args.label_smoothing), args.distillation, on.memory);
}

}  // namespace bsq::cuda
