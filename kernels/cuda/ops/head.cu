// The end of a network: average pooling, the classifier if it is small and its bias if it is not. The loss is in
// head_loss.cu.
//
// Least bytes: pooling reads (writes) its large side once. All this is small beside one convolution. What costs time is
// launches: so there are few of them, over many blocks.
#include "kernels/cuda/device/channel_tiles.cuh"
#include "kernels/cuda/ops/launchers.h"
#include "kernels/cuda/vendor/dense_math.h"

namespace bsq::cuda {
namespace {

// grid (batch, column tiles), block kTileThreads, one thread per vector of a pixel at a time
template <typename T, int Width>
__global__ void pool_forward(ChannelTiles tiles, const T* input, TensorUnit unit, float* output) {
  BSQ_SHARED(float, shared, [kTileThreads * Width]);
  const TilePlace place(tiles);
  wait_for_previous();
  const std::int64_t sample = blockIdx.x;
  const float factor = value_of(unit);
  float sum[1][Width] = {};
  if (place.active) {
    for (std::int64_t pixel = place.lane; pixel < tiles.rows; pixel += tiles.lanes) {
      float value[Width];
      load<Width>(input + (sample * tiles.rows + pixel) * tiles.channels + place.channel, value);
      for (int i = 0; i < Width; ++i) sum[0][i] += value[i];
    }
  }
  sum_lanes(tiles, place, sum, shared, [&](int channel, float total) {
    output[sample * tiles.channels + channel] = factor * total / static_cast<float>(tiles.rows);
  });
}

// grid (batch, column tiles), block kTileThreads, one thread per vector of a pixel at a time
template <typename T, int Width>
__global__ void pool_backward(ChannelTiles tiles, const float* d_output, TensorUnit unit, GradMode mode, T* d_input) {
  const TilePlace place(tiles);
  wait_for_previous();
  if (!place.active) return;
  const std::int64_t sample = blockIdx.x;
  const float factor = value_of(unit);
  float share[Width];
  load_floats(d_output + sample * tiles.channels + place.channel, share);
  for (int i = 0; i < Width; ++i) share[i] = factor * share[i] / static_cast<float>(tiles.rows);
  for (std::int64_t pixel = place.lane; pixel < tiles.rows; pixel += tiles.lanes)
    store_gradient<Width>(d_input + (sample * tiles.rows + pixel) * tiles.channels + place.channel, share, mode);
}

/// Calls body<T, Width>(tiles): pixels of a sample are the rows, the first grid dimension is the batch instead of
/// blocks of rows.
template <typename Body>
void with_sample_tiles(const PoolGeometry& geometry, Body body) {
  with_tiles(geometry.dtype, geometry.pixels, geometry.channels, 1, [&]<typename T, int Width>(ChannelTiles tiles) {
    tiles.row_blocks = geometry.batch;
    body.template operator()<T, Width>(tiles);
  });
}

// ---- a small classifier: a warp per row, its lanes share the features -----------------------------------------------

constexpr int kHeadThreads = 256;
constexpr int kHeadWarps = kHeadThreads / kWarp;
constexpr int kOutputsAtOnce = 10;    // sums that a warp has under way: one round for ten classes
constexpr int kFeaturesAtOnce = 2;    // features per lane: one round for 64 features
constexpr int kGradientColumns = 64;  // input features that a block of the weight gradient takes at a time
constexpr int kGradientGroups = kHeadThreads / kGradientColumns;

unsigned row_blocks_of(int batch) {
  return static_cast<unsigned>((batch + kHeadWarps - 1) / kHeadWarps);
}

// grid ceil(batch / kHeadWarps), block kHeadThreads, one warp per row
__global__ void classify(LinearGeometry geometry, const float* input, const float* weight, const float* bias,
                         TensorUnit unit, float* output) {
  wait_for_previous();
  const float factor_of_sum = value_of(unit);
  const auto [batch, in_features, out_features] = geometry;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const int row = static_cast<int>(blockIdx.x) * kHeadWarps + static_cast<int>(threadIdx.x) / kWarp;
  if (row >= batch) return;  // the whole warp
  const float* own = input + std::int64_t{row} * in_features;
  for (int first = 0; first < out_features; first += kOutputsAtOnce) {
    const int of_lane = first + lane;
    const float own_bias = lane < kOutputsAtOnce && of_lane < out_features ? bias[of_lane] : 0.0F;
    float sums[kOutputsAtOnce] = {};
    for (int base = lane; base < in_features; base += kFeaturesAtOnce * kWarp) {
      float feature[kFeaturesAtOnce] = {};
      float factor[kFeaturesAtOnce][kOutputsAtOnce] = {};
#pragma unroll
      for (int k = 0; k < kFeaturesAtOnce; ++k) {
        const int i = base + k * kWarp;
        if (i < in_features) feature[k] = own[i];
#pragma unroll
        for (int o = 0; o < kOutputsAtOnce; ++o)
          if (i < in_features && first + o < out_features) factor[k][o] = weight[(first + o) * in_features + i];
      }
#pragma unroll
      for (int k = 0; k < kFeaturesAtOnce; ++k)
#pragma unroll
        for (int o = 0; o < kOutputsAtOnce; ++o) sums[o] = fmaf(feature[k], factor[k][o], sums[o]);
    }
    float of_output = 0;
#pragma unroll
    for (int o = 0; o < kOutputsAtOnce; ++o) {
      sums[o] = reduce_warp(sums[o], Sum());
      if (lane == o) of_output = sums[o];
    }
    if (lane < kOutputsAtOnce && of_lane < out_features)
      output[std::int64_t{row} * out_features + of_lane] = fmaf(factor_of_sum, of_output, own_bias);
  }
}

/// The part of a thread in d_bias of one output feature.
__device__ float part_of_column(int batch, int out_features, int o, const float* d_output) {
  float sum = 0;
  for (int n = static_cast<int>(threadIdx.x); n < batch; n += kHeadThreads)
    sum += d_output[std::int64_t{n} * out_features + o];
  return sum;
}

/// Makes the row of d_weight and the d_bias of one output feature.
__device__ void classifier_weight_gradient(const LinearGeometry& geometry, int o, const float* d_output,
                                           const float* input, float unit, float* d_weight, float* d_bias) {
  BSQ_SHARED(float, shared, [kGradientGroups][kGradientColumns]);
  const auto [batch, in_features, out_features] = geometry;
  const int column = static_cast<int>(threadIdx.x) % kGradientColumns;
  const int group = static_cast<int>(threadIdx.x) / kGradientColumns;
  float bias = part_of_column(batch, out_features, o, d_output);
  for (int first = 0; first < in_features; first += kGradientColumns) {
    const int i = first + column;
    float sum = 0;
    if (i < in_features) {
#pragma unroll 16
      for (int n = group; n < batch; n += kGradientGroups)
        sum = fmaf(d_output[std::int64_t{n} * out_features + o], input[std::int64_t{n} * in_features + i], sum);
    }
    shared[group][column] = sum;
    __syncthreads();
    if (group == 0 && i < in_features) {
      for (int other = 1; other < kGradientGroups; ++other) sum += shared[other][column];
      d_weight[o * in_features + i] = unit * sum;
    }
    __syncthreads();
  }
  bias = reduce_block(bias, &shared[0][0], Sum());
  if (threadIdx.x == 0) d_bias[o] = bias;
}

// grid out_features + ceil(batch / kHeadWarps), block kHeadThreads: the first blocks have an output feature each, the
// others one row of d_input per warp
__global__ void classifier_gradients(LinearGeometry geometry, const float* d_output, const float* input,
                                     const float* weight, TensorUnit input_unit, GradMode mode, float* d_input,
                                     float* d_weight, float* d_bias) {
  wait_for_previous();
  const auto [batch, in_features, out_features] = geometry;
  const float unit = value_of(input_unit);
  const int block = static_cast<int>(blockIdx.x);
  if (block < out_features) return classifier_weight_gradient(geometry, block, d_output, input, unit, d_weight, d_bias);
  const int row = (block - out_features) * kHeadWarps + static_cast<int>(threadIdx.x) / kWarp;
  if (row >= batch) return;
  const float* own = d_output + std::int64_t{row} * out_features;
  for (int i = static_cast<int>(threadIdx.x) % kWarp; i < in_features; i += kWarp) {
    float sum = 0;
#pragma unroll 10
    for (int o = 0; o < out_features; ++o) sum = fmaf(own[o], weight[o * in_features + i], sum);
    const float gradient[1] = {unit * sum};
    store_gradient(d_input + std::int64_t{row} * in_features + i, gradient, mode);
  }
}

/// Whether these kernels serve: their threads hold the weights of a small classifier, but no more.
bool is_small(const LinearGeometry& geometry) {
  constexpr std::int64_t most_weights = 16384;  // 64 KiB: every warp reads them all, from the first cache
  constexpr int most_outputs = 128;             // a warp takes them one after the other
  return geometry.out_features <= most_outputs &&
         std::int64_t{geometry.in_features} * geometry.out_features <= most_weights;
}

// ---- a larger one: matrix products, and the bias --------------------------------------------------------------------

/// The products of a linear layer: y, dx and dw.
struct LinearProducts {
  GemmGeometry output, d_input, d_weight;

  explicit LinearProducts(const LinearGeometry& g)
      : output{.m = g.batch, .n = g.out_features, .k = g.in_features, .transpose_b = true},
        d_input{.m = g.batch, .n = g.in_features, .k = g.out_features},
        d_weight{.m = g.out_features, .n = g.in_features, .k = g.batch, .transpose_a = true} {}
};

// one thread
__global__ void multiply_unit(TensorUnit unit, float* product) {
  wait_for_previous();
  *product = value_of(unit);
}

/// The value of a unit in device memory, until the next kernel that uses the memory of the grid; null where it is 1.
const float* factor_of(const TensorUnit& unit, const DeviceContext& on) {
  if (unit.weight == nullptr) return unit.activation;
  auto* product = static_cast<float*>(on.memory.sums);
  launch(multiply_unit, dim3(1), dim3(1), 0, on.stream, unit, product);
  return product;
}

// grid over batch * out_features, block kHeadThreads, one thread per output
__global__ void fill_rows(int batch, int out_features, const float* bias, float* output) {
  wait_for_previous();
  const std::int64_t index = std::int64_t{blockIdx.x} * kHeadThreads + threadIdx.x;
  if (index < std::int64_t{batch} * out_features) output[index] = bias[index % out_features];
}

// grid one block per output feature, block kHeadThreads, threads share the batch
__global__ void sum_columns(int batch, int out_features, const float* d_output, float* d_bias) {
  wait_for_previous();
  BSQ_SHARED(float, shared, [kHeadWarps]);
  const int o = static_cast<int>(blockIdx.x);
  const float sum = reduce_block(part_of_column(batch, out_features, o, d_output), shared, Sum());
  if (threadIdx.x == 0) d_bias[o] = sum;
}

}  // namespace

void average_pool_forward(const PoolForwardArgs& args, const DeviceContext& on) {
  with_sample_tiles(args.geometry, [&]<typename T, int Width>(const ChannelTiles& tiles) {
    launch(pool_forward<T, Width>, tiles.grid(), dim3(kTileThreads), 0, on.stream, tiles,
           static_cast<const T*>(args.input), args.unit, args.output);
  });
}

void average_pool_backward(const PoolBackwardArgs& args, const DeviceContext& on) {
  with_sample_tiles(args.geometry, [&]<typename T, int Width>(const ChannelTiles& tiles) {
    launch(pool_backward<T, Width>, tiles.grid(), dim3(kTileThreads), 0, on.stream, tiles, args.d_output, args.unit,
           args.mode, static_cast<T*>(args.d_input));
  });
}

void plan_linear(const LinearGeometry& geometry, bool backward, const DeviceContext& on) {
  if (is_small(geometry)) return;  // own kernels need no plan
  const LinearProducts products(geometry);
  on.math->plan_gemm(products.output, GradMode::accumulate);
  if (!backward) return;
  for (const GradMode mode : {GradMode::overwrite, GradMode::accumulate}) on.math->plan_gemm(products.d_input, mode);
  on.math->plan_gemm(products.d_weight, GradMode::overwrite);
}

void linear_forward(const LinearForwardArgs& args, const DeviceContext& on) {
  const LinearGeometry& geometry = args.geometry;
  if (is_small(geometry)) {
    launch(classify, row_blocks_of(geometry.batch), dim3(kHeadThreads), 0, on.stream, geometry, args.input, args.weight,
           args.bias, args.unit, args.output);
    return;
  }
  const std::int64_t outputs = std::int64_t{geometry.batch} * geometry.out_features;
  const auto blocks = static_cast<unsigned>((outputs + kHeadThreads - 1) / kHeadThreads);
  launch(fill_rows, dim3(blocks), dim3(kHeadThreads), 0, on.stream, geometry.batch, geometry.out_features, args.bias,
         args.output);
  on.math->gemm(LinearProducts(geometry).output, factor_of(args.unit, on), args.input, args.weight,
                GradMode::accumulate, args.output);
}

void linear_backward(const LinearBackwardArgs& args, const DeviceContext& on) {
  const LinearGeometry& geometry = args.geometry;
  if (is_small(geometry)) {
    const unsigned blocks = static_cast<unsigned>(geometry.out_features) + row_blocks_of(geometry.batch);
    launch(classifier_gradients, blocks, dim3(kHeadThreads), 0, on.stream, geometry, args.d_output, args.input,
           args.weight, args.unit, args.mode, args.d_input, args.d_weight, args.d_bias);
    return;
  }
  const LinearProducts products(geometry);
  const float* factor = factor_of(args.unit, on);
  on.math->gemm(products.d_input, factor, args.d_output, args.weight, args.mode, args.d_input);
  on.math->gemm(products.d_weight, factor, args.d_output, args.input, GradMode::overwrite, args.d_weight);
  launch(sum_columns, dim3(static_cast<unsigned>(geometry.out_features)), dim3(kHeadThreads), 0, on.stream,
         geometry.batch, geometry.out_features, args.d_output, args.d_bias);
}

}  // namespace bsq::cuda
