// The oracle: pooling over windows, and flattening. Contracts and formulas: kernels/ops/pooling.h.
#include "kernels/reference/reference_backend.h"

#include "kernels/reference/elements.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace bsq {
namespace {

/// Of one axis, the numbers [begin, end).
struct Window {
  int begin = 0;
  int end = 0;

  int size() const { return end - begin; }
};

/// A window of a max pooling, and what of it lies in the image.
struct ClippedWindow {
  int corner = 0;
  Window inside;

  ClippedWindow(const MaxPoolGeometry& geometry, int index, int size)
      : corner(index * geometry.stride - geometry.padding),
        inside{std::max(corner, 0), std::min(corner + geometry.kernel, size)} {}
};

/// Window `index` of `count` over an axis, for an average.
Window averaged(int kernel, int index, int count, int size) {
  if (kernel > 0) return {index * kernel, (index + 1) * kernel};
  return {index * size / count, ((index + 1) * size + count - 1) / count};
}

/// Calls body(n, y, x, c) for each element of [N, H, W, C].
template <typename Body>
void for_each_element(const Shape& shape, Body body) {
  for (int n = 0; n < shape[0]; ++n)
    for (int y = 0; y < shape[1]; ++y)
      for (int x = 0; x < shape[2]; ++x)
        for (int c = 0; c < shape[3]; ++c) body(n, y, x, c);
}

std::int64_t index_of(const Shape& shape, int n, int y, int x, int c) {
  return ((n * shape[1] + y) * shape[2] + x) * shape[3] + c;
}

}  // namespace

void ReferenceBackend::max_pool_forward(const MaxPoolForwardArgs& args) {
  const auto& [g, input, output, winners] = args;
  const Shape in = g.input_shape(), out = g.output_shape();
  for_each_element(out, [&, &g = g, &input = input, &output = output, &winners = winners](int n, int y, int x, int c) {
    const ClippedWindow rows(g, y, g.height), columns(g, x, g.width);
    double largest = -INFINITY;
    int winner = -1;
    for (int row = rows.inside.begin; row < rows.inside.end; ++row) {
      for (int column = columns.inside.begin; column < columns.inside.end; ++column) {
        const double value = reference::load(g.dtype, input, index_of(in, n, row, column, c));
        if (winner >= 0 && !(value > largest) && !std::isnan(value)) continue;
        largest = value;
        winner = (row - rows.corner) * g.kernel + column - columns.corner;
      }
    }
    const std::int64_t index = index_of(out, n, y, x, c);
    reference::store(g.dtype, output, index, largest);
    if (winners != nullptr) winners[index] = static_cast<std::uint8_t>(winner);
  });
}

void ReferenceBackend::max_pool_backward(const MaxPoolBackwardArgs& args) {
  const auto& [g, d_output, winners, d_input, mode] = args;
  const Shape in = g.input_shape(), out = g.output_shape();
  std::vector<double> sums(static_cast<std::size_t>(in.numel()));
  for_each_element(out, [&, &g = g, &d_output = d_output, &winners = winners](int n, int y, int x, int c) {
    const std::int64_t index = index_of(out, n, y, x, c);
    const int row = y * g.stride - g.padding + winners[index] / g.kernel;
    const int column = x * g.stride - g.padding + winners[index] % g.kernel;
    sums[static_cast<std::size_t>(index_of(in, n, row, column, c))] += reference::load(g.dtype, d_output, index);
  });
  for (std::int64_t i = 0; i < in.numel(); ++i)
    reference::store_gradient(g.dtype, d_input, i, sums[static_cast<std::size_t>(i)], mode);
}

void ReferenceBackend::window_average_forward(const WindowAverageForwardArgs& args) {
  const auto& [g, input, unit, output] = args;
  const Shape in = g.input_shape(), out = g.output_shape();
  for_each_element(out, [&, &g = g, &input = input, &unit = unit, &output = output](int n, int y, int x, int c) {
    const Window rows = averaged(g.kernel, y, g.out_height, g.height);
    const Window columns = averaged(g.kernel, x, g.out_width, g.width);
    double sum = 0;
    for (int row = rows.begin; row < rows.end; ++row)
      for (int column = columns.begin; column < columns.end; ++column)
        sum += reference::load(g.dtype, input, index_of(in, n, row, column, c));
    reference::store(g.dtype, output, index_of(out, n, y, x, c), unit.value() * sum / (rows.size() * columns.size()));
  });
}

void ReferenceBackend::window_average_backward(const WindowAverageBackwardArgs& args) {
  const auto& [g, d_output, unit, d_input, mode] = args;
  const Shape in = g.input_shape(), out = g.output_shape();
  std::vector<double> sums(static_cast<std::size_t>(in.numel()));
  for_each_element(out, [&, &g = g, &d_output = d_output](int n, int y, int x, int c) {
    const Window rows = averaged(g.kernel, y, g.out_height, g.height);
    const Window columns = averaged(g.kernel, x, g.out_width, g.width);
    const double share = reference::load(g.dtype, d_output, index_of(out, n, y, x, c)) / (rows.size() * columns.size());
    for (int row = rows.begin; row < rows.end; ++row)
      for (int column = columns.begin; column < columns.end; ++column)
        sums[static_cast<std::size_t>(index_of(in, n, row, column, c))] += share;
  });
  for (std::int64_t i = 0; i < in.numel(); ++i)
    reference::store_gradient(g.dtype, d_input, i, unit.value() * sums[static_cast<std::size_t>(i)], mode);
}

void ReferenceBackend::flatten_forward(const FlattenForwardArgs& args) {
  const auto& [g, input, unit, output] = args;
  for (std::int64_t n = 0; n < g.batch; ++n)
    for (std::int64_t pixel = 0; pixel < g.pixels; ++pixel)
      for (std::int64_t c = 0; c < g.channels; ++c) {
        const double value = reference::load(g.dtype, input, (n * g.pixels + pixel) * g.channels + c);
        output[(n * g.channels + c) * g.pixels + pixel] = static_cast<float>(unit.value() * value);
      }
}

void ReferenceBackend::flatten_backward(const FlattenBackwardArgs& args) {
  const auto& [g, d_output, unit, d_input, mode] = args;
  for (std::int64_t n = 0; n < g.batch; ++n)
    for (std::int64_t pixel = 0; pixel < g.pixels; ++pixel)
      for (std::int64_t c = 0; c < g.channels; ++c) {
        const double value = d_output[(n * g.channels + c) * g.pixels + pixel];
        reference::store_gradient(g.dtype, d_input, (n * g.pixels + pixel) * g.channels + c, unit.value() * value,
                                  mode);
      }
}

}  // namespace bsq
