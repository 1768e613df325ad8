// The end of a network: average pooling, the bias of the classifier, the loss with its counts.
//
// Least bytes: pooling reads (writes) its large side once; the loss reads the logits and writes their gradient. All of
// it is small beside one convolution.
#include "kernels/cuda/channel_tiles.cuh"
#include "kernels/cuda/kernels.h"

namespace bsq::cuda {
namespace {

// grid (batch, column tiles), block kTileThreads, one thread per vector of a pixel at a time
template <typename T, int Width>
__global__ void pool_forward(ChannelTiles tiles, const T* input, TensorUnit unit, float* output) {
  BSQ_SHARED(float, shared, [kTileThreads * Width]);
  TilePlace place(tiles);
  const std::int64_t sample = blockIdx.x;
  float sum[Width] = {};
  if (place.active) {
    for (std::int64_t pixel = place.lane; pixel < tiles.rows; pixel += tiles.lanes) {
      float value[Width];
      load<Width>(input + (sample * tiles.rows + pixel) * tiles.channels + place.channel, value);
      for (int i = 0; i < Width; ++i) sum[i] += value[i];
    }
  }
  reduce_lanes<Width>(tiles, place, sum, shared, Sum());
  if (!place.active || place.lane != 0) return;
  const float factor = value_of(unit);
  for (int i = 0; i < Width; ++i)
    output[sample * tiles.channels + place.channel + i] = factor * sum[i] / static_cast<float>(tiles.rows);
}

// grid (batch, column tiles), block kTileThreads, one thread per vector of a pixel at a time
template <typename T, int Width>
__global__ void pool_backward(ChannelTiles tiles, const float* d_output, TensorUnit unit, T* d_input) {
  const TilePlace place(tiles);
  if (!place.active) return;
  const std::int64_t sample = blockIdx.x;
  const float factor = value_of(unit);
  float share[Width];
  for (int i = 0; i < Width; ++i)
    share[i] = factor * d_output[sample * tiles.channels + place.channel + i] / static_cast<float>(tiles.rows);
  for (std::int64_t pixel = place.lane; pixel < tiles.rows; pixel += tiles.lanes)
    store<Width>(d_input + (sample * tiles.rows + pixel) * tiles.channels + place.channel, share);
}

/// Calls body<T, Width>(tiles): pixels of a sample are the rows, the first grid dimension is the batch instead of
/// blocks of rows.
template <typename Body>
void with_sample_tiles(const PoolGeometry& geometry, Body body) {
  with_tiles(geometry.dtype, geometry.pixels, geometry.channels, [&]<typename T, int Width>(ChannelTiles tiles) {
    tiles.row_blocks = geometry.batch;
    body.template operator()<T, Width>(tiles);
  });
}

// ---- bias -----------------------------------------------------------------------------------------------------------

constexpr int kBiasThreads = 256;

// grid over batch * out_features, block kBiasThreads, one thread per output
__global__ void fill_rows(int batch, int out_features, const float* bias, float* output) {
  const std::int64_t index = std::int64_t{blockIdx.x} * kBiasThreads + threadIdx.x;
  if (index < std::int64_t{batch} * out_features) output[index] = bias[index % out_features];
}

// grid one block per output feature, block kBiasThreads, threads share the batch
__global__ void sum_columns(int batch, int out_features, const float* d_output, float* d_bias) {
  BSQ_SHARED(float, shared, [kBiasThreads / kWarp]);
  float sum = 0;
  for (std::int64_t row = threadIdx.x; row < batch; row += kBiasThreads)
    sum += d_output[row * out_features + blockIdx.x];
  sum = reduce_block(sum, shared, Sum());
  if (threadIdx.x == 0) d_bias[blockIdx.x] = sum;
}

// ---- loss -----------------------------------------------------------------------------------------------------------

constexpr int kLossThreads = 512;
constexpr int kLossWarps = kLossThreads / kWarp;
constexpr int kLastRank = 1 << 30;  // past every top

struct RowLoss {
  float largest = 0;
  double exponentials = 0;
  int rank = 0;  // how many logits come before the label's; kLastRank where the row has a NaN
};

/// All lanes of a full warp work on one row of logits.
__device__ RowLoss row_loss(const float* logits, int classes, int label) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  float largest = -INFINITY;
  int rank = 0;
  int nans = 0;
  for (int i = lane; i < classes; i += kWarp) {
    largest = Largest()(largest, logits[i]);
    nans += logits[i] != logits[i];
    rank += logits[i] > logits[label] || (logits[i] == logits[label] && i < label);
  }
  largest = reduce_warp(largest, Largest());
  double exponentials = 0;
  for (int i = lane; i < classes; i += kWarp) exponentials += exp(static_cast<double>(logits[i] - largest));
  exponentials = reduce_warp(exponentials, Sum());
  rank = reduce_warp(rank, Sum());
  nans = reduce_warp(nans, Sum());
  return {largest, exponentials, nans > 0 ? kLastRank : rank};
}

// grid 1, block kLossThreads, one warp per row at a time
__global__ void cross_entropy(int batch, int classes, const float* logits, const std::int32_t* labels, float* d_logits,
                              const StepInputs* inputs, StepMetrics* metrics) {
  BSQ_SHARED(double, losses, [kLossWarps]);
  BSQ_SHARED(int, counts, [2][kLossWarps]);
  const int warp = static_cast<int>(threadIdx.x) / kWarp;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  double loss = 0;
  int top1 = 0;
  int top5 = 0;
  for (std::int64_t row = warp; row < batch; row += kLossWarps) {
    const float* own = logits + row * classes;
    const int label = labels[row];
    const RowLoss found = row_loss(own, classes, label);
    loss += log(found.exponentials) - static_cast<double>(own[label] - found.largest);
    top1 += found.rank < 1;
    top5 += found.rank < 5;
    if (d_logits == nullptr) continue;
    for (int i = lane; i < classes; i += kWarp) {
      const double probability = exp(static_cast<double>(own[i] - found.largest)) / found.exponentials;
      d_logits[row * classes + i] = static_cast<float>((probability - (i == label ? 1 : 0)) / batch);
    }
  }
  if (lane == 0) {
    losses[warp] = loss;
    counts[0][warp] = top1;
    counts[1][warp] = top5;
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  StepMetrics& result = metrics[inputs->metrics_slot];
  double loss_sum = 0;
  std::int64_t sums[2] = {};
  for (int other = 0; other < kLossWarps; ++other) {
    loss_sum += losses[other];
    sums[0] += counts[0][other];
    sums[1] += counts[1][other];
  }
  result.loss_sum = loss_sum;
  result.top1 = sums[0];
  result.top5 = sums[1];
  result.samples = batch;
}

}  // namespace

void average_pool_forward(const PoolGeometry& geometry, const void* input, TensorUnit unit, float* output,
                          cudaStream_t stream) {
  with_sample_tiles(geometry, [&]<typename T, int Width>(const ChannelTiles& tiles) {
    launch(pool_forward<T, Width>, tiles.grid(), dim3(kTileThreads), 0, stream, tiles, static_cast<const T*>(input),
           unit, output);
  });
}

void average_pool_backward(const PoolGeometry& geometry, const float* d_output, TensorUnit unit, void* d_input,
                           cudaStream_t stream) {
  with_sample_tiles(geometry, [&]<typename T, int Width>(const ChannelTiles& tiles) {
    launch(pool_backward<T, Width>, tiles.grid(), dim3(kTileThreads), 0, stream, tiles, d_output, unit,
           static_cast<T*>(d_input));
  });
}

void fill_with_bias(const LinearGeometry& geometry, const float* bias, float* output, cudaStream_t stream) {
  const std::int64_t outputs = std::int64_t{geometry.batch} * geometry.out_features;
  const auto blocks = static_cast<unsigned>((outputs + kBiasThreads - 1) / kBiasThreads);
  launch(fill_rows, dim3(blocks), dim3(kBiasThreads), 0, stream, geometry.batch, geometry.out_features, bias, output);
}

void bias_gradient(const LinearGeometry& geometry, const float* d_output, float* d_bias, cudaStream_t stream) {
  launch(sum_columns, dim3(static_cast<unsigned>(geometry.out_features)), dim3(kBiasThreads), 0, stream, geometry.batch,
         geometry.out_features, d_output, d_bias);
}

void softmax_cross_entropy(int batch, int classes, const float* logits, const std::int32_t* labels, float* d_logits,
                           const StepInputs* inputs, StepMetrics* metrics, cudaStream_t stream) {
  launch(cross_entropy, dim3(1), dim3(kLossThreads), 0, stream, batch, classes, logits, labels, d_logits, inputs,
         metrics);
}

}  // namespace bsq::cuda
