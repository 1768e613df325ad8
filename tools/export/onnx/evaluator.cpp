// One function per operator, as https://onnx.ai/onnx/operators and the QONNX specification define them.
#include "tools/export/onnx/evaluator.h"

#include "kernels/base/error.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace bsq {
namespace {

template <typename... Args>
[[noreturn]] void refuse(const OnnxNode& node, fmt::format_string<Args...> format, Args&&... args) {
  fail(ErrorKind::verification, "ONNX node {} ({}): {}", node.name, node.op,
       fmt::format(format, std::forward<Args>(args)...));
}

void check(bool holds, const OnnxNode& node, const char* what) {
  if (!holds) refuse(node, "{}", what);
}

template <typename T>
T attribute(const OnnxNode& node, const std::string& name, const T& otherwise) {
  const auto found = node.attributes.find(name);
  if (found == node.attributes.end()) return otherwise;
  const T* value = std::get_if<T>(&found->second);
  if (value == nullptr) refuse(node, "attribute {} is of another type", name);
  return *value;
}

/// What a node reads, and how large what it makes may be.
struct Inputs : std::vector<const GraphTensor*> {
  std::int64_t most_numbers = 0;

  /// Dims of the node's output, once it is known that they are none too many.
  std::vector<std::int64_t> output_dims(const OnnxNode& node, const std::vector<std::int64_t>& dims) const {
    std::int64_t count = 1;
    for (const std::int64_t dim : dims) {
      check(dim > 0 && dim <= most_numbers / count, node, "makes a tensor that is empty or too large");
      count *= dim;
    }
    return dims;
  }
};

constexpr std::int64_t kLongestSide = 1 << 16;  // of windows and strides

/// Whether windows of this size, at this distance and beyond the edge by as much, all have a part of the image.
bool is_window(std::int64_t size, std::int64_t stride, std::int64_t pad) {
  return size >= 1 && size <= kLongestSide && stride >= 1 && stride <= kLongestSide && pad >= 0 && pad < size;
}

GraphTensor same_shape(const GraphTensor& x) {
  return {x.dims, std::vector<float>(x.values.size())};
}

template <typename Function>
GraphTensor mapped(const GraphTensor& x, Function function) {
  GraphTensor y = same_shape(x);
  std::transform(x.values.begin(), x.values.end(), y.values.begin(), function);
  return y;
}

float scalar(const OnnxNode& node, const GraphTensor& x) {
  check(x.numel() == 1, node, "wants a scalar");
  return x.values[0];
}

/// Applies a function to two tensors of equal shapes, or to a tensor and one number on the right.
template <typename Function>
GraphTensor combined(const OnnxNode& node, const Inputs& in, Function function) {
  check(in.size() == 2, node, "wants two inputs");
  const GraphTensor& a = *in[0];
  const GraphTensor& b = *in[1];
  if (b.dims.empty()) return mapped(a, [&](float x) { return function(x, b.values[0]); });
  check(a.dims == b.dims, node, "its inputs differ in shape");
  GraphTensor y = same_shape(a);
  std::transform(a.values.begin(), a.values.end(), b.values.begin(), y.values.begin(), function);
  return y;
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

/// round(value), half to even, within least .. most; at a tie, the level that the other program took.
class Rounding {
 public:
  Rounding(const OnnxNode& node, RoundingGuide* guide, std::size_t numel, double least, double most)
      : guide_(guide), least_(least), most_(most) {
    if (guide == nullptr) return;
    const auto found = guide->levels.find(node.name);
    if (found == guide->levels.end()) return;
    check(found->second.values.size() == numel, node, "another program's activations differ in number");
    theirs_ = &found->second.values;
    const auto [low, high] = std::minmax_element(theirs_->begin(), theirs_->end());
    reach_ = guide->reach * std::max({1.0, std::abs(double{*low}), std::abs(double{*high})});
  }

  float operator()(std::size_t i, float value) {
    const double own = std::clamp(std::nearbyint(double{value}), least_, most_);
    if (theirs_ == nullptr) return static_cast<float>(own);
    ++guide_->rounded;
    const double other = (*theirs_)[i];
    if (other == own) return static_cast<float>(own);
    const bool is_tie = std::abs(other - own) == 1 && std::abs(double{value} - (own + other) / 2) <= reach_;
    ++(is_tie ? guide_->ties : guide_->disagreements);
    return static_cast<float>(is_tie ? other : own);
  }

 private:
  RoundingGuide* guide_;
  double least_;
  double most_;
  double reach_ = 0;
  const std::vector<float>* theirs_ = nullptr;
};

GraphTensor rounded(const OnnxNode& node, const GraphTensor& x, float unit, double least, double most, float times,
                    RoundingGuide* guide) {
  check(unit != 0 && std::isfinite(unit), node, "its scale is no number to divide by");
  Rounding round(node, guide, x.values.size(), least, most);
  GraphTensor y = same_shape(x);
  for (std::size_t i = 0; i < y.values.size(); ++i) y.values[i] = round(i, x.values[i] / unit) * times;
  return y;
}

GraphTensor int_quant(const OnnxNode& node, const Inputs& in, RoundingGuide* guide) {
  check(in.size() == 4 && scalar(node, *in[2]) == 0, node, "wants x, scale, a zero point of 0 and a width");
  check(attribute<std::string>(node, "rounding_mode", "ROUND") == "ROUND", node, "rounds in another way");
  const bool is_signed = attribute<std::int64_t>(node, "signed", 1) == 1;
  const bool is_narrow = attribute<std::int64_t>(node, "narrow", 0) == 1;
  const double half = std::exp2(double{scalar(node, *in[3])} - (is_signed ? 1 : 0));
  const double least = is_signed ? (is_narrow ? 1 - half : -half) : 0;
  const double most = half - 1 - (!is_signed && is_narrow ? 1 : 0);
  check(least <= most, node, "wants a width that has levels");
  const float unit = scalar(node, *in[1]);
  if (unit == 0 && least == 0 && most == 0) return same_shape(*in[0]);
  return rounded(node, *in[0], unit, least, most, unit, guide);
}

GraphTensor dequantize(const OnnxNode& node, const Inputs& in) {
  check(in.size() == 2 || (in.size() == 3 && scalar(node, *in[2]) == 0), node, "wants a zero point of 0");
  const float unit = scalar(node, *in[1]);
  return mapped(*in[0], [unit](float level) { return level * unit; });
}

GraphTensor quantize(const OnnxNode& node, const Inputs& in, RoundingGuide* guide) {
  check(in.size() == 3 && scalar(node, *in[2]) == 0, node, "wants a zero point of 0");
  check(in[2]->type == OnnxType::uint8 || in[2]->type == OnnxType::int8, node, "wants levels of a byte");
  const bool is_signed = in[2]->type == OnnxType::int8;
  return rounded(node, *in[0], scalar(node, *in[1]), is_signed ? -128 : 0, is_signed ? 127 : 255, 1.0F, guide);
}

GraphTensor reduce_max(const OnnxNode& node, const Inputs& in) {
  check(in.size() == 1 && in[0]->numel() > 0 && attribute<std::int64_t>(node, "keepdims", 1) == 0 &&
            !node.attributes.contains("axes"),
        node, "wants to reduce all axes");
  return {{}, {*std::max_element(in[0]->values.begin(), in[0]->values.end())}};
}

GraphTensor run(const OnnxNode& node, const Inputs& in, RoundingGuide* guide) {
  const std::string& op = node.op;
  check(!in.empty(), node, "has no inputs");
  if (op == "Conv") return convolution(node, in);
  if (op == "BatchNormalization") return batch_normalization(node, in);
  if (op == "GlobalAveragePool") return global_average_pool(node, in);
  if (op == "Concat") return concatenation(node, in);
  if (op == "MaxPool") return max_pool(node, in);
  if (op == "AveragePool") return average_pool(node, in);
  if (op == "Flatten") return flatten(node, in);
  if (op == "Gemm") return gemm(node, in);
  if (op == "ReduceMax") return reduce_max(node, in);
  if (op == "QuantizeLinear") return quantize(node, in, guide);
  if (op == "DequantizeLinear") return dequantize(node, in);
  if (op == "IntQuant") return int_quant(node, in, guide);
  if (op == "Round")
    return rounded(node, *in[0], 1, -std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity(),
                   1.0F, guide);
  if (op == "Relu") return mapped(*in[0], [](float x) { return std::max(x, 0.0F); });
  if (op == "Clip") {
    check(in.size() == 3, node, "wants both bounds");
    const float least = scalar(node, *in[1]), most = scalar(node, *in[2]);
    return mapped(*in[0], [least, most](float x) { return std::min(std::max(x, least), most); });
  }
  if (op == "Add") return combined(node, in, [](float a, float b) { return a + b; });
  if (op == "Mul") return combined(node, in, [](float a, float b) { return a * b; });
  if (op == "Div") return combined(node, in, [](float a, float b) { return a / b; });
  if (op == "Max") return combined(node, in, [](float a, float b) { return std::max(a, b); });
  refuse(node, "an operator that bsq does not write");
}

}  // namespace

GraphTensor evaluate_graph(const OnnxModel& model, const GraphTensor& input, RoundingGuide* guide,
                           std::int64_t most_numbers) {
  std::map<std::string, GraphTensor> tensors;
  for (const OnnxTensor& tensor : model.initializers)
    tensors[tensor.name] = {tensor.dims, values_of(tensor), tensor.type};
  tensors[model.input.name] = input;
  std::map<std::string, std::size_t> last_reader;
  for (std::size_t i = 0; i < model.nodes.size(); ++i)
    for (const std::string& name : model.nodes[i].inputs) last_reader[name] = i;
  for (std::size_t i = 0; i < model.nodes.size(); ++i) {
    const OnnxNode& node = model.nodes[i];
    check(node.outputs.size() == 1, node, "wants one output");
    Inputs in;
    in.most_numbers = most_numbers;
    for (const std::string& name : node.inputs) {
      const auto found = tensors.find(name);
      if (found == tensors.end()) refuse(node, "reads {}, which nobody has written", name);
      in.push_back(&found->second);
    }
    GraphTensor output = run(node, in, guide);
    for (const std::string& name : node.inputs)
      if (last_reader[name] == i && name != model.output.name) tensors.erase(name);
    if (!tensors.emplace(node.outputs[0], std::move(output)).second)
      refuse(node, "{} is written twice", node.outputs[0]);
  }
  const auto logits = tensors.find(model.output.name);
  if (logits == tensors.end()) fail(ErrorKind::verification, "ONNX model: nobody writes {}", model.output.name);
  return std::move(logits->second);
}

}  // namespace bsq
