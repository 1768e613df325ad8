#include "engine/deployed/level_operations.h"

#include "kernels/base/error.h"

#include <algorithm>
#include <array>

namespace bsq {
namespace {

constexpr std::size_t kLanes = 16;

/// zero + rint(number), within 0 .. top. Rounds half to even: beyond 2^23 float32 has no fractions, and the addition
/// rounds them away.
std::uint8_t level_of(float number, const LevelGrid& grid) {
  constexpr float kNoFractions = 12582912.0F;  // 1.5 2^23
  const float within = std::clamp(number, static_cast<float>(-grid.zero), static_cast<float>(grid.top - grid.zero));
  return static_cast<std::uint8_t>(static_cast<int>((within + kNoFractions) - kNoFractions) + grid.zero);
}

/// The numbers under a window of one group of channels, row after row; 0 beyond the image.
void gather(const LevelConvolution& c, const LevelImage& x, int row, int column, int first_channel, int channels,
            std::int16_t* patch) {
  const DeployedTensor& image = x.tensor;
  const auto zero = static_cast<std::int16_t>(image.grid.zero);
  for (int ky = 0; ky < c.kernel; ++ky) {
    for (int kx = 0; kx < c.kernel; ++kx, patch += channels) {
      const int from_row = row * c.stride + ky - c.padding, from_column = column * c.stride + kx - c.padding;
      if (from_row < 0 || from_row >= image.height || from_column < 0 || from_column >= image.width) {
        std::fill_n(patch, channels, std::int16_t{0});
        continue;
      }
      const std::size_t pixel = static_cast<std::size_t>(from_row) * static_cast<std::size_t>(image.width) +
                                static_cast<std::size_t>(from_column);
      const std::uint8_t* from = x.levels.data() + pixel * static_cast<std::size_t>(image.channels) + first_channel;
      for (int i = 0; i < channels; ++i) patch[i] = static_cast<std::int16_t>(from[i] - zero);
    }
  }
}

std::int32_t dot(const std::int16_t* a, const std::int16_t* b, std::size_t length) {
  std::int32_t sum = 0;
  for (std::size_t i = 0; i < length; ++i) sum += std::int32_t{a[i]} * std::int32_t{b[i]};
  return sum;
}

void add_levels(const LevelSum& sum, const LevelImage& x0, const LevelImage& x1, const LevelGrid& grid,
                std::span<std::uint8_t> levels) {
  // Tables of both terms: one addition is left, which no compiler can join with a multiplication.
  std::array<float, 256> first{}, second{};
  for (int level = 0; level < 256; ++level) {
    const auto i = static_cast<std::size_t>(level);
    first[i] = sum.a * static_cast<float>(level);
    const float product = sum.b * static_cast<float>(level);
    second[i] = product + sum.c;
  }
  const LevelGrid from_zero{.unit = grid.unit, .zero = 0, .top = grid.top};  // the zero is in c
  for (std::size_t i = 0; i < levels.size(); ++i)
    levels[i] = level_of(first[x0.levels[i]] + second[x1.levels[i]], from_zero);
}

/// An addition of which a term is not rounded.
void add_numbers(const LevelImage& x0, const LevelImage& x1, const LevelGrid& grid, std::span<std::uint8_t> levels) {
  const auto number = [](const LevelImage& x, std::size_t i) {
    const LevelGrid& own = x.tensor.grid;
    return x.numbers.empty() ? static_cast<float>(x.levels[i] - own.zero) * own.unit : x.numbers[i];
  };
  for (std::size_t i = 0; i < levels.size(); ++i)
    levels[i] = level_of((number(x0, i) + number(x1, i)) / grid.unit, grid);
}

/// Calls visit(pixel of x) for every pixel of a window that is in the image.
template <typename Visit>
void for_window(const DeployedTensor& image, int first_row, int first_column, int height, int width, Visit visit) {
  for (int row = std::max(first_row, 0); row < std::min(first_row + height, image.height); ++row)
    for (int column = std::max(first_column, 0); column < std::min(first_column + width, image.width); ++column)
      visit(static_cast<std::size_t>(row) * static_cast<std::size_t>(image.width) + static_cast<std::size_t>(column));
}

void find_maximum(const LevelMaximum& pool, const LevelImage& x, const DeployedTensor& y,
                  std::span<std::uint8_t> levels) {
  const auto channels = static_cast<std::size_t>(y.channels);
  std::uint8_t* to = levels.data();
  for (int row = 0; row < y.height; ++row) {
    for (int column = 0; column < y.width; ++column, to += channels) {
      std::fill_n(to, channels, std::uint8_t{0});
      for_window(x.tensor, row * pool.stride - pool.padding, column * pool.stride - pool.padding, pool.kernel,
                 pool.kernel, [&](std::size_t pixel) {
                   const std::uint8_t* from = x.levels.data() + pixel * channels;
                   for (std::size_t c = 0; c < channels; ++c) to[c] = std::max(to[c], from[c]);
                 });
    }
  }
}

void concatenate(const LevelConcat& concat, const std::vector<LevelImage>& inputs, std::span<std::uint8_t> levels) {
  std::size_t to = 0;
  for (std::size_t pixel = 0; to < levels.size(); ++pixel) {
    for (std::size_t input = 0; input < inputs.size(); ++input) {
      const auto channels = static_cast<std::size_t>(inputs[input].tensor.channels);
      for (std::size_t c = 0; c < channels; ++c)
        levels[to++] = concat.levels[input][inputs[input].levels[pixel * channels + c]];
    }
  }
}

void flatten(const LevelImage& x, std::span<std::uint8_t> levels) {
  const auto channels = static_cast<std::size_t>(x.tensor.channels);
  const std::size_t pixels = levels.size() / channels;
  for (std::size_t pixel = 0; pixel < pixels; ++pixel)
    for (std::size_t c = 0; c < channels; ++c) levels[c * pixels + pixel] = x.levels[pixel * channels + c];
}

}  // namespace

WideFilter wide_filter(const LevelConvolution& convolution) {
  const std::size_t outputs = convolution.scale.size(), length = convolution.k.size() / outputs;
  WideFilter filter{(length + kLanes - 1) / kLanes * kLanes, {}};
  filter.k.resize(outputs * filter.length);
  for (std::size_t o = 0; o < outputs; ++o)
    std::copy_n(convolution.k.begin() + static_cast<std::ptrdiff_t>(o * length), length,
                filter.k.begin() + static_cast<std::ptrdiff_t>(o * filter.length));
  return filter;
}

namespace {

/// Calls write(place, channel, sum) for every sum of products.
template <typename Write>
void for_sums(const LevelConvolution& c, const WideFilter& filter, const LevelImage& x, const DeployedTensor& y,
              Write write) {
  std::vector<std::int16_t> patch(filter.length);
  const int inputs = x.tensor.channels / c.groups, outputs = y.channels / c.groups;
  std::size_t pixel = 0;
  for (int row = 0; row < y.height; ++row) {
    for (int column = 0; column < y.width; ++column, pixel += static_cast<std::size_t>(y.channels)) {
      for (int group = 0; group < c.groups; ++group) {
        gather(c, x, row, column, group * inputs, inputs, patch.data());
        for (int o = group * outputs; o < (group + 1) * outputs; ++o) {
          const auto channel = static_cast<std::size_t>(o);
          write(pixel + channel, channel, dot(patch.data(), filter.k.data() + channel * filter.length, filter.length));
        }
      }
    }
  }
}

}  // namespace

void convolve(const LevelConvolution& c, const WideFilter& filter, const LevelImage& x, const DeployedTensor& y,
              std::span<std::uint8_t> levels) {
  for_sums(c, filter, x, y, [&](std::size_t i, std::size_t channel, std::int32_t sum) {
    levels[i] = level_of(static_cast<float>(c.bias[channel] + sum) * c.multiplier[channel], y.grid);
  });
}

void convolve_fused(const LevelConvolution& c, const WideFilter& filter, const LevelImage& x, const DeployedTensor& y,
                    std::span<std::uint8_t> levels) {
  for_sums(c, filter, x, y, [&](std::size_t i, std::size_t channel, std::int32_t sum) {
    const float number = static_cast<float>(sum) * (x.tensor.grid.unit * c.scale[channel]) + c.offset[channel];
    levels[i] = level_of(number / y.grid.unit, y.grid);
  });
}

void convolve_to_numbers(const LevelConvolution& c, const WideFilter& filter, const LevelImage& x,
                         const DeployedTensor& y, std::span<float> numbers) {
  for_sums(c, filter, x, y, [&](std::size_t i, std::size_t channel, std::int32_t sum) {
    numbers[i] = static_cast<float>(sum) * (x.tensor.grid.unit * c.scale[channel]) + c.offset[channel];
  });
}

void apply(const LevelOperation& operation, const std::vector<LevelImage>& inputs, const DeployedTensor& y,
           std::span<std::uint8_t> levels) {
  if (const auto* sum = std::get_if<LevelSum>(&operation)) {
    if (!inputs[0].numbers.empty() || !inputs[1].numbers.empty())
      return add_numbers(inputs[0], inputs[1], y.grid, levels);
    return add_levels(*sum, inputs[0], inputs[1], y.grid, levels);
  }
  if (const auto* pool = std::get_if<LevelMaximum>(&operation)) return find_maximum(*pool, inputs[0], y, levels);
  if (const auto* concat = std::get_if<LevelConcat>(&operation)) return concatenate(*concat, inputs, levels);
  if (std::holds_alternative<LevelFlatten>(operation)) return flatten(inputs[0], levels);
  fail(ErrorKind::internal, "{}: no operation on levels", y.name);
}

}  // namespace bsq
