// Pooling over windows, and flattening: rows of an image in parallel, sixteen channels at a time.
#include "kernels/cpu/simd/gradients.h"
#include "kernels/cpu/simd/lanes.h"
#include "kernels/cpu/simd/units.h"
#include "kernels/cpu/simd/variant.h"

namespace bsq::BSQ_SIMD_NAMESPACE {
namespace {

using ByteLanes = std::uint8_t __attribute__((vector_size(16)));

/// Of one axis, the numbers (or the windows) [begin, end).
struct Range {
  int begin;
  int end;
};

/// What of a window that starts at `corner` lies in the image.
BSQ_LANES_INLINE Range clipped(int corner, int kernel, int size) {
  return {corner < 0 ? 0 : corner, corner + kernel < size ? corner + kernel : size};
}

/// The windows of a max pooling that a row (or a column) is in.
BSQ_LANES_INLINE Range max_windows(const MaxPoolGeometry& geometry, int row, int count) {
  const int from_first = row + geometry.padding;
  const int last = from_first / geometry.stride;
  return {from_first < geometry.kernel ? 0 : (from_first - geometry.kernel) / geometry.stride + 1,
          last < count ? last + 1 : count};
}

/// The rows of window `index` of an average.
BSQ_LANES_INLINE Range averaged(int kernel, int index, int count, int size) {
  if (kernel > 0) return {index * kernel, (index + 1) * kernel};
  return {index * size / count, ((index + 1) * size + count - 1) / count};
}

/// The windows of an average that a row is in.
BSQ_LANES_INLINE Range averaging(int kernel, int row, int count, int size) {
  if (kernel > 0) {
    const int index = row / kernel;
    return {index, index < count ? index + 1 : index};
  }
  return {row * count / size, ((row + 1) * count + size - 1) / size};
}

/// Calls body<Full>(channel, count) for every sixteen channels.
template <typename Body>
BSQ_LANES_INLINE void for_channels(int channels, Body body) {
  int channel = 0;
  for (; channel + kLanes <= channels; channel += kLanes) body.template operator()<true>(channel, kLanes);
  if (channel < channels) body.template operator()<false>(channel, channels - channel);
}

template <bool Full>
BSQ_LANES_INLINE IntLanes load_places(const std::uint8_t* source, int count) {
  ByteLanes bytes{};
  __builtin_memcpy(&bytes, source, Full ? kLanes : count);
  return __builtin_convertvector(bytes, IntLanes);
}

template <bool Full>
BSQ_LANES_INLINE void store_places(std::uint8_t* target, IntLanes places, int count) {
  const ByteLanes bytes = __builtin_convertvector(places, ByteLanes);
  __builtin_memcpy(target, &bytes, Full ? kLanes : count);
}

// ---- the largest of a window ----------------------------------------------------------------------------------------

template <typename T>
void max_forward(const MaxPoolGeometry& g, const T* input, T* output, std::uint8_t* winners) {
#pragma omp parallel for schedule(static)
  for (int out_row = 0; out_row < g.batch * g.out_height; ++out_row) {
    const T* image = input + std::int64_t{1} * (out_row / g.out_height) * g.height * g.width * g.channels;
    const int top = out_row % g.out_height * g.stride - g.padding;
    const Range rows = clipped(top, g.kernel, g.height);
    for (int x = 0; x < g.out_width; ++x) {
      const int left = x * g.stride - g.padding;
      const Range columns = clipped(left, g.kernel, g.width);
      const std::int64_t pixel = (std::int64_t{1} * out_row * g.out_width + x) * g.channels;
      for_channels(g.channels, [&]<bool Full>(int channel, int count) {
        const auto at = [&](int row, int column) {
          return load_lanes<Full>(image + (std::int64_t{1} * row * g.width + column) * g.channels + channel, count);
        };
        FloatLanes largest = at(rows.begin, columns.begin);
        IntLanes winner = IntLanes{} + ((rows.begin - top) * g.kernel + columns.begin - left);
        for (int row = rows.begin; row < rows.end; ++row) {
          for (int column = columns.begin; column < columns.end; ++column) {
            const FloatLanes value = at(row, column);
            const IntLanes wins = (value > largest) | (value != value);
            largest = wins ? value : largest;
            winner = wins ? IntLanes{} + ((row - top) * g.kernel + column - left) : winner;
          }
        }
        store_lanes<Full>(output + pixel + channel, largest, count);
        if (winners != nullptr) store_places<Full>(winners + pixel + channel, winner, count);
      });
    }
  }
}

template <typename T>
void max_backward(const MaxPoolGeometry& g, const T* d_output, const std::uint8_t* winners, GradMode mode, T* d_input) {
#pragma omp parallel for schedule(static)
  for (int in_row = 0; in_row < g.batch * g.height; ++in_row) {
    const int row = in_row % g.height;
    const Range rows = max_windows(g, row, g.out_height);
    const std::int64_t first_out = std::int64_t{1} * (in_row / g.height) * g.out_height;
    for (int column = 0; column < g.width; ++column) {
      const Range columns = max_windows(g, column, g.out_width);
      T* target = d_input + (std::int64_t{1} * in_row * g.width + column) * g.channels;
      for_channels(g.channels, [&]<bool Full>(int channel, int count) {
        FloatLanes sum{};
        for (int y = rows.begin; y < rows.end; ++y) {
          for (int x = columns.begin; x < columns.end; ++x) {
            const std::int64_t from = ((first_out + y) * g.out_width + x) * g.channels + channel;
            const int place = (row + g.padding - y * g.stride) * g.kernel + column + g.padding - x * g.stride;
            const IntLanes won = load_places<Full>(winners + from, count) == place;
            sum += won ? load_lanes<Full>(d_output + from, count) : FloatLanes{};
          }
        }
        store_gradient<Full>(target + channel, sum, count, mode);
      });
    }
  }
}

// ---- the mean of a window -------------------------------------------------------------------------------------------

template <typename T>
void average_forward(const WindowAverageGeometry& g, const T* input, float unit, T* output) {
#pragma omp parallel for schedule(static)
  for (int out_row = 0; out_row < g.batch * g.out_height; ++out_row) {
    const T* image = input + std::int64_t{1} * (out_row / g.out_height) * g.height * g.width * g.channels;
    const Range rows = averaged(g.kernel, out_row % g.out_height, g.out_height, g.height);
    for (int x = 0; x < g.out_width; ++x) {
      const Range columns = averaged(g.kernel, x, g.out_width, g.width);
      const auto numbers = static_cast<float>((rows.end - rows.begin) * (columns.end - columns.begin));
      T* target = output + (std::int64_t{1} * out_row * g.out_width + x) * g.channels;
      for_channels(g.channels, [&]<bool Full>(int channel, int count) {
        FloatLanes sum{};
        for (int row = rows.begin; row < rows.end; ++row)
          for (int column = columns.begin; column < columns.end; ++column)
            sum += load_lanes<Full>(image + (std::int64_t{1} * row * g.width + column) * g.channels + channel, count);
        store_lanes<Full>(target + channel, sum * unit / numbers, count);
      });
    }
  }
}

template <typename T>
void average_backward(const WindowAverageGeometry& g, const T* d_output, float unit, GradMode mode, T* d_input) {
#pragma omp parallel for schedule(static)
  for (int in_row = 0; in_row < g.batch * g.height; ++in_row) {
    const Range rows = averaging(g.kernel, in_row % g.height, g.out_height, g.height);
    const std::int64_t first_out = std::int64_t{1} * (in_row / g.height) * g.out_height;
    for (int column = 0; column < g.width; ++column) {
      const Range columns = averaging(g.kernel, column, g.out_width, g.width);
      T* target = d_input + (std::int64_t{1} * in_row * g.width + column) * g.channels;
      for_channels(g.channels, [&]<bool Full>(int channel, int count) {
        FloatLanes sum{};
        for (int y = rows.begin; y < rows.end; ++y) {
          const Range high = averaged(g.kernel, y, g.out_height, g.height);
          for (int x = columns.begin; x < columns.end; ++x) {
            const Range wide = averaged(g.kernel, x, g.out_width, g.width);
            const auto numbers = static_cast<float>((high.end - high.begin) * (wide.end - wide.begin));
            const std::int64_t from = ((first_out + y) * g.out_width + x) * g.channels + channel;
            sum += load_lanes<Full>(d_output + from, count) / numbers;
          }
        }
        store_gradient<Full>(target + channel, sum * unit, count, mode);
      });
    }
  }
}

// ---- flattening -----------------------------------------------------------------------------------------------------

/// Calls body(sixteen channels of a pixel, where the first of them goes in the flat image, channels in use): those of
/// one image after another, in parallel.
template <typename Body>
BSQ_LANES_INLINE void for_flat(const FlattenGeometry& g, Body body) {
  const int groups = (g.channels + kLanes - 1) / kLanes;
#pragma omp parallel for schedule(static)
  for (int index = 0; index < g.batch * groups; ++index) {
    const int channel = index % groups * kLanes;
    const int count = g.channels - channel < kLanes ? g.channels - channel : kLanes;
    const std::int64_t first = std::int64_t{1} * (index / groups) * g.pixels * g.channels;
    for (int pixel = 0; pixel < g.pixels; ++pixel)
      body(first + std::int64_t{1} * pixel * g.channels + channel, first + std::int64_t{1} * channel * g.pixels + pixel,
           count);
  }
}

template <typename T>
void flatten(const FlattenGeometry& g, const T* input, float unit, float* output) {
  for_flat(g, [&](std::int64_t from, std::int64_t to, int count) {
    const FloatLanes values = load_some(input + from, count) * unit;
    for (int lane = 0; lane < count; ++lane) output[to + std::int64_t{1} * lane * g.pixels] = values[lane];
  });
}

template <typename T>
void unflatten(const FlattenGeometry& g, const float* d_output, float unit, GradMode mode, T* d_input) {
  for_flat(g, [&](std::int64_t to, std::int64_t from, int count) {
    FloatLanes values{};
    for (int lane = 0; lane < count; ++lane) values[lane] = d_output[from + std::int64_t{1} * lane * g.pixels];
    store_gradient<false>(d_input + to, values * unit, count, mode);
  });
}

}  // namespace

void max_pool_forward(const MaxPoolForwardArgs& args) {
  args.geometry.dtype == DType::bf16
      ? max_forward(args.geometry, static_cast<const Bf16*>(args.input), static_cast<Bf16*>(args.output), args.winners)
      : max_forward(args.geometry, static_cast<const float*>(args.input), static_cast<float*>(args.output),
                    args.winners);
}

void max_pool_backward(const MaxPoolBackwardArgs& args) {
  args.geometry.dtype == DType::bf16 ? max_backward(args.geometry, static_cast<const Bf16*>(args.d_output),
                                                    args.winners, args.mode, static_cast<Bf16*>(args.d_input))
                                     : max_backward(args.geometry, static_cast<const float*>(args.d_output),
                                                    args.winners, args.mode, static_cast<float*>(args.d_input));
}

void window_average_forward(const WindowAverageForwardArgs& args) {
  const float unit = value_of(args.unit);
  args.geometry.dtype == DType::bf16
      ? average_forward(args.geometry, static_cast<const Bf16*>(args.input), unit, static_cast<Bf16*>(args.output))
      : average_forward(args.geometry, static_cast<const float*>(args.input), unit, static_cast<float*>(args.output));
}

void window_average_backward(const WindowAverageBackwardArgs& args) {
  const float unit = value_of(args.unit);
  args.geometry.dtype == DType::bf16 ? average_backward(args.geometry, static_cast<const Bf16*>(args.d_output), unit,
                                                        args.mode, static_cast<Bf16*>(args.d_input))
                                     : average_backward(args.geometry, static_cast<const float*>(args.d_output), unit,
                                                        args.mode, static_cast<float*>(args.d_input));
}

void flatten_forward(const FlattenForwardArgs& args) {
  const float unit = value_of(args.unit);
  args.geometry.dtype == DType::bf16 ? flatten(args.geometry, static_cast<const Bf16*>(args.input), unit, args.output)
                                     : flatten(args.geometry, static_cast<const float*>(args.input), unit, args.output);
}

void flatten_backward(const FlattenBackwardArgs& args) {
  const float unit = value_of(args.unit);
  args.geometry.dtype == DType::bf16
      ? unflatten(args.geometry, args.d_output, unit, args.mode, static_cast<Bf16*>(args.d_input))
      : unflatten(args.geometry, args.d_output, unit, args.mode, static_cast<float*>(args.d_input));
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
