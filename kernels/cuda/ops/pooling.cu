// Pooling over windows.
//
// Least bytes: every tensor once, and a byte an output for the winners. Windows share rows, and what one thread reads
// its neighbours read too: that comes from the cache. Backward gathers, window by window in a fixed order.
#include "kernels/cuda/device/device.cuh"
#include "kernels/cuda/device/vector_width.cuh"
#include "kernels/cuda/ops/launchers.h"

#include <cmath>
#include <type_traits>

namespace bsq::cuda {
namespace {

constexpr unsigned kPoolThreads = 256;
constexpr unsigned kMostImages = 65535;  // of one grid; a block goes on with every kMostImages-th

/// The images [height, width, channels] that a grid goes through, one thread per vector.
struct ImageVectors {
  unsigned height = 0;
  unsigned width = 0;
  unsigned vectors = 0;  // of a pixel
  unsigned images = 0;

  ImageVectors(int image_count, int rows, int columns, int vector_count)
      : height(static_cast<unsigned>(rows)),
        width(static_cast<unsigned>(columns)),
        vectors(static_cast<unsigned>(vector_count)),
        images(static_cast<unsigned>(image_count)) {}
  dim3 grid() const {
    return dim3((height * width * vectors + kPoolThreads - 1) / kPoolThreads,
                images < kMostImages ? images : kMostImages);
  }
};

/// Calls body(image, row, column, first element of the vector in the tensor, its channel) for those of this thread.
template <int Width, typename Body>
__device__ void for_vectors(const ImageVectors& of, Body body) {
  const unsigned index = blockIdx.x * kPoolThreads + threadIdx.x;
  const unsigned pixel = index / of.vectors;
  const unsigned row = pixel / of.width;
  if (row >= of.height) return;
  const int channel = static_cast<int>((index - pixel * of.vectors) * Width);
  const auto column = static_cast<int>(pixel - row * of.width);
  const std::int64_t image_size = std::int64_t{of.height} * of.width * of.vectors * Width;
  for (unsigned image = blockIdx.y; image < of.images; image += gridDim.y)
    body(static_cast<std::int64_t>(image), static_cast<int>(row), column,
         image * image_size + std::int64_t{index} * Width, channel);
}

/// Of one axis, the numbers (or the windows) [begin, end).
struct Range {
  int begin = 0;
  int end = 0;

  __device__ int size() const { return end - begin; }
};

/// What of a window that starts at `corner` lies in the image.
__device__ Range clipped(int corner, int kernel, int size) {
  return {corner < 0 ? 0 : corner, corner + kernel < size ? corner + kernel : size};
}

/// The windows of a max pooling that a row (or a column) is in.
__device__ Range max_windows(const MaxPoolGeometry& geometry, int row, int count) {
  const int from_first = row + geometry.padding;
  const int last = from_first / geometry.stride;
  return {from_first < geometry.kernel ? 0 : (from_first - geometry.kernel) / geometry.stride + 1,
          last < count ? last + 1 : count};
}

/// The rows of window `index` of an average.
__device__ Range averaged(int kernel, int index, int count, int size) {
  if (kernel > 0) return {index * kernel, (index + 1) * kernel};
  return {index * size / count, ((index + 1) * size + count - 1) / count};
}

/// The windows of an average that a row is in.
__device__ Range averaging(int kernel, int row, int count, int size) {
  if (kernel > 0) {
    const int index = row / kernel;
    return {index, index < count ? index + 1 : index};
  }
  return {row * count / size, ((row + 1) * count + size - 1) / size};
}

/// 1 / count of a small whole number, without the function that a division calls for numbers that are not: around it
/// the sums of a thread would have to be kept in memory.
__device__ float reciprocal(float count) {
#if defined(__CUDA_ARCH__)
  const float near = __fdividef(1.0F, count);
  return fmaf(near, fmaf(-count, near, 1.0F), near);
#else
  return 1.0F / count;
#endif
}

/// A byte for each element of a vector, in one access.
template <int Width>
struct Places {
  using Word = std::conditional_t<
      Width == 1, std::uint8_t,
      std::conditional_t<Width == 2, std::uint16_t, std::conditional_t<Width == 4, std::uint32_t, std::uint64_t>>>;
  static_assert(sizeof(Word) == Width);

  __device__ static void load(const std::uint8_t* from, int (&places)[Width]) {
    const Word word = *reinterpret_cast<const Word*>(from);
    for (int i = 0; i < Width; ++i) places[i] = static_cast<int>(word >> (8 * i) & 0xFF);
  }
  __device__ static void store(std::uint8_t* to, const int (&places)[Width]) {
    Word word = 0;
    for (int i = 0; i < Width; ++i) word |= static_cast<Word>(static_cast<Word>(places[i]) << (8 * i));
    *reinterpret_cast<Word*>(to) = word;
  }
};

// ---- the largest of a window ----------------------------------------------------------------------------------------

// grid (vectors of an output image, images), block kPoolThreads, one thread per vector of the output
template <typename T, int Width>
__global__ void __launch_bounds__(kPoolThreads)
    max_forward(ImageVectors outputs, MaxPoolGeometry g, const T* input, T* output, std::uint8_t* winners) {
  wait_for_previous();
  for_vectors<Width>(outputs, [&](std::int64_t image, int y, int x, std::int64_t to, int channel) {
    const int top = y * g.stride - g.padding;
    const int left = x * g.stride - g.padding;
    const Range rows = clipped(top, g.kernel, g.height);
    const Range columns = clipped(left, g.kernel, g.width);
    const T* from = input + image * g.height * g.width * g.channels + channel;
    float largest[Width];
    int winner[Width];
    for (int i = 0; i < Width; ++i) {
      largest[i] = -INFINITY;
      winner[i] = (rows.begin - top) * g.kernel + columns.begin - left;
    }
    for (int row = rows.begin; row < rows.end; ++row) {
      for (int column = columns.begin; column < columns.end; ++column) {
        float value[Width];
        load<Width>(from + (std::int64_t{row} * g.width + column) * g.channels, value);
        const int place = (row - top) * g.kernel + column - left;
        for (int i = 0; i < Width; ++i) {
          const bool wins = value[i] > largest[i] || value[i] != value[i];
          largest[i] = wins ? value[i] : largest[i];
          winner[i] = wins ? place : winner[i];
        }
      }
    }
    store<Width>(output + to, largest);
    if (winners != nullptr) Places<Width>::store(winners + to, winner);
  });
}

// grid (vectors of an input image, images), block kPoolThreads, one thread per vector of the input
template <typename T, int Width>
__global__ void __launch_bounds__(kPoolThreads) max_backward(ImageVectors inputs, MaxPoolGeometry g, const T* d_output,
                                                             const std::uint8_t* winners, GradMode mode, T* d_input) {
  wait_for_previous();
  for_vectors<Width>(inputs, [&](std::int64_t image, int row, int column, std::int64_t to, int channel) {
    const Range rows = max_windows(g, row, g.out_height);
    const Range columns = max_windows(g, column, g.out_width);
    const std::int64_t first = image * g.out_height * g.out_width * g.channels + channel;
    float sum[Width] = {};
    for (int y = rows.begin; y < rows.end; ++y) {
      for (int x = columns.begin; x < columns.end; ++x) {
        const std::int64_t from = first + (std::int64_t{y} * g.out_width + x) * g.channels;
        const int place = (row + g.padding - y * g.stride) * g.kernel + column + g.padding - x * g.stride;
        int winner[Width];
        float gradient[Width];
        Places<Width>::load(winners + from, winner);
        load<Width>(d_output + from, gradient);
        for (int i = 0; i < Width; ++i) sum[i] += winner[i] == place ? gradient[i] : 0.0F;
      }
    }
    store_gradient<Width>(d_input + to, sum, mode);
  });
}

// ---- the mean of a window -------------------------------------------------------------------------------------------

// grid (vectors of an output image, images), block kPoolThreads, one thread per vector of the output
template <typename T, int Width>
__global__ void __launch_bounds__(kPoolThreads)
    average_forward(ImageVectors outputs, WindowAverageGeometry g, const T* input, TensorUnit unit, T* output) {
  wait_for_previous();
  const float factor = value_of(unit);
  for_vectors<Width>(outputs, [&](std::int64_t image, int y, int x, std::int64_t to, int channel) {
    const Range rows = averaged(g.kernel, y, g.out_height, g.height);
    const Range columns = averaged(g.kernel, x, g.out_width, g.width);
    const T* from = input + image * g.height * g.width * g.channels + channel;
    const float share = factor * reciprocal(static_cast<float>(rows.size() * columns.size()));
    float sum[Width] = {};
    for (int row = rows.begin; row < rows.end; ++row) {
#pragma unroll 1  // windows are small; unrolled, the loads of one spill
      for (int column = columns.begin; column < columns.end; ++column) {
        float value[Width];
        load<Width>(from + (std::int64_t{row} * g.width + column) * g.channels, value);
        for (int i = 0; i < Width; ++i) sum[i] += value[i];
      }
    }
    for (int i = 0; i < Width; ++i) sum[i] *= share;
    store<Width>(output + to, sum);
  });
}

// grid (vectors of an input image, images), block kPoolThreads, one thread per vector of the input
template <typename T, int Width>
__global__ void __launch_bounds__(kPoolThreads)
    average_backward(ImageVectors inputs, WindowAverageGeometry g, const T* d_output, TensorUnit unit, GradMode mode,
                     T* d_input) {
  wait_for_previous();
  const float factor = value_of(unit);
  for_vectors<Width>(inputs, [&](std::int64_t image, int row, int column, std::int64_t to, int channel) {
    const Range rows = averaging(g.kernel, row, g.out_height, g.height);
    const Range columns = averaging(g.kernel, column, g.out_width, g.width);
    const std::int64_t first = image * g.out_height * g.out_width * g.channels + channel;
    float sum[Width] = {};
    for (int y = rows.begin; y < rows.end; ++y) {
      const int high = averaged(g.kernel, y, g.out_height, g.height).size();
      for (int x = columns.begin; x < columns.end; ++x) {
        const float share = reciprocal(static_cast<float>(high * averaged(g.kernel, x, g.out_width, g.width).size()));
        float gradient[Width];
        load<Width>(d_output + first + (std::int64_t{y} * g.out_width + x) * g.channels, gradient);
        for (int i = 0; i < Width; ++i) sum[i] += gradient[i] * share;
      }
    }
    for (int i = 0; i < Width; ++i) sum[i] *= factor;
    store_gradient<Width>(d_input + to, sum, mode);
  });
}

}  // namespace

void max_pool_forward(const MaxPoolForwardArgs& args, const DeviceContext& on) {
  const MaxPoolGeometry& g = args.geometry;
  with_vectors(g.dtype, g.channels, [&]<typename T, int Width>() {
    const ImageVectors outputs(g.batch, g.out_height, g.out_width, g.channels / Width);
    launch(max_forward<T, Width>, outputs.grid(), dim3(kPoolThreads), 0, on.stream, outputs, g,
           static_cast<const T*>(args.input), static_cast<T*>(args.output), args.winners);
  });
}

void max_pool_backward(const MaxPoolBackwardArgs& args, const DeviceContext& on) {
  const MaxPoolGeometry& g = args.geometry;
  with_vectors(g.dtype, g.channels, [&]<typename T, int Width>() {
    const ImageVectors inputs(g.batch, g.height, g.width, g.channels / Width);
    launch(max_backward<T, Width>, inputs.grid(), dim3(kPoolThreads), 0, on.stream, inputs, g,
           static_cast<const T*>(args.d_output), args.winners, args.mode, static_cast<T*>(args.d_input));
  });
}

void window_average_forward(const WindowAverageForwardArgs& args, const DeviceContext& on) {
  const WindowAverageGeometry& g = args.geometry;
  with_vectors(g.dtype, g.channels, [&]<typename T, int Width>() {
    const ImageVectors outputs(g.batch, g.out_height, g.out_width, g.channels / Width);
    launch(average_forward<T, Width>, outputs.grid(), dim3(kPoolThreads), 0, on.stream, outputs, g,
           static_cast<const T*>(args.input), args.unit, static_cast<T*>(args.output));
  });
}

void window_average_backward(const WindowAverageBackwardArgs& args, const DeviceContext& on) {
  const WindowAverageGeometry& g = args.geometry;
  with_vectors(g.dtype, g.channels, [&]<typename T, int Width>() {
    const ImageVectors inputs(g.batch, g.height, g.width, g.channels / Width);
    launch(average_backward<T, Width>, inputs.grid(), dim3(kPoolThreads), 0, on.stream, inputs, g,
           static_cast<const T*>(args.d_output), args.unit, args.mode, static_cast<T*>(args.d_input));
  });
}

}  // namespace bsq::cuda
