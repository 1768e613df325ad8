// The output pixel at x takes the input around (x + 1/2) scale, by a kernel that is stretched where pictures shrink.
#include "data/resize.h"

#include "kernels/base/error.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace bsq {
namespace {

constexpr int kChannels = 3;
constexpr int kWeightBits = 22;

/// The input pixels of one output pixel, and their weights, which add up to about 2^22.
struct Taps {
  int first = 0;
  std::vector<std::int32_t> weights;
};

double kernel_at(double x, Interpolation interpolation) {
  const double distance = std::abs(x);
  if (interpolation == Interpolation::bilinear) return std::max(0.0, 1 - distance);
  constexpr double a = -0.5;
  if (distance < 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1;
  if (distance < 2) return (((distance - 5) * distance + 8) * distance - 4) * a;
  return 0;
}

/// One entry per output pixel of an axis, `count` from `first_output` on.
std::vector<Taps> taps_of(int from, int to, int first_output, int count, Interpolation interpolation) {
  const double scale = static_cast<double>(from) / to;
  const double stretch = std::max(scale, 1.0);
  const double reach = (interpolation == Interpolation::bilinear ? 1.0 : 2.0) * stretch;
  std::vector<Taps> all;
  for (int x = first_output; x < first_output + count; ++x) {
    const double center = (x + 0.5) * scale;
    const int first = std::max(static_cast<int>(center - reach + 0.5), 0);
    const int last = std::min(static_cast<int>(center + reach + 0.5), from);  // the one behind
    std::vector<double> weights;
    double sum = 0;
    for (int i = first; i < last; ++i)
      sum += weights.emplace_back(kernel_at((i - center + 0.5) * (1 / stretch), interpolation));
    Taps taps{first, {}};
    for (const double weight : weights) {
      const double scaled = (sum == 0 ? weight : weight / sum) * (1 << kWeightBits);
      taps.weights.push_back(static_cast<std::int32_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5));
    }
    all.push_back(std::move(taps));
  }
  return all;
}

/// sum of weights times pixels that lie `stride` bytes apart, rounded.
std::uint8_t weighted(const std::uint8_t* pixels, std::ptrdiff_t stride, const std::vector<std::int32_t>& weights) {
  std::int32_t sum = 1 << (kWeightBits - 1);
  for (const std::int32_t weight : weights) {
    sum += weight * *pixels;
    pixels += stride;
  }
  return static_cast<std::uint8_t>(std::clamp(sum >> kWeightBits, 0, 255));
}

/// Rows [first_row, first_row + rows) of a picture with these columns.
std::vector<std::uint8_t> resize_columns(const std::uint8_t* pixels, int width, int first_row, int rows,
                                         const std::vector<Taps>& columns) {
  std::vector<std::uint8_t> result(static_cast<std::size_t>(rows) * columns.size() * kChannels);
  std::uint8_t* to = result.data();
  for (int y = first_row; y < first_row + rows; ++y) {
    const std::uint8_t* row = pixels + std::ptrdiff_t{y} * width * kChannels;
    for (const Taps& of : columns)
      for (int channel = 0; channel < kChannels; ++channel)
        *to++ = weighted(row + std::ptrdiff_t{of.first} * kChannels + channel, kChannels, of.weights);
  }
  return result;
}

}  // namespace

const std::vector<std::string>& interpolation_names() {
  static const std::vector<std::string> names = {"bilinear", "bicubic"};
  return names;
}

Interpolation interpolation_named(const std::string& name) {
  const std::vector<std::string>& names = interpolation_names();
  const auto found = std::ranges::find(names, name);
  if (found == names.end()) fail(ErrorKind::usage, "interpolation '{}'; must be {}", name, fmt::join(names, " or "));
  return static_cast<Interpolation>(found - names.begin());
}

std::vector<std::uint8_t> resize_pixels(std::span<const std::uint8_t> pixels, ImageSize from, ImageSize to,
                                        const PixelWindow& window, Interpolation interpolation) {
  require(window.top >= 0 && window.left >= 0 && window.top + window.size.height <= to.height &&
              window.left + window.size.width <= to.width,
          "a window of {}x{} pixels at {}, {} in {}x{}", window.size.width, window.size.height, window.left, window.top,
          to.width, to.height);
  const std::vector<Taps> columns = taps_of(from.width, to.width, window.left, window.size.width, interpolation);
  const std::vector<Taps> rows = taps_of(from.height, to.height, window.top, window.size.height, interpolation);
  const int first_row = rows.front().first;
  int last_row = first_row;  // the one behind
  for (const Taps& of : rows) last_row = std::max(last_row, of.first + static_cast<int>(of.weights.size()));
  const std::vector<std::uint8_t> narrowed =
      resize_columns(pixels.data(), from.width, first_row, last_row - first_row, columns);

  const std::ptrdiff_t stride = std::ptrdiff_t{window.size.width} * kChannels;
  std::vector<std::uint8_t> result(static_cast<std::size_t>(window.size.height) * static_cast<std::size_t>(stride));
  std::uint8_t* next = result.data();
  for (const Taps& of : rows)
    for (std::ptrdiff_t column = 0; column < stride; ++column)
      *next++ = weighted(narrowed.data() + (of.first - first_row) * stride + column, stride, of.weights);
  return result;
}

}  // namespace bsq
