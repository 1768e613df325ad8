// Every operation rounds once: this file is compiled without contraction to fused multiply-adds.
#include "kernels/plain_levels.h"

#include "kernels/level_rounding.h"

#include <algorithm>

namespace bsq::plain {
namespace {

/// Calls body(image, row, column) for all pixels [N, H, W].
template <typename Body>
void for_pixels(int batch, int height, int width, Body body) {
  for (int n = 0; n < batch; ++n)
    for (int row = 0; row < height; ++row)
      for (int column = 0; column < width; ++column) body(n, row, column);
}

/// The sum of one window for output channel `o`.
std::int64_t sum_of_window(const ConvolveLevelsArgs& args, int n, int row, int column, int o) {
  const ConvGeometry& g = args.geometry;
  const int inputs = g.group_inputs(), first = o / g.group_outputs() * inputs;
  const std::int8_t* k = args.k + std::int64_t{o} * g.kernel * g.kernel * inputs;
  std::int64_t sum = args.start[o];
  for (int ky = 0; ky < g.kernel; ++ky) {
    for (int kx = 0; kx < g.kernel; ++kx, k += inputs) {
      const int y = row * g.stride + ky - g.padding, x = column * g.stride + kx - g.padding;
      const bool is_there = y >= 0 && y < g.height && x >= 0 && x < g.width;
      const std::uint8_t* pixel =
          args.input + (is_there ? ((std::int64_t{n} * g.height + y) * g.width + x) * g.in_channels + first : 0);
      for (int i = 0; i < inputs; ++i) sum += int{k[i]} * (is_there ? int{pixel[i]} : args.input_zero);
    }
  }
  return sum;
}

}  // namespace

void pixels_to_levels(const PixelsToLevelsArgs& args) {
  for (std::int64_t i = 0; i < args.pixels * args.channels; ++i)
    args.levels[i] = args.table[i % args.channels * 256 + args.pictures[i]];
}

void convolve_levels(const ConvolveLevelsArgs& args) {
  const ConvGeometry& g = args.geometry;
  const LevelRounding rounding(args.range.zero, args.range.top);
  std::uint8_t* level = args.output;
  for_pixels(g.batch, g.out_height(), g.out_width(), [&](int n, int row, int column) {
    for (int o = 0; o < g.out_channels; ++o)
      *level++ = rounding(static_cast<float>(sum_of_window(args, n, row, column, o)) * args.multiplier[o]);
  });
}

void add_levels(const AddLevelsArgs& args) {
  const LevelRounding rounding(0, args.top);  // the zero is in c
  const double a = double{args.a}, b = double{args.b}, c = double{args.c};
  for (std::int64_t i = 0; i < args.numel; ++i)
    args.output[i] = rounding(added_number(a, args.x0[i], b, args.x1[i], c));
}

void max_pool_levels(const MaxPoolLevelsArgs& args) {
  const MaxPoolGeometry& g = args.geometry;
  std::uint8_t* largest = args.output;
  for_pixels(g.batch, g.out_height, g.out_width, [&](int n, int row, int column) {
    const int top = row * g.stride - g.padding, left = column * g.stride - g.padding;
    std::fill_n(largest, g.channels, std::uint8_t{0});
    for (int y = std::max(top, 0); y < std::min(top + g.kernel, g.height); ++y)
      for (int x = std::max(left, 0); x < std::min(left + g.kernel, g.width); ++x)
        for (int c = 0; c < g.channels; ++c)
          largest[c] =
              std::max(largest[c], args.input[((std::int64_t{n} * g.height + y) * g.width + x) * g.channels + c]);
    largest += g.channels;
  });
}

void concat_levels(const ConcatLevelsArgs& args) {
  for (std::int64_t pixel = 0; pixel < args.pixels; ++pixel)
    for (int c = 0; c < args.channels; ++c)
      args.output[pixel * args.output_channels + args.first + c] = args.table[args.input[pixel * args.channels + c]];
}

void flatten_levels(const FlattenLevelsArgs& args) {
  std::uint8_t* to = args.output;
  for (std::int64_t n = 0; n < args.batch; ++n)
    for (int c = 0; c < args.channels; ++c)
      for (int pixel = 0; pixel < args.pixels; ++pixel)
        *to++ = args.input[(n * args.pixels + pixel) * args.channels + c];
}

void classify_levels(const ClassifyLevelsArgs& args) {
  const std::int64_t levels = std::int64_t{args.pixels} * args.channels;
  for (std::int64_t n = 0; n < args.batch; ++n) {
    for (int o = 0; o < args.classes; ++o) {
      std::int64_t sum = 0;
      for (std::int64_t i = 0; i < levels; ++i)
        sum += std::int64_t{args.k[std::int64_t{o} * args.channels + i % args.channels]} *
               (args.input[n * levels + i] - args.input_zero);
      const double product = static_cast<double>(sum) * double{args.scale[o]};
      args.logits[n * args.classes + o] = static_cast<float>(product + double{args.offset[o]});
    }
  }
}

}  // namespace bsq::plain
