#include "engine/deployed/level_convolution.h"

#include "engine/deployed/level_loops.h"

#include <algorithm>

namespace bsq {
namespace {

constexpr std::size_t kPairs = 16;  // what filters are filled up to a multiple of

std::size_t size(int count) {
  return static_cast<std::size_t>(count);
}

/// The numbers under a window of one group of channels, row after row; 0 beyond the image.
void gather(const LevelConvolution& c, const DeployedTensor& image, std::span<const std::uint8_t> levels, int row,
            int column, int first_channel, int channels, std::int16_t* patch) {
  const auto zero = static_cast<std::int16_t>(image.grid.zero);
  for (int ky = 0; ky < c.kernel; ++ky) {
    for (int kx = 0; kx < c.kernel; ++kx, patch += channels) {
      const int from_row = row * c.stride + ky - c.padding, from_column = column * c.stride + kx - c.padding;
      if (from_row < 0 || from_row >= image.height || from_column < 0 || from_column >= image.width) {
        std::fill_n(patch, channels, std::int16_t{0});
        continue;
      }
      const std::size_t pixel = size(from_row) * size(image.width) + size(from_column);
      const std::uint8_t* from = levels.data() + pixel * size(image.channels) + first_channel;
      for (int i = 0; i < channels; ++i) patch[i] = static_cast<std::int16_t>(from[i] - zero);
    }
  }
}

}  // namespace

PlannedConvolution::PlannedConvolution(const LevelConvolution& convolution, const DeployedTensor& x,
                                       const DeployedTensor& y, bool portable)
    : convolution_(convolution), x_(x), y_(y) {
  for (int column = 0; column < y.width; ++column) {
    row_bias_.insert(row_bias_.end(), convolution.bias.begin(), convolution.bias.end());
    row_multiplier_.insert(row_multiplier_.end(), convolution.multiplier.begin(), convolution.multiplier.end());
  }
  if (!portable) vnni_ = VnniConvolution::make(convolution, x, y);
  if (vnni_) return;
  const std::size_t outputs = convolution.scale.size(), length = convolution.k.size() / outputs;
  length_ = (length + kPairs - 1) / kPairs * kPairs;
  wide_.resize(outputs * length_);
  for (std::size_t o = 0; o < outputs; ++o)
    std::copy_n(convolution.k.begin() + static_cast<std::ptrdiff_t>(o * length), length,
                wide_.begin() + static_cast<std::ptrdiff_t>(o * length_));
}

void PlannedConvolution::add_up_row(std::span<const std::uint8_t> x, int row, std::span<std::int32_t> sums) const {
  const LevelConvolution& c = convolution_;
  std::vector<std::int16_t> patch(length_);
  const int inputs = x_.channels / c.groups, outputs = y_.channels / c.groups;
  for (int column = 0; column < y_.width; ++column) {
    for (int group = 0; group < c.groups; ++group) {
      gather(c, x_, x, row, column, group * inputs, inputs, patch.data());
      const std::size_t first = size(group * outputs);
      multiply_patch({patch.data(), wide_.data() + first * length_, length_, size(outputs),
                      sums.data() + size(column) * size(y_.channels) + first});
    }
  }
}

template <typename Take>
void PlannedConvolution::for_rows(std::span<const std::uint8_t> x, Take take) const {
  const std::size_t length = size(y_.width) * size(y_.channels);
  std::vector<std::int32_t> sums(length);
  const std::vector<std::uint8_t> padded = vnni_ ? vnni_->padded(x) : std::vector<std::uint8_t>{};
  for (int row = 0; row < y_.height; ++row) {
    if (vnni_)
      vnni_->add_up_row(padded, row, sums);
    else
      add_up_row(x, row, sums);
    take(size(row) * length, sums);
  }
}

void PlannedConvolution::run(std::span<const std::uint8_t> x, SumUse use, std::span<std::uint8_t> levels) const {
  const LevelConvolution& c = convolution_;
  const std::size_t channels = size(y_.channels);
  const LevelRounding rounding(y_.grid.zero, y_.grid.top);
  if (use == SumUse::levels)
    return for_rows(x, [&](std::size_t place, const std::vector<std::int32_t>& sums) {
      round_sums({sums.data(), row_bias_.data(), row_multiplier_.data(), sums.size(), rounding, levels.data() + place});
    });
  const float unit_x = x_.grid.unit, unit_y = y_.grid.unit;
  for_rows(x, [&](std::size_t place, const std::vector<std::int32_t>& sums) {
    for (std::size_t i = 0; i < sums.size(); ++i) {
      const std::size_t o = i % channels;
      levels[place + i] = rounding((static_cast<float>(sums[i]) * (unit_x * c.scale[o]) + c.offset[o]) / unit_y);
    }
  });
}

void PlannedConvolution::run(std::span<const std::uint8_t> x, std::span<float> numbers) const {
  const LevelConvolution& c = convolution_;
  const std::size_t channels = size(y_.channels);
  const float unit_x = x_.grid.unit;
  for_rows(x, [&](std::size_t place, const std::vector<std::int32_t>& sums) {
    for (std::size_t i = 0; i < sums.size(); ++i)
      numbers[place + i] = static_cast<float>(sums[i]) * (unit_x * c.scale[i % channels]) + c.offset[i % channels];
  });
}

}  // namespace bsq
