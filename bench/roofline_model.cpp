#include "bench/roofline_model.h"

#include "bench/roofline_fusions.h"
#include "engine/network/gradient_parts_buffer.h"
#include "engine/network/layers/bias_act.h"
#include "engine/network/layers/conv2d.h"
#include "engine/network/layers/norm_act.h"
#include "engine/network/tensor_owners.h"
#include "kernels/base/error.h"
#include "kernels/cuda/device/filter_cuts.h"
#include "kernels/cuda/device/own_geometries.h"

#include <fmt/format.h>

#include <algorithm>

namespace bsq::bench {
namespace {

constexpr double kFloatBytes = 4;
constexpr int kMultiprocessors = 132;  // of an H100 or H200
constexpr int kUncopiedChannels = 64;  // from here on cuDNN's first choice copies no operand

double real(std::int64_t value) {
  return static_cast<double>(value);
}

/// How many numbers of each kind of parameter there are.
struct ParameterCounts {
  double quantized_convolutions = 0;
  double quantized_others = 0;  // the classifier
  double plain_convolutions = 0;
  double plain_others = 0;

  explicit ParameterCounts(const Network& network) {
    for (const ParameterSpec& spec : network.parameters()) {
      const bool quantized = spec.group == ParameterGroup::quantized;
      const bool convolution = spec.shape.rank == 4;
      (quantized ? (convolution ? quantized_convolutions : quantized_others)
                 : (convolution ? plain_convolutions : plain_others)) += real(spec.shape.numel());
    }
  }
  double quantized() const { return quantized_convolutions + quantized_others; }
  double plain() const { return plain_convolutions + plain_others; }
};

/// Writes the list, node by node.
class StepCounter {
 public:
  StepCounter(const Network& network, const StepOptions& options)
      : network_(network),
        options_(options),
        dtype_(dtype_of(options.precision)),
        element_bytes_(static_cast<double>(size_of(dtype_))),
        tensors_(network.tensors(options.batch, dtype_)),
        owners_(tensor_owners(network, /*training=*/true)),
        norms_(network, tensors_, owners_, options.fusion),
        counts_(network) {}

  std::vector<Operation> count() {
    add({"step inputs", "augment", {real(sizeof(StepInputs))}});
    const double pixels = real(tensors_[0].shape.numel());
    add({"augment", "augment", {pixels * (1 + element_bytes_) + 12.0 * options_.batch}});  // index, label in, label out
    const auto& nodes = network_.nodes();
    for (std::size_t i = 0; i < nodes.size(); ++i) add_forward(nodes[i], i);
    const double logits = real(tensors_.back().shape.numel());
    add({"softmax_cross_entropy", "head", {2 * kFloatBytes * logits + kFloatBytes * options_.batch}});
    const auto adds = accumulations(network_);
    for (std::size_t i = nodes.size(); i-- > 0;) add_backward(nodes[i], i, adds[i]);
    add_sums_of_parts();
    add_updates();
    return std::move(operations_);
  }

 private:
  void add(const Operation& operation) { operations_.push_back(operation); }

  void add_updates() {
    const bool bf16 = dtype_ == DType::bf16;
    constexpr double sgd_bytes = 5 * kFloatBytes;  // gradient, parameter, momentum in; the last two out
    const double read_write_bytes = kFloatBytes + element_bytes_;
    if (options_.weight_bits > 0) {
      // Planes and momentum in and out, dW in, the weights of the next step out; the classifier's need their scale
      // first.
      const double planes = 2.0 * options_.weight_bits;
      add({"planes_step",
           "planes",
           {counts_.quantized() * (4 * planes + 1) * kFloatBytes + counts_.quantized_convolutions * element_bytes_,
            counts_.quantized_others * (planes + 1) * kFloatBytes}});
    } else {
      add({"sgd_step, quantizable weights", "sgd", {counts_.quantized() * sgd_bytes}});
      if (bf16) add({"weights to bf16", "sgd", {counts_.quantized_convolutions * read_write_bytes}});
    }
    add({"sgd_step, plain parameters", "sgd", {counts_.plain() * sgd_bytes}});
    if (bf16 && counts_.plain_convolutions > 0)
      add({"shortcut weights to bf16", "sgd", {counts_.plain_convolutions * read_write_bytes}});
  }

  std::vector<TensorSpec> inputs_of(const Node& node) const { return network_.inputs_of(node, tensors_); }

  void add_forward(const Node& node, std::size_t number) {
    const std::vector<TensorSpec> inputs = inputs_of(node);
    const double input = real(inputs[0].shape.numel());
    const double output = real(node.layer->output(inputs).shape.numel());
    if (const auto* conv = dynamic_cast<const Conv2d*>(node.layer.get())) {
      add_convolution(*conv, inputs[0], ConvPass::forward);
    } else if (const auto* norm = dynamic_cast<const NormAct*>(node.layer.get())) {
      const bool shortcut = inputs.size() == 2;
      const double tensor = input * element_bytes_;
      const double reads = shortcut ? 2 * tensor : tensor;
      std::vector<double> kernels;
      if (!norms_.of_input(number)) kernels.push_back(tensor);                 // sums
      if (shortcut && norm->options().act_bits > 0) kernels.push_back(reads);  // the maximum
      if (!norms_.output_is_made(number)) kernels.push_back(reads + tensor);   // y
      add({norm_name(*norm, inputs) + " forward", "norm_act forward", kernels});
    } else if (const auto* bias = dynamic_cast<const BiasAct*>(node.layer.get())) {
      const double reads = real(std::ssize(inputs)) * input * real_size_of(inputs[0]);
      std::vector<double> kernels;
      if (bias->quantizer()) kernels.push_back(reads);  // the maximum
      kernels.push_back(reads + output * real_size_of(inputs[0]));
      add({bias_name(*bias, inputs) + " forward", "norm_act forward", kernels});
    } else if (is_pooling(node)) {
      add_pooling(node, "forward");
    } else if (node.layer->kind() == "concat") {
      add_concat(node, "forward");
    } else if (node.layer->kind() == "dropout") {
      add({"dropout forward", "dropout", {(input + output) * real_size_of(inputs[0])}});
    } else if (node.layer->kind() == "quantize") {
      add({"offset_quantizer forward", "offset quantizer", {(input + output) * real_size_of(inputs[0])}});
    } else {
      require(node.layer->kind() == "linear", "roofline: no count for a {}", node.layer->kind());
      add({"linear forward",
           "head",
           {kFloatBytes * (input + linear_weights(inputs, output) + output)},
           node.layer->flops(inputs)});
    }
  }

  void add_backward(const Node& node, std::size_t number, const std::vector<bool>& adds) {
    const std::vector<TensorSpec> inputs = inputs_of(node);
    const double input = real(inputs[0].shape.numel());
    const double output = real(node.layer->output(inputs).shape.numel());
    if (const auto* conv = dynamic_cast<const Conv2d*>(node.layer.get())) {
      add_convolution(*conv, inputs[0], ConvPass::backward_weight);
      if (node.inputs[0] == 0) return;  // nobody needs the gradient of the images
      const int norm = norms_.norm_before(number);
      const std::size_t read_by_norm = norm < 0 ? 0 : network_.nodes()[static_cast<std::size_t>(norm)].inputs.size();
      add_convolution(*conv, inputs[0], ConvPass::backward_data, adds[0], static_cast<int>(read_by_norm));
    } else if (const auto* norm = dynamic_cast<const NormAct*>(node.layer.get())) {
      const bool shortcut = inputs.size() == 2;
      const double tensor = input * element_bytes_;
      const double reads = (shortcut ? 3 : 2) * tensor;  // dy, x and the shortcut, for the sums and again for dx
      const double writes = (shortcut ? 2 : 1) * tensor;
      std::vector<double> kernels;
      if (!norms_.of_gradient(number)) kernels.push_back(reads);
      kernels.push_back(reads + writes + real(std::ranges::count(adds, true)) * tensor);
      const char* where = norms_.has_conv_behind(number) ? "" : ", no convolution behind it";
      add({norm_name(*norm, inputs) + " backward" + where, "norm_act backward", kernels});
    } else if (const auto* bias = dynamic_cast<const BiasAct*>(node.layer.get())) {
      const double tensor = input * real_size_of(inputs[0]);
      const double reads = 1 + (bias->backward_reads_inputs() ? real(std::ssize(inputs)) : 0);  // dy, and what z is of
      const double added = real(std::ranges::count(adds, true));
      add({bias_name(*bias, inputs) + " backward",
           "norm_act backward",
           {(reads + real(std::ssize(inputs)) + added) * tensor}});
    } else if (is_pooling(node)) {
      add_pooling(node, "backward", adds[0]);
    } else if (node.layer->kind() == "concat") {
      add_concat(node, "backward", adds);
    } else if (node.layer->kind() == "dropout") {
      add({"dropout backward", "dropout", {(input + output + (adds[0] ? input : 0)) * real_size_of(inputs[0])}});
    } else if (node.layer->kind() == "quantize") {  // x and dy in, dx out
      add({"offset_quantizer backward",
           "offset quantizer",
           {(2 * input + output + (adds[0] ? input : 0)) * real_size_of(inputs[0])}});
    } else {
      add({"linear backward",
           "head",
           {kFloatBytes * (output + (adds[0] ? 3 : 2) * input + 2 * linear_weights(inputs, output))},
           2 * node.layer->flops(inputs)});
    }
  }

  /// A kernel for each input that does not lie in place already.
  void add_concat(const Node& node, const char* pass, const std::vector<bool>& adds = {}) {
    const std::vector<TensorSpec> inputs = inputs_of(node);
    std::vector<double> kernels;
    for (std::size_t k = 0; k < inputs.size(); ++k) {
      const auto index = static_cast<std::size_t>(node.inputs[k]);
      if (k == 0 && owners_[index] != node.inputs[k]) continue;
      const bool is_added = !adds.empty() && adds[k];
      kernels.push_back((is_added ? 3 : 2) * real(inputs[k].shape.numel()) * element_bytes_);
    }
    add({fmt::format("concat {} {}", shape_name(node.layer->output(inputs).shape), pass), "concat", kernels});
  }

  static bool is_pooling(const Node& node) {
    const std::string_view kind = node.layer->kind();
    return kind == "max_pool" || kind == "average_pool" || kind == "flatten";
  }

  /// Both sides once, and the winners of a max_pool, a byte each. What gives a vector is a part of the head.
  void add_pooling(const Node& node, const char* pass, bool adds = false) {
    const TensorSpec input = inputs_of(node)[0], output = node.layer->output({&input, 1});
    const std::string kind(node.layer->kind());
    const bool is_head = output.shape.rank == 2;
    const double numbers = real(output.shape.numel());
    const double in = real(input.shape.numel()) * real(static_cast<std::int64_t>(size_of(input.dtype)));
    const double out = numbers * real(static_cast<std::int64_t>(size_of(output.dtype)));
    add({is_head ? fmt::format("{} {}", kind, pass) : fmt::format("{} {} {}", kind, shape_name(input.shape), pass),
         is_head ? "head" : "pooling",
         {(adds ? 2 : 1) * in + out + (kind == "max_pool" ? numbers : 0)}});
  }

  /// If `adds`, a data gradient is added to the one that is there. `read_by_norm`: how many tensors the norm before it
  /// reads, whose sums our own kernels leave; 0: there is none.
  void add_convolution(const Conv2d& conv, const TensorSpec& input, ConvPass pass, bool adds = false,
                       int read_by_norm = 0) {
    const ConvGeometry g = conv.geometry(input.shape, input.dtype);
    const bool is_own = cuda::has_own_kernel(g, pass);
    // Filters smaller than their stride skip pixels when they read, but the gradient of all pixels is written.
    const bool is_data = pass == ConvPass::backward_data;
    const std::int64_t rows = is_data ? g.height : std::min(g.height, g.kernel * g.out_height());
    const std::int64_t columns = is_data ? g.width : std::min(g.width, g.kernel * g.out_width());
    const double numbers = real(g.batch * rows * columns * g.in_channels + g.output_shape().numel());
    const double weights = real(g.weight_shape().numel());
    const double input_bytes = real(g.input_shape().numel()) * element_bytes_;
    const std::string name =
        fmt::format("conv {}x{} {}->{}{} at {}x{}{} {}{}{}", g.kernel, g.kernel, g.in_channels, g.out_channels,
                    g.groups > 1 ? fmt::format(" in {} groups", g.groups) : "", g.height, g.width,
                    g.stride > 1 ? fmt::format(" /{}", g.stride) : "", name_of(pass), adds ? " +=" : "",
                    read_by_norm == 2   ? " behind norm + shortcut"
                    : read_by_norm == 1 ? " behind norm"
                                        : "");
    Operation operation{name, fmt::format("conv {}", name_of(pass)), {}, g.flops(), 0, g};
    if (pass == ConvPass::backward_weight)
      is_own ? add_own_filter_gradient(operation, numbers, weights) : add_filter_gradient(operation, numbers, weights);
    else
      add_product(operation, numbers, weights);
    if (adds && is_own) operation.kernels[operation.worker] += input_bytes;
    if (is_own && norms_.leaves_sums()) operation.kernels[operation.worker] += read_by_norm * input_bytes;
    if (adds && !is_own) operation.kernels.push_back(3 * input_bytes);  // `add`
    add(operation);
  }

  /// Forward and data gradient.
  void add_product(Operation& operation, double numbers, double weights) const {
    const double once = (numbers + weights) * element_bytes_;
    if (options_.copies && options_.precision == Precision::fp32 && operation.convolution->groups == 1) {
      const double in = real(operation.convolution->input_shape().numel());
      const double out = real(operation.convolution->output_shape().numel());
      operation.kernels = {2 * in * kFloatBytes, once, 2 * out * kFloatBytes};
      operation.worker = 1;
    } else {
      operation.kernels = {once};
    }
  }

  /// The gradient of the weights is float32 always. The product alone: the sums of what the pixels were split into are
  /// those of several layers together.
  void add_own_filter_gradient(Operation& operation, double numbers, double weights) {
    operation.kernels = {numbers * element_bytes_ + weights * kFloatBytes};
    const ConvGeometry& g = *operation.convolution;
    const double floats = weights * cuda::filter_gradient_parts(g, kMultiprocessors);
    if (floats == weights) return;
    if (options_.fusion < Fusion::parts_together) {
      operation.kernels.push_back(2 * weights * kFloatBytes);
      return;
    }
    if (parts_ + floats > static_cast<double>(GradientPartsBuffer::kMostFloats)) add_sum_of_parts();
    parts_ += floats;
    summed_ += weights;
  }
  /// Counted as if there were one part: the others stay in the cache.
  void add_sum_of_parts() {
    if (summed_ > 0) sums_of_parts_.push_back(2 * summed_ * kFloatBytes);
    parts_ = summed_ = 0;
  }
  void add_sums_of_parts() {
    add_sum_of_parts();
    if (!sums_of_parts_.empty()) add({"sums of filter gradients", "conv backward weight", sums_of_parts_});
  }

  void add_filter_gradient(Operation& operation, double numbers, double weights) const {
    const ConvGeometry& g = *operation.convolution;
    if (options_.precision == Precision::fp32) {  // old engines that sum up as they go
      operation.kernels = {(numbers + weights) * kFloatBytes};
      return;
    }
    const double tensors[] = {real(g.input_shape().numel()), real(g.output_shape().numel())};
    if (dtype_ == DType::bf16)  // widened, for an engine of tf32
      for (const double tensor : tensors) operation.kernels.push_back(tensor * (element_bytes_ + kFloatBytes));
    if (options_.copies && g.groups == 1 && g.kernel > 1 && g.in_channels < kUncopiedChannels)
      for (const double tensor : tensors) operation.kernels.push_back(2 * tensor * kFloatBytes);
    operation.worker = operation.kernels.size();
    operation.kernels.push_back((numbers + weights) * kFloatBytes);
    operation.kernels.push_back(2 * weights * kFloatBytes);  // the sum
  }

  static double linear_weights(const std::vector<TensorSpec>& inputs, double output) {
    return output / real(inputs[0].shape[0]) * real(inputs[0].shape[1]);
  }
  static std::string shape_name(const Shape& shape) { return fmt::format("{}x{}x{}", shape[1], shape[2], shape[3]); }
  static double real_size_of(const TensorSpec& tensor) { return static_cast<double>(size_of(tensor.dtype)); }
  static std::string bias_name(const BiasAct& bias, const std::vector<TensorSpec>& inputs) {
    const Shape& shape = inputs[0].shape;
    const ActivationPart& activation = bias.options().activation;
    return fmt::format("bias_act {} {}{}{}", shape.rank == 4 ? shape_name(shape) : std::to_string(shape[1]),
                       name_of(activation.activation),
                       activation.act_bits > 0 ? fmt::format(" {} bit", activation.act_bits) : "",
                       inputs.size() == 2 ? " of two" : "");
  }
  static std::string norm_name(const NormAct& norm, const std::vector<TensorSpec>& inputs) {
    const NormActOptions& options = norm.options();
    return fmt::format("norm_act {} {}{}{}", shape_name(inputs[0].shape), name_of(options.activation),
                       options.act_bits > 0 ? fmt::format(" {} bit", options.act_bits) : "",
                       inputs.size() == 2 ? " + shortcut" : "");
  }

  const Network& network_;
  StepOptions options_;
  DType dtype_;
  double element_bytes_;
  std::vector<TensorSpec> tensors_;
  std::vector<TensorId> owners_;
  NormsOnTheWay norms_;
  ParameterCounts counts_;
  std::vector<Operation> operations_;
  double parts_ = 0;   // floats that wait to be summed
  double summed_ = 0;  // floats of their sums
  std::vector<double> sums_of_parts_;
};

}  // namespace

std::vector<Operation> training_step(const Network& network, const StepOptions& options) {
  return StepCounter(network, options).count();
}

StepMemory memory_of(const Network& network, const StepOptions& options) {
  const bool bf16 = options.precision == Precision::bf16;
  const bool planes = options.weight_bits > 0;
  const ParameterCounts counts(network);
  StepMemory memory;
  memory.planes = planes ? counts.quantized() * 2 * kMaxBits * kFloatBytes : 0;
  memory.plane_momentum = memory.planes;
  const double convolutions = counts.plain_convolutions + (planes ? 0 : counts.quantized_convolutions);
  const double written_as_bf16 = bf16 && planes ? counts.quantized_convolutions : 0;  // and in no other form
  memory.weights = (counts.quantized() + counts.plain() - written_as_bf16) * kFloatBytes +
                   (written_as_bf16 + (bf16 ? convolutions : 0)) * static_cast<double>(size_of(DType::bf16));
  memory.gradients = (counts.quantized() + counts.plain()) * kFloatBytes;
  memory.momentum = (counts.plain() + (planes ? 0 : counts.quantized())) * kFloatBytes;

  // As the executor plans it: forward of node i at time i, its backward at 2 N - i, the loss at N.
  const std::vector<TensorSpec> tensors = network.tensors(options.batch, bf16 ? DType::bf16 : DType::f32);
  const auto size = [&](std::size_t i) {
    return real(tensors[i].shape.numel()) * static_cast<double>(size_of(tensors[i].dtype));
  };
  const auto& nodes = network.nodes();
  const std::size_t count = nodes.size();
  std::vector<double> alive(2 * count + 1, 0.0);
  const auto live = [&](std::size_t tensor, std::size_t first, std::size_t last) {
    for (std::size_t time = first; time <= last; ++time) alive[time] += size(tensor);
  };
  const std::vector<TensorId> owners = tensor_owners(network, /*training=*/true);
  const auto owner = [&](std::size_t i) { return static_cast<std::size_t>(owners[i]); };
  std::vector<std::size_t> last_use(count + 1, 0);
  std::vector<std::size_t> first_gradient(count + 1, 0);
  first_gradient[count] = count;
  last_use[count] = count;
  for (std::size_t i = 0; i < count; ++i) {
    for (const TensorId input : nodes[i].inputs) {
      const auto index = static_cast<std::size_t>(input);
      last_use[owner(index)] =
          std::max(last_use[owner(index)], nodes[i].layer->backward_reads_inputs() ? 2 * count - i : i);
      first_gradient[index] = 2 * count - i;  // the last of its readers comes first
    }
  }
  std::vector<std::size_t> first_write(count + 1, count);  // of an owner: that of the first tensor in its memory
  for (std::size_t i = count + 1; i-- > 0;) first_write[owner(i)] = i == 0 ? 0 : i - 1;
  for (std::size_t i = 0; i <= count; ++i) {
    if (owner(i) != i) continue;
    memory.activations += size(i);
    live(i, first_write[i], std::max(last_use[i], i == 0 ? 0 : i - 1));
    if (i > 0) live(i, first_gradient[i], 2 * count - first_write[i]);
  }
  memory.activation_peak = *std::ranges::max_element(alive);
  return memory;
}

}  // namespace bsq::bench
