// Operations on levels, one thread per level that is made, but for the head. Convolutions that have channels enough run
// on tensor cores instead (levels_convolution.cu).
//
// Least bytes: every tensor once. Windows share pixels, and channels share filters: that comes from the cache.
#include "kernels/cuda/device/device.cuh"
#include "kernels/cuda/device/ptx.cuh"
#include "kernels/cuda/ops/launchers.h"
#include "kernels/level_rounding.h"

#include <type_traits>

namespace bsq::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr unsigned kMostImages = 65535;        // of one grid; a block goes on with every kMostImages-th
constexpr std::int64_t kMostBlocks = 1 << 20;  // likewise

// ---- over all levels of a batch -------------------------------------------------------------------------------------

unsigned blocks_of(std::int64_t count) {
  const std::int64_t blocks = (count + kThreads - 1) / kThreads;
  return static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks);
}

/// Calls body(index) for those of this thread.
template <typename Body>
__device__ void for_indices(std::int64_t count, Body body) {
  const std::int64_t step = std::int64_t{gridDim.x} * kThreads;
  for (std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x; i < count; i += step) body(i);
}

// grid blocks_of(levels), block kThreads
__global__ void look_up_pixels(PixelsToLevelsArgs args) {
  wait_for_previous();
  for_indices(args.pixels * args.channels,
              [&](std::int64_t i) { args.levels[i] = args.table[i % args.channels * 256 + args.pictures[i]]; });
}

// grid blocks_of(levels), block kThreads
__global__ void add_all(AddLevelsArgs args) {
  wait_for_previous();
  const LevelRounding rounding(0, args.top);  // the zero is in c
  const double a = args.a, b = args.b, c = args.c;
  for_indices(args.numel,
              [&](std::int64_t i) { args.output[i] = rounding(added_number(a, args.x0[i], b, args.x1[i], c)); });
}

// grid blocks_of(levels of the input), block kThreads
__global__ void place_beside(ConcatLevelsArgs args) {
  wait_for_previous();
  for_indices(args.pixels * args.channels, [&](std::int64_t i) {
    const std::int64_t pixel = i / args.channels;
    args.output[pixel * args.output_channels + args.first + (i - pixel * args.channels)] = args.table[args.input[i]];
  });
}

// ---- over the levels of each image ----------------------------------------------------------------------------------

dim3 grid_of(std::int64_t image_size, int images) {
  const auto count = static_cast<unsigned>(images);
  return {static_cast<unsigned>((image_size + kThreads - 1) / kThreads), count < kMostImages ? count : kMostImages};
}

/// A level of an image [height, width, channels].
struct ImagePlace {
  unsigned pixel;
  int row;
  int column;
  int channel;

  __device__ ImagePlace(unsigned index, int width, int channels)
      : pixel(index / static_cast<unsigned>(channels)),
        row(static_cast<int>(pixel / static_cast<unsigned>(width))),
        column(static_cast<int>(pixel % static_cast<unsigned>(width))),
        channel(static_cast<int>(index - pixel * static_cast<unsigned>(channels))) {}
};

/// Calls body(image, index in it) for those of this thread.
template <typename Body>
__device__ void for_images(std::int64_t image_size, int images, Body body) {
  const unsigned index = blockIdx.x * kThreads + threadIdx.x;
  if (index >= image_size) return;
  for (std::int64_t image = blockIdx.y; image < images; image += gridDim.y) body(image, index);
}

/// The sum of one window, `Width` channels at a time.
template <int Width>
__device__ int sum_of_window(const ConvolveLevelsArgs& args, std::int64_t image, const ImagePlace& to) {
  using Word = std::conditional_t<Width == 4, unsigned, std::uint8_t>;
  const ConvGeometry& g = args.geometry;
  const int inputs = g.in_channels / g.groups;
  const int first = to.channel / (g.out_channels / g.groups) * inputs;
  const std::int8_t* k = args.k + std::int64_t{to.channel} * g.kernel * g.kernel * inputs;
  const auto beyond = static_cast<Word>(static_cast<unsigned>(args.input_zero) * 0x01010101U);
  int sum = args.start[to.channel];
  for (int ky = 0; ky < g.kernel; ++ky) {
    const int y = to.row * g.stride + ky - g.padding;
    for (int kx = 0; kx < g.kernel; ++kx, k += inputs) {
      const int x = to.column * g.stride + kx - g.padding;
      const bool is_there = y >= 0 && y < g.height && x >= 0 && x < g.width;
      const std::int64_t pixel = is_there ? (image * g.height + y) * g.width + x : 0;
      const std::uint8_t* from = args.input + pixel * g.in_channels + first;
      for (int i = 0; i < inputs; i += Width) {
        const Word levels = is_there ? *reinterpret_cast<const Word*>(from + i) : beyond;
        if constexpr (Width == 4)
          sum = add_products(sum, levels, *reinterpret_cast<const unsigned*>(k + i));
        else
          sum += int{levels} * int{k[i]};
      }
    }
  }
  return sum;
}

// grid grid_of(output), block kThreads
template <int Width>
__global__ void __launch_bounds__(kThreads) convolve(ConvolveLevelsArgs args) {
  wait_for_previous();
  const ConvGeometry& g = args.geometry;
  const std::int64_t size = std::int64_t{g.out_height()} * g.out_width() * g.out_channels;
  const LevelRounding rounding(args.range.zero, args.range.top);
  for_images(size, g.batch, [&](std::int64_t image, unsigned index) {
    const ImagePlace to(index, g.out_width(), g.out_channels);
    const int sum = sum_of_window<Width>(args, image, to);
    args.output[image * size + index] = rounding(__fmul_rn(static_cast<float>(sum), args.multiplier[to.channel]));
  });
}

// grid grid_of(output), block kThreads
__global__ void __launch_bounds__(kThreads) pool(MaxPoolLevelsArgs args) {
  wait_for_previous();
  const MaxPoolGeometry& g = args.geometry;
  const std::int64_t size = std::int64_t{g.out_height} * g.out_width * g.channels;
  for_images(size, g.batch, [&](std::int64_t image, unsigned index) {
    const ImagePlace to(index, g.out_width, g.channels);
    const int top = to.row * g.stride - g.padding;
    const int left = to.column * g.stride - g.padding;
    std::uint8_t largest = 0;
    for (int y = max(top, 0); y < min(top + g.kernel, g.height); ++y) {
      for (int x = max(left, 0); x < min(left + g.kernel, g.width); ++x) {
        const std::uint8_t level = args.input[((image * g.height + y) * g.width + x) * g.channels + to.channel];
        largest = largest < level ? level : largest;
      }
    }
    args.output[image * size + index] = largest;
  });
}

// grid grid_of(image), block kThreads
__global__ void flatten(FlattenLevelsArgs args) {
  wait_for_previous();
  const std::int64_t size = std::int64_t{args.pixels} * args.channels;
  for_images(size, args.batch, [&](std::int64_t image, unsigned index) {
    const unsigned channel = index / static_cast<unsigned>(args.pixels);
    const unsigned pixel = index - channel * static_cast<unsigned>(args.pixels);
    args.output[image * size + index] = args.input[image * size + std::int64_t{pixel} * args.channels + channel];
  });
}

// ---- the head -------------------------------------------------------------------------------------------------------

constexpr int kWarps = static_cast<int>(kThreads) / kWarp;
constexpr int kWarpClasses = 4;
constexpr int kBlockClasses = kWarps * kWarpClasses;

// grid (images, ceil(classes / kBlockClasses)), block kThreads: adds up the pixels of kThreads channels at a time, then
// a warp multiplies the sums for each of its classes
__global__ void __launch_bounds__(kThreads) classify(ClassifyLevelsArgs args) {
  BSQ_SHARED(long long, sums, [kThreads]);
  wait_for_previous();
  const int thread = static_cast<int>(threadIdx.x), lane = thread % kWarp;
  const int first_class = static_cast<int>(blockIdx.y) * kBlockClasses + thread / kWarp * kWarpClasses;
  const std::uint8_t* image = args.input + std::int64_t{blockIdx.x} * args.pixels * args.channels;
  long long total[kWarpClasses] = {};
  for (int first = 0; first < args.channels; first += static_cast<int>(kThreads)) {
    const int channel = first + thread;
    long long own = 0;
    if (channel < args.channels)
      for (int pixel = 0; pixel < args.pixels; ++pixel)
        own += image[std::int64_t{pixel} * args.channels + channel] - args.input_zero;
    sums[thread] = own;
    __syncthreads();
    const int count = min(args.channels - first, static_cast<int>(kThreads));
    for (int i = 0; i < kWarpClasses; ++i) {
      if (first_class + i >= args.classes) break;
      const std::int16_t* k = args.k + std::int64_t{first_class + i} * args.channels + first;
      for (int c = lane; c < count; c += kWarp) total[i] += sums[c] * k[c];
    }
    __syncthreads();
  }
  for (int i = 0; i < kWarpClasses; ++i) {
    const long long sum = reduce_warp(total[i], Sum());
    const int o = first_class + i;
    if (lane != 0 || o >= args.classes) continue;
    const double product = __dmul_rn(static_cast<double>(sum), static_cast<double>(args.scale[o]));
    args.logits[std::int64_t{blockIdx.x} * args.classes + o] =
        static_cast<float>(__dadd_rn(product, static_cast<double>(args.offset[o])));
  }
}

}  // namespace

void pixels_to_levels(const PixelsToLevelsArgs& args, const DeviceContext& on) {
  launch(look_up_pixels, blocks_of(args.pixels * args.channels), dim3(kThreads), 0, on.stream, args);
}

void convolve_levels(const ConvolveLevelsArgs& args, const DeviceContext& on) {
  if (tensor_cores_serve(args)) return convolve_levels_on_tensor_cores(args, on.stream);
  const ConvGeometry& g = args.geometry;
  const std::int64_t size = std::int64_t{g.out_height()} * g.out_width() * g.out_channels;
  const auto kernel = g.group_inputs() % 4 == 0 ? convolve<4> : convolve<1>;
  launch(kernel, grid_of(size, g.batch), dim3(kThreads), 0, on.stream, args);
}

void add_levels(const AddLevelsArgs& args, const DeviceContext& on) {
  launch(add_all, blocks_of(args.numel), dim3(kThreads), 0, on.stream, args);
}

void max_pool_levels(const MaxPoolLevelsArgs& args, const DeviceContext& on) {
  const MaxPoolGeometry& g = args.geometry;
  launch(pool, grid_of(std::int64_t{g.out_height} * g.out_width * g.channels, g.batch), dim3(kThreads), 0, on.stream,
         args);
}

void concat_levels(const ConcatLevelsArgs& args, const DeviceContext& on) {
  launch(place_beside, blocks_of(args.pixels * args.channels), dim3(kThreads), 0, on.stream, args);
}

void flatten_levels(const FlattenLevelsArgs& args, const DeviceContext& on) {
  launch(flatten, grid_of(std::int64_t{args.pixels} * args.channels, args.batch), dim3(kThreads), 0, on.stream, args);
}

void classify_levels(const ClassifyLevelsArgs& args, const DeviceContext& on) {
  const dim3 grid(static_cast<unsigned>(args.batch),
                  static_cast<unsigned>((args.classes + kBlockClasses - 1) / kBlockClasses));
  launch(classify, grid, dim3(kThreads), 0, on.stream, args);
}

}  // namespace bsq::cuda
