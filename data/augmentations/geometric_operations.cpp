#include "data/augmentations/geometric_operations.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <vector>

namespace bsq {
namespace {

/// Where the pixel of a place comes from: column a[0] x + a[1] y + a[2] of row a[3] x + a[4] y + a[5], of middles.
using AffineMap = std::array<double, 6>;

/// In multiples of 2^-16, as PIL has them.
std::int64_t fixed_point(double value) {
  return static_cast<std::int64_t>(std::floor(value * 65536 + 0.5));
}

void move_pixels(const PictureView& picture, const AffineMap& a) {
  constexpr int kFraction = 16;
  const int channels = picture.channels;
  const std::vector<std::uint8_t> before(picture.pixels.begin(), picture.pixels.end());
  const std::int64_t column_by_x = fixed_point(a[0]), column_by_y = fixed_point(a[1]);
  const std::int64_t row_by_x = fixed_point(a[3]), row_by_y = fixed_point(a[4]);
  const std::int64_t first_column = fixed_point(a[2] + a[0] * 0.5 + a[1] * 0.5);
  const std::int64_t first_row = fixed_point(a[5] + a[3] * 0.5 + a[4] * 0.5);
  std::uint8_t* to = picture.pixels.data();
  for (int y = 0; y < picture.height; ++y)
    for (int x = 0; x < picture.width; ++x, to += channels) {
      const std::int64_t column = (first_column + y * column_by_y + x * column_by_x) >> kFraction;
      const std::int64_t row = (first_row + y * row_by_y + x * row_by_x) >> kFraction;
      if (column >= 0 && column < picture.width && row >= 0 && row < picture.height)
        std::copy_n(before.begin() + (row * picture.width + column) * channels, channels, to);
      else
        std::fill_n(to, channels, std::uint8_t{0});
    }
}

double radians(double degrees) {
  return degrees * (std::numbers::pi / 180);
}

/// Through an angle in degrees, as torchvision's RandAugment gives a slope to its affine.
double slope_by_angle(double slope) {
  return radians(std::atan(slope) * (180 / std::numbers::pi));
}

/// To 15 digits behind the point.
double rounded(double value) {
  return std::nearbyint(value * 1e15) / 1e15;
}

}  // namespace

void shear_rows(const PictureView& picture, double slope) {
  move_pixels(picture, {1, std::tan(slope_by_angle(slope)), 0, 0, 1, 0});
}

void shear_columns(const PictureView& picture, double slope) {
  const double angle = slope_by_angle(slope);
  move_pixels(picture, {1, 0, 0, std::sin(angle) / std::cos(angle), 1, 0});
}

void translate(const PictureView& picture, int right, int down) {
  move_pixels(picture, {1, 0, -1.0 * right, 0, 1, -1.0 * down});
}

void rotate(const PictureView& picture, double degrees) {
  const double whole = std::fmod(degrees, 360), angle = -radians(whole < 0 ? whole + 360 : whole);
  const double cosine = rounded(std::cos(angle)), sine = rounded(std::sin(angle));
  const double x = picture.width / 2.0, y = picture.height / 2.0;
  move_pixels(picture, {cosine, sine, cosine * -x + sine * -y + x, -sine, cosine, -sine * -x + cosine * -y + y});
}

}  // namespace bsq
