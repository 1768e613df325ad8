// Convolutions as plain loops, for what the vendor's library has no engine for: any geometry, the same bits every time,
// no scratch. They are there to be right; nothing is staged or tiled.
//
// Products are summed in float32, filter taps in order, channels in order; of a filter's gradient each thread sums its
// pixels in order, and a tree adds the threads. Least bytes: as any convolution, every argument once.
#include "kernels/cuda/device/channel_tiles.cuh"
#include "kernels/cuda/ops/launchers.h"

namespace bsq::cuda {
namespace {

constexpr int kThreads = 256;

template <typename T>
__device__ float load_one(const T* from) {
  float value[1];
  load<1>(from, value);
  return value[0];
}

__device__ std::int64_t thread_index() {
  return std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
}

unsigned blocks_of(std::int64_t threads) {
  return static_cast<unsigned>((threads + kThreads - 1) / kThreads);
}

/// Input coordinate of an output's tap, or -1 in the padding.
__device__ int input_coordinate(int out, int tap, int stride, int padding, int size) {
  const int in = out * stride - padding + tap;
  return in >= 0 && in < size ? in : -1;
}

/// The output coordinate that reads `in` through `tap`, or -1.
__device__ int output_coordinate(int in, int tap, int stride, int padding, int size) {
  const int strided = in + padding - tap;
  return strided >= 0 && strided % stride == 0 && strided / stride < size ? strided / stride : -1;
}

// grid over the outputs, block kThreads, one thread per element of the output
template <typename T>
__global__ void convolve(ConvGeometry g, const T* input, const T* weight, T* output) {
  const std::int64_t index = thread_index();
  const int height = g.out_height();
  const int width = g.out_width();
  if (index >= std::int64_t{g.batch} * height * width * g.out_channels) return;
  const auto o = static_cast<int>(index % g.out_channels);
  const std::int64_t pixel = index / g.out_channels;
  const auto out_x = static_cast<int>(pixel % width);
  const auto out_y = static_cast<int>(pixel / width % height);
  const std::int64_t n = pixel / width / height;
  float sum = 0;
  for (int tap = 0; tap < g.kernel * g.kernel; ++tap) {
    const int y = input_coordinate(out_y, tap / g.kernel, g.stride, g.padding, g.height);
    const int x = input_coordinate(out_x, tap % g.kernel, g.stride, g.padding, g.width);
    if (y < 0 || x < 0) continue;
    const T* from = input + ((n * g.height + y) * g.width + x) * g.in_channels;
    const T* filter = weight + (std::int64_t{o} * g.kernel * g.kernel + tap) * g.in_channels;
    for (int i = 0; i < g.in_channels; ++i) sum = fmaf(load_one(from + i), load_one(filter + i), sum);
  }
  store<1>(output + index, {sum});
}

// grid over the inputs, block kThreads, one thread per element of the input
template <typename T>
__global__ void convolve_back(ConvGeometry g, const T* d_output, const T* weight, T* d_input, GradMode mode) {
  const std::int64_t index = thread_index();
  if (index >= std::int64_t{g.batch} * g.height * g.width * g.in_channels) return;
  const auto i = static_cast<int>(index % g.in_channels);
  const std::int64_t pixel = index / g.in_channels;
  const auto x = static_cast<int>(pixel % g.width);
  const auto y = static_cast<int>(pixel / g.width % g.height);
  const std::int64_t n = pixel / g.width / g.height;
  float sum = 0;
  for (int tap = 0; tap < g.kernel * g.kernel; ++tap) {
    const int out_y = output_coordinate(y, tap / g.kernel, g.stride, g.padding, g.out_height());
    const int out_x = output_coordinate(x, tap % g.kernel, g.stride, g.padding, g.out_width());
    if (out_y < 0 || out_x < 0) continue;
    const T* from = d_output + ((n * g.out_height() + out_y) * g.out_width() + out_x) * g.out_channels;
    const T* filter = weight + std::int64_t{tap} * g.in_channels + i;
    const std::int64_t filter_size = std::int64_t{g.kernel} * g.kernel * g.in_channels;
    for (int o = 0; o < g.out_channels; ++o) sum = fmaf(load_one(from + o), load_one(filter + o * filter_size), sum);
  }
  if (mode == GradMode::accumulate) sum += load_one(d_input + index);
  store<1>(d_input + index, {sum});
}

// grid (taps of all filters, tiles of input channels), block kTileThreads, one thread per channel and lane of pixels
template <typename T>
__global__ void correlate(ConvGeometry g, ChannelTiles tiles, const T* input, const T* d_output, float* d_weight) {
  BSQ_SHARED(float, shared, [kTileThreads]);
  const TilePlace place(tiles);
  const int taps = g.kernel * g.kernel;
  const int o = static_cast<int>(blockIdx.x) / taps;
  const int tap = static_cast<int>(blockIdx.x) % taps;
  float sum[1] = {};
  if (place.active) {
    for (std::int64_t pixel = place.lane; pixel < tiles.rows; pixel += tiles.lanes) {
      const auto out_x = static_cast<int>(pixel % g.out_width());
      const auto out_y = static_cast<int>(pixel / g.out_width() % g.out_height());
      const std::int64_t n = pixel / g.out_width() / g.out_height();
      const int y = input_coordinate(out_y, tap / g.kernel, g.stride, g.padding, g.height);
      const int x = input_coordinate(out_x, tap % g.kernel, g.stride, g.padding, g.width);
      if (y < 0 || x < 0) continue;
      const T* from = input + ((n * g.height + y) * g.width + x) * g.in_channels + place.channel;
      sum[0] = fmaf(load_one(from), load_one(d_output + pixel * g.out_channels + o), sum[0]);
    }
  }
  const float total = reduce_lanes<1>(tiles, place, sum, shared, Sum());
  const TileResult result(tiles);
  if (result.active) d_weight[std::int64_t{blockIdx.x} * g.in_channels + result.channel] = total;
}

}  // namespace

void direct_conv2d_forward(const ConvGeometry& geometry, const void* input, const void* weight, void* output,
                           cudaStream_t stream) {
  with_element(geometry.dtype, [&]<typename T>() {
    launch(convolve<T>, blocks_of(geometry.output_shape().numel()), kThreads, 0, stream, geometry,
           static_cast<const T*>(input), static_cast<const T*>(weight), static_cast<T*>(output));
  });
}

void direct_conv2d_backward_data(const ConvGeometry& geometry, const void* d_output, const void* weight, void* d_input,
                                 GradMode mode, cudaStream_t stream) {
  with_element(geometry.dtype, [&]<typename T>() {
    launch(convolve_back<T>, blocks_of(geometry.input_shape().numel()), kThreads, 0, stream, geometry,
           static_cast<const T*>(d_output), static_cast<const T*>(weight), static_cast<T*>(d_input), mode);
  });
}

void direct_conv2d_backward_weight(const ConvGeometry& geometry, const void* input, const void* d_output,
                                   float* d_weight, cudaStream_t stream) {
  ChannelTiles tiles(std::int64_t{geometry.batch} * geometry.out_height() * geometry.out_width(), geometry.in_channels,
                     /*vector_width=*/1, /*multiprocessors=*/1);
  tiles.row_blocks = geometry.out_channels * geometry.kernel * geometry.kernel;
  with_element(geometry.dtype, [&]<typename T>() {
    launch(correlate<T>, tiles.grid(), dim3(kTileThreads), 0, stream, geometry, tiles, static_cast<const T*>(input),
           static_cast<const T*>(d_output), d_weight);
  });
}

}  // namespace bsq::cuda
