#include "tools/export/c/filter_rows.h"

#include "tools/export/c/c_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>

namespace bsq {
namespace {

constexpr int kLanes = 16;
constexpr int kWordBits = 32;

int width_of(std::span<const std::int16_t> numbers) {
  const auto [least, most] = std::minmax_element(numbers.begin(), numbers.end());
  if (*least == 0 && *most == 0) return 0;
  int width = 1;
  while (*least < -(1 << (width - 1)) || *most > (1 << (width - 1)) - 1) ++width;
  return width;
}

/// Two's complement, the lowest bits of a word first. At least a word, since C has no empty arrays.
std::vector<std::uint32_t> packed(std::span<const std::int16_t> numbers, int width) {
  const std::size_t bits = numbers.size() * static_cast<std::size_t>(width);
  std::vector<std::uint32_t> words(std::max<std::size_t>((bits + kWordBits - 1) / kWordBits, 1));
  std::size_t bit = 0;
  for (const std::int16_t number : numbers) {
    for (int i = 0; i < width; ++i, ++bit)
      words[bit / kWordBits] |= ((static_cast<std::uint32_t>(number) >> i) & 1U) << (bit % kWordBits);
  }
  return words;
}

/// `numbers`: [rows, count].
FilterRows rows_of(const std::vector<std::int16_t>& numbers, int rows, int length, CGoal goal) {
  FilterRows result{
      .rows = rows, .count = static_cast<int>(numbers.size()) / rows, .length = length, .numbers = {}, .words = {}};
  if (goal == CGoal::size) {
    result.width = width_of(numbers);
    result.words = packed(numbers, result.width);
    return result;
  }
  result.numbers.resize(static_cast<std::size_t>(rows) * static_cast<std::size_t>(length));
  for (int row = 0; row < rows; ++row)
    std::copy_n(numbers.begin() + std::ptrdiff_t{row} * result.count, result.count,
                result.numbers.begin() + std::ptrdiff_t{row} * length);
  return result;
}

}  // namespace

std::uint32_t FilterRows::checksum() const {
  std::uint32_t sum = kFirstChecksum;
  for (const std::int16_t number : numbers) sum = mixed_checksum(sum, static_cast<std::uint16_t>(number));
  // The word that stands for none is not read.
  if (width > 0)
    for (const std::uint32_t word : words) sum = mixed_checksum(sum, word);
  return sum;
}

std::string FilterRows::definition(const std::string& name) const {
  return words.empty() ? c_array(name, numbers) : c_array(name, words);
}

std::string FilterRows::initializer(const std::string& name) const {
  if (words.empty()) return fmt::format("{{{}, {}, {}, {}}}", rows, count, length, name);
  return fmt::format("{{{}, {}, {}, {}, {}}}", rows, count, length, width, name);
}

bool is_by_channel(const LevelConvolution& convolution, const DeployedTensor& x) {
  return convolution.groups == x.channels && convolution.scale.size() == static_cast<std::size_t>(x.channels) &&
         x.channels > 1;
}

FilterRows filter_rows(const LevelConvolution& convolution, const DeployedTensor& x, CGoal goal) {
  const auto outputs = convolution.scale.size(), kernel = static_cast<std::size_t>(convolution.kernel);
  const std::size_t count = convolution.k.size() / outputs, pixels = kernel * kernel, channels = count / pixels;
  const bool by_channel = is_by_channel(convolution, x);
  std::vector<std::int16_t> numbers(convolution.k.size());
  for (std::size_t output = 0; output < outputs; ++output)
    for (std::size_t pixel = 0; pixel < pixels; ++pixel)
      for (std::size_t channel = 0; channel < channels; ++channel) {
        const std::size_t column_first = pixel % kernel * kernel + pixel / kernel;
        const std::size_t to =
            by_channel ? pixel * outputs + output : (output * pixels + column_first) * channels + channel;
        numbers[to] = convolution.k[(output * pixels + pixel) * channels + channel];
      }
  if (by_channel) return rows_of(numbers, static_cast<int>(pixels), static_cast<int>(outputs), goal);
  return rows_of(numbers, static_cast<int>(outputs), (static_cast<int>(count) + kLanes - 1) / kLanes * kLanes, goal);
}

FilterRows filter_rows(const DeployedHead& head, CGoal goal) {
  const int channels = static_cast<int>(head.k.size()) / head.classes();
  return rows_of(head.k, head.classes(), channels, goal);
}

}  // namespace bsq
