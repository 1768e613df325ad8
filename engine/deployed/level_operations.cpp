#include "engine/deployed/level_operations.h"

#include "engine/deployed/level_loops.h"
#include "kernels/base/error.h"

#include <algorithm>

namespace bsq {
namespace {

/// An addition of which a term is not rounded.
void add_numbers(const LevelImage& x0, const LevelImage& x1, const LevelGrid& grid, std::span<std::uint8_t> levels) {
  const auto number = [](const LevelImage& x, std::size_t i) {
    const LevelGrid& own = x.tensor.grid;
    return x.numbers.empty() ? static_cast<float>(x.levels[i] - own.zero) * own.unit : x.numbers[i];
  };
  const LevelRounding rounding(grid.zero, grid.top);
  for (std::size_t i = 0; i < levels.size(); ++i) levels[i] = rounding((number(x0, i) + number(x1, i)) / grid.unit);
}

/// Calls visit(pixel of x) for every pixel of a window that is in the image.
template <typename Visit>
void for_window(const DeployedTensor& image, int first_row, int first_column, int kernel, Visit visit) {
  for (int row = std::max(first_row, 0); row < std::min(first_row + kernel, image.height); ++row)
    for (int column = std::max(first_column, 0); column < std::min(first_column + kernel, image.width); ++column)
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
                 [&](std::size_t pixel) {
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

void apply(const LevelOperation& operation, const std::vector<LevelImage>& inputs, const DeployedTensor& y,
           std::span<std::uint8_t> levels) {
  if (const auto* sum = std::get_if<LevelSum>(&operation)) {
    if (!inputs[0].numbers.empty() || !inputs[1].numbers.empty())
      return add_numbers(inputs[0], inputs[1], y.grid, levels);
    const LevelRounding rounding(0, y.grid.top);  // the zero is in c
    return add_levels({*sum, inputs[0].levels.data(), inputs[1].levels.data(), levels.size(), rounding, levels.data()});
  }
  if (const auto* pool = std::get_if<LevelMaximum>(&operation)) return find_maximum(*pool, inputs[0], y, levels);
  if (const auto* concat = std::get_if<LevelConcat>(&operation)) return concatenate(*concat, inputs, levels);
  if (std::holds_alternative<LevelFlatten>(operation)) return flatten(inputs[0], levels);
  fail(ErrorKind::internal, "{}: no operation on levels", y.name);
}

}  // namespace bsq
