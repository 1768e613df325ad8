// The output pixel at x takes the input around (x + 1/2) scale, by a kernel that is stretched where pictures shrink.
#include "data/resize.h"

#include "kernels/base/error.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace bsq {
namespace {

constexpr int kWeightBits = 22;

double kernel_at(double x, Interpolation interpolation) {
  const double distance = std::abs(x);
  if (interpolation == Interpolation::bilinear) return std::max(0.0, 1 - distance);
  constexpr double a = -0.5;
  if (distance < 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1;
  if (distance < 2) return (((distance - 5) * distance + 8) * distance - 4) * a;
  return 0;
}

/// One entry per output pixel of an axis, `count` from `first_output` on.
std::vector<PixelTaps> taps_of(int from, int to, int first_output, int count, Interpolation interpolation) {
  const double scale = static_cast<double>(from) / to;
  const double stretch = std::max(scale, 1.0);
  const double reach = (interpolation == Interpolation::bilinear ? 1.0 : 2.0) * stretch;
  std::vector<PixelTaps> all;
  for (int x = first_output; x < first_output + count; ++x) {
    const double center = (x + 0.5) * scale;
    const int first = std::max(static_cast<int>(center - reach + 0.5), 0);
    const int last = std::min(static_cast<int>(center + reach + 0.5), from);  // the one behind
    std::vector<double> weights;
    double sum = 0;
    for (int i = first; i < last; ++i)
      sum += weights.emplace_back(kernel_at((i - center + 0.5) * (1 / stretch), interpolation));
    PixelTaps taps{first, {}};
    for (const double weight : weights) {
      const double scaled = (sum == 0 ? weight : weight / sum) * (1 << kWeightBits);
      taps.weights.push_back(static_cast<std::int32_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5));
    }
    all.push_back(std::move(taps));
  }
  return all;
}

constexpr std::int32_t kHalf = 1 << (kWeightBits - 1);

std::uint8_t rounded(std::int32_t sum) {
  return static_cast<std::uint8_t>(std::clamp(sum >> kWeightBits, 0, 255));
}

/// The input that an axis depends on: its first place, and how many there are.
std::pair<int, int> reach_of(const std::vector<PixelTaps>& axis) {
  const int first = axis.front().first;
  int behind = first;
  for (const PixelTaps& of : axis) behind = std::max(behind, of.first + static_cast<int>(of.weights.size()));
  return {first, behind - first};
}

/// All rows of a part of a picture, with these columns.
template <int Channels>
std::vector<std::uint8_t> resize_columns(const std::uint8_t* pixels, const PixelWindow& part,
                                         const std::vector<PixelTaps>& columns) {
  std::vector<std::uint8_t> result(static_cast<std::size_t>(part.size.height) * columns.size() * Channels);
  std::uint8_t* to = result.data();
  for (int y = 0; y < part.size.height; ++y) {
    const std::uint8_t* row = pixels + std::ptrdiff_t{y} * part.size.width * Channels;
    for (const PixelTaps& of : columns) {
      std::array<std::int32_t, Channels> sums;
      sums.fill(kHalf);
      const std::uint8_t* pixel = row + std::ptrdiff_t{of.first - part.left} * Channels;
      for (const std::int32_t weight : of.weights)
        for (std::int32_t& sum : sums) sum += weight * *pixel++;
      for (const std::int32_t sum : sums) *to++ = rounded(sum);
    }
  }
  return result;
}

/// These rows of a part that begins at row `top`, of so many values each: sums of whole rows, which take few steps.
std::vector<std::uint8_t> resize_rows(const std::uint8_t* part, int top, std::size_t row_length,
                                      const std::vector<PixelTaps>& rows) {
  std::vector<std::uint8_t> result(rows.size() * row_length);
  std::vector<std::int32_t> sums(row_length);
  std::uint8_t* to = result.data();
  for (const PixelTaps& of : rows) {
    std::ranges::fill(sums, kHalf);
    const std::uint8_t* row = part + static_cast<std::size_t>(of.first - top) * row_length;
    for (const std::int32_t weight : of.weights) {
      for (std::size_t i = 0; i < row_length; ++i) sums[i] += weight * row[i];
      row += row_length;
    }
    to = std::ranges::transform(sums, to, rounded).out;
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

Resizing::Resizing(ImageSize from, ImageSize to, const PixelWindow& window, Interpolation interpolation) {
  require(from.height > 0 && from.width > 0, "a picture of {}x{} pixels", from.width, from.height);
  require(lies_in(window, to), "a window of {}x{} pixels at {}, {} in {}x{}", window.size.width, window.size.height,
          window.left, window.top, to.width, to.height);
  rows_ = taps_of(from.height, to.height, window.top, window.size.height, interpolation);
  columns_ = taps_of(from.width, to.width, window.left, window.size.width, interpolation);
  const auto [top, height] = reach_of(rows_);
  const auto [left, width] = reach_of(columns_);
  source_ = {top, left, {height, width}};
}

std::vector<std::uint8_t> Resizing::resize(std::span<const std::uint8_t> pixels, int channels) const {
  const ImageSize source = source_.size;
  const auto values = static_cast<std::size_t>(channels);
  require(pixels.size() == static_cast<std::size_t>(source.height) * static_cast<std::size_t>(source.width) * values &&
              (channels == 1 || channels == 3),
          "{} bytes for {}x{} pixels in {} channels", pixels.size(), source.width, source.height, channels);
  const auto narrow = channels == 1 ? resize_columns<1> : resize_columns<3>;
  return resize_rows(narrow(pixels.data(), source_, columns_).data(), source_.top, columns_.size() * values, rows_);
}

std::vector<std::uint8_t> resize_pixels(std::span<const std::uint8_t> pixels, ImageSize from, ImageSize to,
                                        const PixelWindow& window, Interpolation interpolation, int channels) {
  return Resizing(from, to, window, interpolation).resize(pixels, channels);
}

}  // namespace bsq
