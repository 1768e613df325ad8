#include "tests/models/double_network.h"

#include "kernels/base/error.h"

#include <algorithm>
#include <cmath>

namespace bsq::test {
namespace {

struct DoubleTensor {
  Shape shape;  // NHWC, or [N, features]
  std::vector<double> values;

  std::int64_t channels() const { return shape[shape.rank - 1]; }
  /// Where the channels of a pixel begin.
  std::size_t pixel(std::int64_t n, std::int64_t y, std::int64_t x) const {
    return static_cast<std::size_t>(((n * shape[1] + y) * shape[2] + x) * shape[3]);
  }
};

/// One node at work: its options, its inputs, and its output, whose shape is known.
struct NodeRun {
  const NodeSpec& node;
  const DoubleValues& values;
  std::vector<const DoubleTensor*> inputs;
  DoubleTensor output;
  bool training = false;

  const DoubleTensor& x() const { return *inputs.front(); }
  template <typename T>
  T option(const std::string& key, T otherwise) const {
    return node.options.value(key, otherwise);
  }
  const std::vector<double>& tensor(const std::string& name) const { return values.at(node.name + name); }
};

template <typename Visit>
void for_each_pixel(const Shape& shape, Visit visit) {
  for (std::int64_t n = 0; n < shape[0]; ++n)
    for (std::int64_t y = 0; y < shape[1]; ++y)
      for (std::int64_t x = 0; x < shape[2]; ++x) visit(n, y, x);
}

void convolve(NodeRun& run) {
  const DoubleTensor& x = run.x();
  const int kernel = run.option("kernel", 3), stride = run.option("stride", 1);
  const int padding = run.option("padding", kernel / 2), groups = run.option("groups", 1);
  const std::int64_t outputs = run.output.channels(), depth = x.channels() / groups;
  const std::vector<double>& weight = run.tensor(".weight");
  std::vector<double> bias(static_cast<std::size_t>(outputs));
  if (run.option("bias", false)) bias = run.tensor(".bias");
  for_each_pixel(run.output.shape, [&](std::int64_t n, std::int64_t out_y, std::int64_t out_x) {
    double* to = run.output.values.data() + run.output.pixel(n, out_y, out_x);
    for (std::int64_t o = 0; o < outputs; ++o) {
      double sum = bias[static_cast<std::size_t>(o)];
      for (int tap = 0; tap < kernel * kernel; ++tap) {
        const std::int64_t in_y = out_y * stride - padding + tap / kernel;
        const std::int64_t in_x = out_x * stride - padding + tap % kernel;
        if (in_y < 0 || in_y >= x.shape[1] || in_x < 0 || in_x >= x.shape[2]) continue;
        const double* from = x.values.data() + x.pixel(n, in_y, in_x) + o / (outputs / groups) * depth;
        const double* filter = weight.data() + (o * kernel * kernel + tap) * depth;
        for (std::int64_t i = 0; i < depth; ++i) sum += from[i] * filter[i];
      }
      to[o] = sum;
    }
  });
}

/// y = slope x + offset per channel.
struct Normalization {
  std::vector<double> slope, offset;
};

Normalization normalization(const NodeRun& run) {
  const DoubleTensor& x = run.x();
  const auto channels = static_cast<std::size_t>(x.channels());
  std::vector<double> mean(channels), variance(channels);
  if (run.training) {
    const double rows = static_cast<double>(x.values.size() / channels);
    for (std::size_t i = 0; i < x.values.size(); ++i) mean[i % channels] += x.values[i] / rows;
    for (std::size_t i = 0; i < x.values.size(); ++i)
      variance[i % channels] += std::pow(x.values[i] - mean[i % channels], 2) / rows;
  } else {
    mean = run.tensor(".running_mean");
    variance = run.tensor(".running_var");
  }
  Normalization result{run.tensor(".weight"), run.tensor(".bias")};
  for (std::size_t c = 0; c < channels; ++c) {
    result.slope[c] /= std::sqrt(variance[c] + run.option("epsilon", 1e-5));
    result.offset[c] -= result.slope[c] * mean[c];
  }
  return result;
}

double activate(double z, const std::string& name) {
  if (name == "none") return z;
  return std::clamp(z, 0.0, name == "relu6" || name == "configured_relu6" ? 6.0 : HUGE_VAL);
}

/// Its input, normalized if it is a norm_act, plus the other one, activated.
void bend(NodeRun& run) {
  const DoubleTensor& x = run.x();
  const auto channels = static_cast<std::size_t>(x.channels());
  Normalization line{std::vector<double>(channels, 1.0), std::vector<double>(channels, 0.0)};
  if (run.node.layer == "norm_act") line = normalization(run);
  const std::string plain = run.node.layer == "add" ? "none" : "relu";
  const auto name = run.option<std::string>("activation", run.option("quantized", false) ? "configured" : plain);
  for (std::size_t i = 0; i < x.values.size(); ++i) {
    double z = line.slope[i % channels] * x.values[i] + line.offset[i % channels];
    if (run.inputs.size() == 2) z += run.inputs[1]->values[i];
    run.output.values[i] = activate(z, name);
  }
}

void concatenate(NodeRun& run) {
  for_each_pixel(run.output.shape, [&](std::int64_t n, std::int64_t y, std::int64_t x) {
    auto to = run.output.values.begin() + static_cast<std::ptrdiff_t>(run.output.pixel(n, y, x));
    for (const DoubleTensor* input : run.inputs)
      to = std::copy_n(input->values.begin() + static_cast<std::ptrdiff_t>(input->pixel(n, y, x)), input->channels(),
                       to);
  });
}

/// The pixels from `first` to before `last` that a window covers.
struct Window {
  std::int64_t first = 0, last = 0;
};

/// Of output `i` of `outputs` over `size` pixels.
Window window_of(const NodeRun& run, std::int64_t i, std::int64_t outputs, std::int64_t size) {
  const int kernel = run.option("kernel", 0);
  if (run.node.layer == "average_pool" && kernel == 0)
    return {i * size / outputs, ((i + 1) * size + outputs - 1) / outputs};
  const std::int64_t first = i * run.option("stride", kernel) - run.option("padding", 0);
  return {std::max<std::int64_t>(first, 0), std::min<std::int64_t>(first + kernel, size)};
}

void pool(NodeRun& run) {
  const DoubleTensor& x = run.x();
  const bool is_max = run.node.layer == "max_pool", is_flat = run.output.shape.rank == 2;
  const std::int64_t channels = x.channels();
  const Shape windows = is_flat ? Shape{x.shape[0], 1, 1, channels} : run.output.shape;
  std::size_t place = 0;
  for_each_pixel(windows, [&](std::int64_t n, std::int64_t out_y, std::int64_t out_x) {
    const Window rows = window_of(run, out_y, windows[1], x.shape[1]);
    const Window columns = window_of(run, out_x, windows[2], x.shape[2]);
    const auto pixels = static_cast<double>((rows.last - rows.first) * (columns.last - columns.first));
    for (std::int64_t c = 0; c < channels; ++c) {
      double result = is_max ? -HUGE_VAL : 0;
      for (std::int64_t y = rows.first; y < rows.last; ++y)
        for (std::int64_t column = columns.first; column < columns.last; ++column) {
          const double value = x.values[x.pixel(n, y, column) + static_cast<std::size_t>(c)];
          result = is_max ? std::max(result, value) : result + value / pixels;
        }
      run.output.values[place++] = result;
    }
  });
}

/// In PyTorch's order: channel by channel.
void flatten(NodeRun& run) {
  const Shape& s = run.x().shape;
  for_each_pixel(s, [&](std::int64_t n, std::int64_t y, std::int64_t x) {
    for (std::int64_t c = 0; c < s[3]; ++c)
      run.output.values[static_cast<std::size_t>(((n * s[3] + c) * s[1] + y) * s[2] + x)] =
          run.x().values[run.x().pixel(n, y, x) + static_cast<std::size_t>(c)];
  });
}

void multiply(NodeRun& run) {
  const auto in = static_cast<std::size_t>(run.x().channels()), out = static_cast<std::size_t>(run.output.channels());
  const std::vector<double>&weight = run.tensor(".weight"), &bias = run.tensor(".bias");
  for (std::size_t i = 0; i < run.output.values.size(); ++i) {
    double sum = bias[i % out];
    for (std::size_t k = 0; k < in; ++k) sum += run.x().values[i / out * in + k] * weight[i % out * in + k];
    run.output.values[i] = sum;
  }
}

void run_node(NodeRun& run) {
  const std::string& layer = run.node.layer;
  if (layer == "conv2d") return convolve(run);
  if (layer == "norm_act" || layer == "bias_act" || layer == "add") return bend(run);
  if (layer == "concat") return concatenate(run);
  if (layer == "max_pool" || layer == "average_pool") return pool(run);
  if (layer == "flatten") return flatten(run);
  if (layer == "linear") return multiply(run);
  require(layer == "dropout", "no loops for {}", layer);
  run.output.values = run.x().values;
}

}  // namespace

std::vector<double> DoubleNetwork::forward(const DoubleValues& values, const std::vector<float>& images, int batch,
                                           bool training) const {
  const std::vector<TensorSpec> shapes = network_.tensors(batch, DType::f32);
  std::map<std::string, DoubleTensor> tensors;
  tensors[kImage] = {shapes[0].shape, {images.begin(), images.end()}};
  std::vector<double> last;
  for (std::size_t i = 0; i < spec_.nodes.size(); ++i) {
    NodeRun run{spec_.nodes[i], values, {}, {shapes[i + 1].shape, {}}, training};
    for (const std::string& name : run.node.inputs) run.inputs.push_back(&tensors.at(name));
    run.output.values.resize(static_cast<std::size_t>(run.output.shape.numel()));
    run_node(run);
    last = run.output.values;
    tensors[run.node.name] = std::move(run.output);
  }
  return last;
}

}  // namespace bsq::test
