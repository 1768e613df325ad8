// Operators on images and vectors: windows, channels, matrices.
#include "tools/export/onnx/evaluator_node.h"

#include <array>
#include <cmath>
#include <limits>
#include <numeric>

namespace bsq {
namespace {

constexpr std::int64_t kLongestSide = 1 << 16;  // of windows and strides

/// Whether windows of this size, at this distance and beyond the edge by as much, all have a part of the image.
bool is_window(std::int64_t size, std::int64_t stride, std::int64_t pad) {
  return size >= 1 && size <= kLongestSide && stride >= 1 && stride <= kLongestSide && pad >= 0 && pad < size;
}

struct ConvolutionShape {
  std::int64_t in_channels, height, width, kernel, stride, padding, out_height, out_width;  // channels of a group
};

/// One output channel of one image: sums + weight * the channels of its group.
void convolve(const ConvolutionShape& s, const float* image, const float* weight, std::vector<double>& sums) {
  for (std::int64_t i = 0; i < s.in_channels; ++i) {
    for (std::int64_t ky = 0; ky < s.kernel; ++ky) {
      for (std::int64_t kx = 0; kx < s.kernel; ++kx, ++weight) {
        const double w = *weight;
        if (w == 0) continue;
        for (std::int64_t y = 0; y < s.out_height; ++y) {
          const std::int64_t row = y * s.stride + ky - s.padding;
          if (row < 0 || row >= s.height) continue;
          const float* from = image + (i * s.height + row) * s.width;
          double* to = sums.data() + y * s.out_width;
          for (std::int64_t x = 0; x < s.out_width; ++x) {
            const std::int64_t column = x * s.stride + kx - s.padding;
            if (column >= 0 && column < s.width) to[x] += w * double{from[column]};
          }
        }
      }
    }
  }
}

GraphTensor convolution(const OnnxNode& node, const Inputs& in) {
  check(in.size() >= 2 && in[0]->dims.size() == 4 && in[1]->dims.size() == 4, node, "wants NCHW and OIHW");
  const GraphTensor& x = *in[0];
  const GraphTensor& w = *in[1];
  check(in.size() == 2 || (in.size() == 3 && in[2]->numel() == w.dims[0]), node, "its bias is not [O]");
  const auto strides = attribute<std::vector<std::int64_t>>(node, "strides", {1, 1});
  const auto pads = attribute<std::vector<std::int64_t>>(node, "pads", {0, 0, 0, 0});
  check(strides.size() == 2 && strides[0] == strides[1], node, "wants equal strides");
  check(pads.size() == 4 && std::count(pads.begin(), pads.end(), pads[0]) == 4, node, "wants equal pads");
  check(is_window(w.dims[2], strides[0], pads[0]), node, "its kernel, stride and padding do not fit");
  const auto groups = attribute<std::int64_t>(node, "group", 1);
  check(groups > 0 && w.dims[0] % groups == 0, node, "its groups do not divide the outputs");
  check(w.dims[1] * groups == x.dims[1] && w.dims[2] == w.dims[3], node, "weight and input do not fit");
  check(attribute<std::vector<std::int64_t>>(node, "kernel_shape", {w.dims[2], w.dims[3]}) ==
            std::vector<std::int64_t>{w.dims[2], w.dims[3]},
        node, "kernel_shape is not that of the weight");
  ConvolutionShape s{w.dims[1], x.dims[2], x.dims[3], w.dims[2], strides[0], pads[0], 0, 0};
  const std::int64_t rows_left = s.height + 2 * s.padding - s.kernel, columns_left = s.width + 2 * s.padding - s.kernel;
  check(rows_left >= 0 && columns_left >= 0, node, "the kernel is larger than the image");
  s.out_height = rows_left / s.stride + 1;
  s.out_width = columns_left / s.stride + 1;
  GraphTensor y{in.output_dims(node, {x.dims[0], w.dims[0], s.out_height, s.out_width}), {}};
  std::vector<double> sums(static_cast<std::size_t>(s.out_height * s.out_width));
  for (std::int64_t n = 0; n < x.dims[0]; ++n) {
    for (std::int64_t o = 0; o < w.dims[0]; ++o) {
      std::fill(sums.begin(), sums.end(), in.size() == 3 ? double{in[2]->values[static_cast<std::size_t>(o)]} : 0.0);
      const std::int64_t group = o / (w.dims[0] / groups);
      convolve(s, x.values.data() + (n * groups + group) * s.in_channels * s.height * s.width,
               w.values.data() + o * s.in_channels * s.kernel * s.kernel, sums);
      for (const double sum : sums) y.values.push_back(static_cast<float>(sum));
    }
  }
  return y;
}

GraphTensor batch_normalization(const OnnxNode& node, const Inputs& in) {
  check(in.size() == 5 && in[0]->dims.size() == 4, node, "wants NCHW and four vectors");
  const std::int64_t channels = in[0]->dims[1];
  for (std::size_t i = 1; i < in.size(); ++i) check(in[i]->numel() == channels, node, "its vectors are not [C]");
  const double epsilon = attribute(node, "epsilon", 1e-5F);
  GraphTensor y = same_shape(*in[0]);
  const auto pixels = static_cast<std::size_t>(in[0]->dims[2] * in[0]->dims[3]);
  for (std::size_t i = 0; i < y.values.size(); ++i) {
    const std::size_t c = i / pixels % static_cast<std::size_t>(channels);
    const double inv_std = 1.0 / std::sqrt(double{in[4]->values[c]} + epsilon);
    y.values[i] = static_cast<float>((double{in[0]->values[i]} - in[3]->values[c]) * inv_std * in[1]->values[c] +
                                     in[2]->values[c]);
  }
  return y;
}

GraphTensor global_average_pool(const OnnxNode& node, const Inputs& in) {
  check(in.size() == 1 && in[0]->dims.size() == 4, node, "wants NCHW");
  const std::int64_t pixels = in[0]->dims[2] * in[0]->dims[3];
  GraphTensor y{{in[0]->dims[0], in[0]->dims[1], 1, 1}, {}};
  for (auto at = in[0]->values.begin(); at != in[0]->values.end(); at += pixels)
    y.values.push_back(static_cast<float>(std::accumulate(at, at + pixels, 0.0) / static_cast<double>(pixels)));
  return y;
}

GraphTensor concatenation(const OnnxNode& node, const Inputs& in) {
  check(attribute<std::int64_t>(node, "axis", 0) == 1, node, "wants axis 1");
  check(in[0]->dims.size() == 4, node, "wants NCHW");
  GraphTensor y{in[0]->dims, {}};
  y.dims[1] = 0;
  for (const GraphTensor* x : in) {
    std::vector<std::int64_t> dims = in[0]->dims;
    if (x->dims.size() == 4) dims[1] = x->dims[1];
    check(x->dims == dims, node, "its inputs differ in size");
    y.dims[1] += x->dims[1];
  }
  in.output_dims(node, y.dims);
  for (std::int64_t n = 0; n < y.dims[0]; ++n) {
    for (const GraphTensor* x : in) {
      const std::int64_t of_image = x->numel() / x->dims[0];
      const auto from = x->values.begin() + n * of_image;
      y.values.insert(y.values.end(), from, from + of_image);
    }
  }
  return y;
}

/// Calls reduce(numbers) for what each window has of the image: of one channel after another, in the order of rows.
GraphTensor pooled(const OnnxNode& node, const Inputs& in, double (*reduce)(const std::vector<float>&)) {
  check(in.size() == 1 && in[0]->dims.size() == 4, node, "wants NCHW");
  check(!node.attributes.contains("ceil_mode") && !node.attributes.contains("auto_pad") &&
            !node.attributes.contains("dilations"),
        node, "pools in another way");
  const GraphTensor& x = *in[0];
  const auto kernel = attribute<std::vector<std::int64_t>>(node, "kernel_shape", {});
  const auto strides = attribute<std::vector<std::int64_t>>(node, "strides", {1, 1});
  const auto pads = attribute<std::vector<std::int64_t>>(node, "pads", {0, 0, 0, 0});
  check(kernel.size() == 2 && strides.size() == 2 && pads.size() == 4, node, "wants a window of two axes");
  for (std::size_t i = 0; i < 4; ++i)  // pads are those before both axes, then those behind them
    check(is_window(kernel[i % 2], strides[i % 2], pads[i]), node, "its window, stride and padding do not fit");
  const std::int64_t height = x.dims[2], width = x.dims[3];
  const std::int64_t out_height = (height + pads[0] + pads[2] - kernel[0]) / strides[0] + 1;
  const std::int64_t out_width = (width + pads[1] + pads[3] - kernel[1]) / strides[1] + 1;
  check(height + pads[0] + pads[2] >= kernel[0] && width + pads[1] + pads[3] >= kernel[1], node,
        "its window is larger than the image");
  GraphTensor y{in.output_dims(node, {x.dims[0], x.dims[1], out_height, out_width}), {}};
  std::vector<float> numbers;
  for (std::int64_t plane = 0; plane < x.dims[0] * x.dims[1]; ++plane) {
    for (std::int64_t pixel = 0; pixel < out_height * out_width; ++pixel) {
      const std::int64_t top = pixel / out_width * strides[0] - pads[0];
      const std::int64_t left = pixel % out_width * strides[1] - pads[1];
      numbers.clear();
      for (std::int64_t row = std::max<std::int64_t>(top, 0); row < std::min(top + kernel[0], height); ++row)
        for (std::int64_t column = std::max<std::int64_t>(left, 0); column < std::min(left + kernel[1], width);
             ++column)
          numbers.push_back(x.values[static_cast<std::size_t>((plane * height + row) * width + column)]);
      check(!numbers.empty(), node, "a window lies beyond the image");
      y.values.push_back(static_cast<float>(reduce(numbers)));
    }
  }
  return y;
}

GraphTensor max_pool(const OnnxNode& node, const Inputs& in) {
  return pooled(node, in, [](const std::vector<float>& numbers) { return double{std::ranges::max(numbers)}; });
}

GraphTensor average_pool(const OnnxNode& node, const Inputs& in) {
  check(!node.attributes.contains("pads"), node, "pads what it averages");
  return pooled(node, in, [](const std::vector<float>& numbers) {
    return std::accumulate(numbers.begin(), numbers.end(), 0.0) / static_cast<double>(numbers.size());
  });
}

GraphTensor flatten(const OnnxNode& node, const Inputs& in) {
  check(in.size() == 1 && !in[0]->dims.empty() && attribute<std::int64_t>(node, "axis", 1) == 1, node, "wants axis 1");
  return {{in[0]->dims[0], in[0]->numel() / std::max<std::int64_t>(in[0]->dims[0], 1)}, in[0]->values};
}

GraphTensor gemm(const OnnxNode& node, const Inputs& in) {
  check(in.size() == 3 && attribute<std::int64_t>(node, "transB", 0) == 1, node, "wants x, transposed weight and bias");
  const GraphTensor *x = in[0], *w = in[1], *bias = in[2];
  check(x->dims.size() == 2 && w->dims.size() == 2 && x->dims[1] == w->dims[1] && bias->numel() == w->dims[0], node,
        "its inputs do not fit");
  GraphTensor y{in.output_dims(node, {x->dims[0], w->dims[0]}), {}};
  for (std::int64_t n = 0; n < x->dims[0]; ++n) {
    for (std::int64_t o = 0; o < w->dims[0]; ++o) {
      const auto row = x->values.begin() + n * x->dims[1];
      const double sum = std::inner_product(row, row + x->dims[1], w->values.begin() + o * w->dims[1], 0.0);
      y.values.push_back(static_cast<float>(sum + bias->values[static_cast<std::size_t>(o)]));
    }
  }
  return y;
}

/// Without what it has to know of roundings.
template <GraphTensor (*run)(const OnnxNode&, const Inputs&)>
GraphTensor plain(const OnnxNode& node, const Inputs& in, RoundingGuide* /*guide*/) {
  return run(node, in);
}

constexpr std::array kOperators = {
    OnnxOperator{"Conv", plain<convolution>},
    OnnxOperator{"BatchNormalization", plain<batch_normalization>},
    OnnxOperator{"GlobalAveragePool", plain<global_average_pool>},
    OnnxOperator{"Concat", plain<concatenation>},
    OnnxOperator{"MaxPool", plain<max_pool>},
    OnnxOperator{"AveragePool", plain<average_pool>},
    OnnxOperator{"Flatten", plain<flatten>},
    OnnxOperator{"Gemm", plain<gemm>},
};

}  // namespace

std::span<const OnnxOperator> image_operators() {
  return kOperators;
}

}  // namespace bsq
