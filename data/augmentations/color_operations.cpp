// Floats and doubles are where PIL has them, for that is where it rounds.
#include "data/augmentations/color_operations.h"

#include "engine/input/gray.h"

#include <algorithm>
#include <array>
#include <vector>

namespace bsq {
namespace {

constexpr int kLevels = 256, kColors = 3;

using LevelTable = std::array<std::uint8_t, kLevels>;
using Histogram = std::array<std::int64_t, kLevels>;

/// From `other`, which a factor of 0 gives, to the level itself, and beyond.
std::uint8_t blended(int other, int level, float factor) {
  const float value = static_cast<float>(other) + factor * static_cast<float>(level - other);
  return static_cast<std::uint8_t>(std::clamp(value, 0.0F, 255.0F));
}

void replace_levels(const PictureView& picture, const LevelTable& table) {
  for (std::uint8_t& level : picture.pixels) level = table[level];
}

/// Of each channel by a table of its own, which is made of its histogram.
template <typename TableOf>
void replace_levels_by_channel(const PictureView& picture, TableOf table_of_counts) {
  const auto channels = static_cast<std::size_t>(picture.channels);
  for (std::size_t channel = 0; channel < channels; ++channel) {
    Histogram counts{};
    for (std::size_t i = channel; i < picture.pixels.size(); i += channels) ++counts[picture.pixels[i]];
    const LevelTable table = table_of_counts(counts);
    for (std::size_t i = channel; i < picture.pixels.size(); i += channels)
      picture.pixels[i] = table[picture.pixels[i]];
  }
}

/// table[i] = level_of(i).
template <typename LevelOf>
LevelTable table_of(LevelOf level_of) {
  LevelTable table;
  for (int i = 0; i < kLevels; ++i) table[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(level_of(i));
  return table;
}

void blend_with_level(const PictureView& picture, int other, double factor) {
  replace_levels(picture, table_of([&](int level) { return blended(other, level, static_cast<float>(factor)); }));
}

LevelTable stretched(const Histogram& counts) {
  const auto is_there = [](std::int64_t count) { return count > 0; };
  const auto least = static_cast<int>(std::ranges::find_if(counts, is_there) - counts.begin());
  const auto most = static_cast<int>(counts.rend() - std::find_if(counts.rbegin(), counts.rend(), is_there)) - 1;
  if (most <= least) return table_of([](int level) { return level; });
  const double scale = 255.0 / (most - least), offset = -least * scale;
  return table_of([&](int level) { return std::clamp(static_cast<int>(level * scale + offset), 0, 255); });
}

LevelTable equalized(const Histogram& counts) {
  std::int64_t all = 0, last = 0;  // of the highest level that is there
  for (const std::int64_t count : counts) {
    all += count;
    if (count > 0) last = count;
  }
  const std::int64_t step = (all - last) / 255;
  if (step == 0) return table_of([](int level) { return level; });
  std::int64_t sum = step / 2;
  return table_of([&](int level) {
    const std::int64_t result = std::min<std::int64_t>(sum / step, 255);
    sum += counts[static_cast<std::size_t>(level)];
    return result;
  });
}

struct Hsv {
  int hue, saturation, value;  // 0 .. 255
};

Hsv to_hsv(const std::uint8_t* rgb) {
  const int red = rgb[0], green = rgb[1], blue = rgb[2];
  const int most = std::max({red, green, blue}), least = std::min({red, green, blue});
  if (most == least) return {0, 0, most};
  const auto range = static_cast<float>(most - least);
  const auto below_most = [&](int level) { return static_cast<float>(most - level) / range; };
  float sixths = 0;
  if (red == most)
    sixths = below_most(blue) - below_most(green);
  else if (green == most)
    sixths = static_cast<float>(2.0 + double{below_most(red)} - double{below_most(blue)});
  else
    sixths = static_cast<float>(4.0 + double{below_most(green)} - double{below_most(red)});
  const double turned = double{sixths} / 6.0 + 1.0;  // 5/6 .. 11/6
  const auto hue = static_cast<float>(turned >= 1 ? turned - 1 : turned);
  const float saturation = range / static_cast<float>(most);
  return {std::min(static_cast<int>(double{hue} * 255.0), 255), static_cast<int>(double{saturation} * 255.0), most};
}

void from_hsv(const Hsv& from, std::uint8_t* rgb) {
  const auto value = static_cast<std::uint8_t>(from.value);
  if (from.saturation == 0) {
    std::fill_n(rgb, kColors, value);
    return;
  }
  const double sixths = from.hue * 6.0 / 255.0;
  const auto sixth = static_cast<int>(sixths);
  const auto rest = static_cast<float>(sixths - sixth);
  const auto saturation = static_cast<float>(from.saturation / 255.0);
  const auto level = [&](double share) { return static_cast<std::uint8_t>(from.value * share + 0.5); };
  const std::uint8_t least = level(1.0 - double{saturation});
  const std::uint8_t falling = level(1.0 - double{saturation * rest});
  const std::uint8_t rising = level(1.0 - double{saturation} * (1.0 - double{rest}));
  const std::array<std::array<std::uint8_t, kColors>, 6> colors = {{{value, rising, least},
                                                                    {falling, value, least},
                                                                    {least, value, rising},
                                                                    {least, falling, value},
                                                                    {rising, least, value},
                                                                    {value, least, falling}}};
  std::ranges::copy(colors[static_cast<std::size_t>(sixth % 6)], rgb);
}

/// The mean of a byte with its eight neighbours, itself five times, rounded. `row` bytes lie between rows, `pixel`
/// between pixels.
int smooth_level(const std::uint8_t* at, std::ptrdiff_t row, std::ptrdiff_t pixel) {
  int sum = 4 * *at;
  for (const std::ptrdiff_t y : {-row, std::ptrdiff_t{0}, row})
    for (const std::ptrdiff_t x : {-pixel, std::ptrdiff_t{0}, pixel}) sum += at[y + x];
  constexpr int kWeights = 13;
  return (2 * sum + kWeights) / (2 * kWeights);
}

}  // namespace

void adjust_brightness(const PictureView& picture, double factor) {
  blend_with_level(picture, 0, factor);
}

void adjust_contrast(const PictureView& picture, double factor) {
  std::int64_t sum = 0;
  if (picture.is_gray())
    for (const std::uint8_t level : picture.pixels) sum += level;
  else
    for (std::size_t i = 0; i < picture.pixels.size(); i += kColors) sum += gray_level(&picture.pixels[i]);
  const double mean = static_cast<double>(sum) / static_cast<double>(picture.places());
  blend_with_level(picture, static_cast<int>(mean + 0.5), factor);
}

void adjust_saturation(const PictureView& picture, double factor) {
  if (picture.is_gray()) return;
  const auto share = static_cast<float>(factor);
  for (std::size_t i = 0; i < picture.pixels.size(); i += kColors) {
    std::uint8_t* const rgb = &picture.pixels[i];
    const int gray = gray_level(rgb);
    for (int c = 0; c < kColors; ++c) rgb[c] = blended(gray, rgb[c], share);
  }
}

void adjust_sharpness(const PictureView& picture, double factor) {
  const auto share = static_cast<float>(factor);
  const std::vector<std::uint8_t> before(picture.pixels.begin(), picture.pixels.end());
  const std::ptrdiff_t pixel = picture.channels, row = picture.width * pixel;
  for (int y = 1; y < picture.height - 1; ++y)
    for (std::ptrdiff_t x = pixel; x < row - pixel; ++x) {
      const std::ptrdiff_t at = y * row + x;
      const std::uint8_t* const from = before.data() + at;
      picture.pixels[static_cast<std::size_t>(at)] = blended(smooth_level(from, row, pixel), *from, share);
    }
}

void adjust_hue(const PictureView& picture, double turn) {
  if (picture.is_gray()) return;
  const auto steps = static_cast<int>(turn * 255);
  for (std::size_t i = 0; i < picture.pixels.size(); i += kColors) {
    Hsv color = to_hsv(&picture.pixels[i]);
    color.hue = (color.hue + steps + kLevels) % kLevels;
    from_hsv(color, &picture.pixels[i]);
  }
}

void posterize(const PictureView& picture, int bits) {
  replace_levels(picture, table_of([&](int level) { return level >> (8 - bits) << (8 - bits); }));
}

void solarize(const PictureView& picture, double threshold) {
  replace_levels(picture, table_of([&](int level) { return level < threshold ? level : 255 - level; }));
}

void stretch_contrast(const PictureView& picture) {
  replace_levels_by_channel(picture, stretched);
}

void equalize(const PictureView& picture) {
  replace_levels_by_channel(picture, equalized);
}

}  // namespace bsq
