// Convolutions: those of the vendor (DenseMath), the passes around them, and plain loops in their place.
//
// Passes over flat arrays: rounding to bf16 (float weights that a bf16 convolution multiplies) and back, and adding one
// gradient to another. round_to_bf16 reads 4 and writes 2 bytes per element, widen_bf16 the other way; add reads 2 e
// and writes e, e = bytes of an element.
//
// Convolutions as plain loops, if the vendor's library has no engine for one: any geometry, the same bits every time,
// no scratch. They are there to be right; nothing is staged or tiled. Products are summed in float32, filter taps in
// order, channels in order; for a filter gradient each thread sums its pixels in order, and a tree adds the threads.
// Least bytes: every argument once.
#include "kernels/cuda/device/channel_tiles.cuh"
#include "kernels/cuda/ops/launchers.h"
#include "kernels/cuda/vendor/dense_math.h"

namespace bsq::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kCastWidth = kVectorWidth<__nv_bfloat16>;  // one store of 16 bytes, two loads

unsigned blocks_of(std::int64_t numel, int width) {
  const std::int64_t per_block = std::int64_t{kThreads} * width;
  return static_cast<unsigned>((numel + per_block - 1) / per_block);
}

__device__ std::int64_t first_element(int width) {
  return (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) * width;
}

// ---- flat arrays ----------------------------------------------------------------------------------------------------

// grid ceil(numel / (kCastWidth kThreads)), block kThreads, one thread per kCastWidth elements
__global__ void round_elements(std::int64_t numel, const float* from, __nv_bfloat16* to) {
  wait_for_previous();
  constexpr int half = kVectorWidth<float>;
  const std::int64_t first = first_element(kCastWidth);
  if (first + kCastWidth <= numel) {
    float low[half];
    float high[half];
    load<half>(from + first, low);
    load<half>(from + first + half, high);
    const float value[kCastWidth] = {low[0], low[1], low[2], low[3], high[0], high[1], high[2], high[3]};
    store<kCastWidth>(to + first, value);
    return;
  }
  for (std::int64_t i = first; i < numel; ++i) to[i] = __float2bfloat16_rn(from[i]);
}

// grid ceil(numel / (kCastWidth kThreads)), block kThreads, one thread per kCastWidth elements
__global__ void widen_elements(std::int64_t numel, const __nv_bfloat16* from, float* to) {
  wait_for_previous();
  constexpr int half = kVectorWidth<float>;
  const std::int64_t first = first_element(kCastWidth);
  if (first + kCastWidth <= numel) {
    float value[kCastWidth];
    load<kCastWidth>(from + first, value);
    const float low[half] = {value[0], value[1], value[2], value[3]};
    const float high[half] = {value[4], value[5], value[6], value[7]};
    store<half>(to + first, low);
    store<half>(to + first + half, high);
    return;
  }
  for (std::int64_t i = first; i < numel; ++i) to[i] = __bfloat162float(from[i]);
}

template <int Width, typename T>
__device__ void add_at(const T* addend, T* sum) {
  float value[Width];
  float other[Width];
  load<Width>(sum, value);
  load<Width>(addend, other);
  for (int i = 0; i < Width; ++i) value[i] += other[i];
  store<Width>(sum, value);
}

// grid ceil(numel / (width kThreads)), block kThreads, one thread per vector
template <typename T>
__global__ void add_to(std::int64_t numel, const T* addend, T* sum) {
  wait_for_previous();
  constexpr int width = kVectorWidth<T>;
  const std::int64_t first = first_element(width);
  if (first + width <= numel) return add_at<width>(addend + first, sum + first);
  for (std::int64_t i = first; i < numel; ++i) add_at<1>(addend + i, sum + i);
}

template <typename T>
void run_add(std::int64_t numel, const void* addend, void* sum, cudaStream_t stream) {
  launch(add_to<T>, blocks_of(numel, kVectorWidth<T>), kThreads, 0, stream, numel, static_cast<const T*>(addend),
         static_cast<T*>(sum));
}

// ---- convolutions as plain loops ------------------------------------------------------------------------------------

template <typename T>
__device__ float load_one(const T* from) {
  float value[1];
  load<1>(from, value);
  return value[0];
}

/// The input coordinate that a tap of an output reads, or -1 in the padding.
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
  wait_for_previous();
  const std::int64_t index = first_element(1);
  const int height = g.out_height();
  const int width = g.out_width();
  if (index >= std::int64_t{g.batch} * height * width * g.out_channels) return;
  const auto o = static_cast<int>(index % g.out_channels);
  const std::int64_t pixel = index / g.out_channels;
  const auto out_x = static_cast<int>(pixel % width);
  const auto out_y = static_cast<int>(pixel / width % height);
  const std::int64_t n = pixel / width / height;
  const int first_input = o / g.group_outputs() * g.group_inputs();
  float sum = 0;
  for (int tap = 0; tap < g.kernel * g.kernel; ++tap) {
    const int y = input_coordinate(out_y, tap / g.kernel, g.stride, g.padding, g.height);
    const int x = input_coordinate(out_x, tap % g.kernel, g.stride, g.padding, g.width);
    if (y < 0 || x < 0) continue;
    const T* from = input + ((n * g.height + y) * g.width + x) * g.in_channels + first_input;
    const T* filter = weight + (std::int64_t{o} * g.kernel * g.kernel + tap) * g.group_inputs();
    for (int i = 0; i < g.group_inputs(); ++i) sum = fmaf(load_one(from + i), load_one(filter + i), sum);
  }
  store<1>(output + index, {sum});
}

// grid over the inputs, block kThreads, one thread per element of the input
template <typename T>
__global__ void convolve_back(ConvGeometry g, const T* d_output, const T* weight, T* d_input, GradMode mode) {
  wait_for_previous();
  const std::int64_t index = first_element(1);
  if (index >= std::int64_t{g.batch} * g.height * g.width * g.in_channels) return;
  const auto i = static_cast<int>(index % g.in_channels);
  const std::int64_t pixel = index / g.in_channels;
  const auto x = static_cast<int>(pixel % g.width);
  const auto y = static_cast<int>(pixel / g.width % g.height);
  const std::int64_t n = pixel / g.width / g.height;
  const std::int64_t filter_size = std::int64_t{g.kernel} * g.kernel * g.group_inputs();
  const int first_output = i / g.group_inputs() * g.group_outputs();
  float sum = 0;
  for (int tap = 0; tap < g.kernel * g.kernel; ++tap) {
    const int out_y = output_coordinate(y, tap / g.kernel, g.stride, g.padding, g.out_height());
    const int out_x = output_coordinate(x, tap % g.kernel, g.stride, g.padding, g.out_width());
    if (out_y < 0 || out_x < 0) continue;
    const T* from = d_output + ((n * g.out_height() + out_y) * g.out_width() + out_x) * g.out_channels + first_output;
    const T* filter = weight + first_output * filter_size + std::int64_t{tap} * g.group_inputs() + i % g.group_inputs();
    for (int o = 0; o < g.group_outputs(); ++o) sum = fmaf(load_one(from + o), load_one(filter + o * filter_size), sum);
  }
  if (mode == GradMode::accumulate) sum += load_one(d_input + index);
  store<1>(d_input + index, {sum});
}

// grid (taps of all filters, tiles of a group's input channels), block kTileThreads, one thread per channel and lane of
// pixels
template <typename T>
__global__ void correlate(ConvGeometry g, ChannelTiles tiles, const T* input, const T* d_output, float* d_weight) {
  wait_for_previous();
  BSQ_SHARED(float, shared, [kTileThreads]);
  const TilePlace place(tiles);
  const int taps = g.kernel * g.kernel;
  const int o = static_cast<int>(blockIdx.x) / taps;
  const int tap = static_cast<int>(blockIdx.x) % taps;
  const int first_input = o / g.group_outputs() * g.group_inputs();
  float sum[1][1] = {};
  if (place.active) {
    for (std::int64_t pixel = place.lane; pixel < tiles.rows; pixel += tiles.lanes) {
      const auto out_x = static_cast<int>(pixel % g.out_width());
      const auto out_y = static_cast<int>(pixel / g.out_width() % g.out_height());
      const std::int64_t n = pixel / g.out_width() / g.out_height();
      const int y = input_coordinate(out_y, tap / g.kernel, g.stride, g.padding, g.height);
      const int x = input_coordinate(out_x, tap % g.kernel, g.stride, g.padding, g.width);
      if (y < 0 || x < 0) continue;
      const T* from = input + ((n * g.height + y) * g.width + x) * g.in_channels + first_input + place.channel;
      sum[0][0] = fmaf(load_one(from), load_one(d_output + pixel * g.out_channels + o), sum[0][0]);
    }
  }
  sum_lanes(tiles, place, sum, shared,
            [&](int channel, float total) { d_weight[std::int64_t{blockIdx.x} * g.group_inputs() + channel] = total; });
}

}  // namespace

std::size_t conv2d_scratch_bytes(const ConvRequest& request, const DeviceContext& on) {
  on.math->plan_convolutions({&request, 1});
  return on.math->conv2d_scratch_bytes(request.geometry, request.passes);
}

void conv2d_forward(const ConvForwardArgs& args, const DeviceContext& on) {
  on.math->conv2d_forward(args);
}

void conv2d_backward_data(const ConvBackwardDataArgs& args, const DeviceContext& on) {
  on.math->conv2d_backward_data(args);
}

void conv2d_backward_weight(const ConvBackwardWeightArgs& args, const DeviceContext& on) {
  on.math->conv2d_backward_weight(args);
}

void round_to_bf16(const RoundToBf16Args& args, const DeviceContext& on) {
  if (args.numel == 0) return;  // a grid cannot be empty
  launch(round_elements, blocks_of(args.numel, kCastWidth), kThreads, 0, on.stream, args.numel, args.values,
         static_cast<__nv_bfloat16*>(args.rounded));
}

void widen_bf16(std::int64_t numel, const void* rounded, float* values, cudaStream_t stream) {
  if (numel == 0) return;
  launch(widen_elements, blocks_of(numel, kCastWidth), kThreads, 0, stream, numel,
         static_cast<const __nv_bfloat16*>(rounded), values);
}

void add(DType dtype, std::int64_t numel, const void* addend, void* sum, cudaStream_t stream) {
  if (numel == 0) return;
  with_element(dtype, [&]<typename T>() { run_add<T>(numel, addend, sum, stream); });
}

void direct_conv2d_forward(const ConvForwardArgs& args, cudaStream_t stream) {
  with_element(args.geometry.dtype, [&]<typename T>() {
    launch(convolve<T>, blocks_of(args.geometry.output_shape().numel(), 1), kThreads, 0, stream, args.geometry,
           static_cast<const T*>(args.input), static_cast<const T*>(args.weight), static_cast<T*>(args.output));
  });
}

void direct_conv2d_backward_data(const ConvBackwardDataArgs& args, cudaStream_t stream) {
  with_element(args.geometry.dtype, [&]<typename T>() {
    launch(convolve_back<T>, blocks_of(args.geometry.input_shape().numel(), 1), kThreads, 0, stream, args.geometry,
           static_cast<const T*>(args.d_output), static_cast<const T*>(args.weight), static_cast<T*>(args.d_input),
           args.mode);
  });
}

void direct_conv2d_backward_weight(const ConvBackwardWeightArgs& args, cudaStream_t stream) {
  const ConvGeometry& geometry = args.geometry;
  ChannelTiles tiles(std::int64_t{geometry.batch} * geometry.out_height() * geometry.out_width(),
                     geometry.group_inputs(),
                     /*vector_width=*/1, /*multiprocessors=*/1);
  tiles.row_blocks = geometry.out_channels * geometry.kernel * geometry.kernel;
  with_element(geometry.dtype, [&]<typename T>() {
    launch(correlate<T>, tiles.grid(), dim3(kTileThreads), 0, stream, geometry, tiles,
           static_cast<const T*>(args.input), static_cast<const T*>(args.d_output), args.d_weight);
  });
}

}  // namespace bsq::cuda
