// kind = model_trace: float training steps of a published network, and an evaluation after the first of them.
#include "engine/input/image_set.h"
#include "engine/input/resident_source.h"
#include "engine/methods/weight_forms.h"
#include "engine/network/layer_kinds.h"
#include "engine/training/evaluator.h"
#include "engine/training/training_step.h"
#include "tests/golden/model_trace_setup.h"
#include "tests/golden/trace.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <numeric>
#include <set>

namespace bsq::golden {
namespace {

// What the README of the traces asks for.
constexpr double kLogits = 2e-4;
constexpr double kGradient = 5e-4;
constexpr double kZeroGradient = 1e-5;  // of its scale
constexpr double kAfterStep = 3e-5;
constexpr double kLosses[] = {2e-5, 5e-4, 1e-2};  // of max(loss, 1)
constexpr double kReferenceFlops = 4e10;          // half a minute of plain loops

using Values = std::map<std::string, std::vector<float>>;

ImageSet images_of(const ModelTrace& trace) {
  const auto pixels = trace.file.at("images_u8").values<std::uint8_t>();
  const auto labels = trace.file.at("labels").values<std::uint8_t>();
  const Shape& image = trace.network.image;
  if (static_cast<int>(labels.size()) != trace.batch ||
      static_cast<std::int64_t>(pixels.size()) != trace.batch * image.numel())
    fail(ErrorKind::checkpoint, "{}: images_u8 and labels are no batch of {}", trace.file.path.string(), trace.batch);
  if (*std::max_element(labels.begin(), labels.end()) >= trace.classes)
    fail(ErrorKind::checkpoint, "{}: a label is no class", trace.file.path.string());
  return ImageSet({static_cast<int>(image[0]), static_cast<int>(image[1]), {}}, {pixels.begin(), pixels.end()},
                  {labels.begin(), labels.end()});
}

double norm_of(std::span<const float> values) {
  double squares = 0;
  for (const float value : values) squares += double{value} * double{value};
  return std::sqrt(squares);
}

/// Every stride-th element.
std::vector<float> strided(std::span<const float> values, std::int64_t stride) {
  std::vector<float> picked;
  for (std::size_t i = 0; i < values.size(); i += static_cast<std::size_t>(stride)) picked.push_back(values[i]);
  return picked;
}

/// Of the network with a plain ReLU, nothing quantized.
Network float_network(const NetworkSpec& spec) {
  return build_network(spec, {.activation = Activation::relu, .act_bits = 0});
}

class ModelReplay {
 public:
  ModelReplay(Backend& backend, const ModelTrace& trace)
      : backend_(backend),
        trace_(trace),
        initial_(initial_model(trace)),
        images_(images_of(trace)),
        memory_(backend),
        model_(memory_, float_network(trace.network), DType::f32, /*seed=*/0,
               store_of([&](const ArenaLayout& layout) { return read_weights(initial_, layout, kMaxBits); })),
        source_(memory_, images_, "trace"),
        evaluated_(memory_, images_, "evaluation"),
        steps_(
            memory_, model_, source_,
            {.augment = plain_input(input()), .rule = rule(), .batch_size = trace.batch, .metrics_slots = trace.steps},
            *alone_),
        evaluator_(memory_, model_, evaluated_, input(), trace.batch, *alone_) {
    model_.load_plain(initial_);
    std::vector<std::int32_t> order(static_cast<std::size_t>(trace.batch));
    std::iota(order.begin(), order.end(), 0);
    source_.begin_epoch(order);
  }

  /// Step 0 taken apart, so that its logits can be read before backward overwrites them. Returns the loss.
  double run_first_step() {
    Executor& executor = steps_.executor();
    const int batch = trace_.batch;
    const Buffer labels = memory_.allocate_array<std::int32_t>("labels", static_cast<std::size_t>(batch));
    const Buffer inputs = memory_.allocate_array<StepInputs>("step inputs", 1);
    const Buffer metrics = memory_.allocate_array<StepMetrics>("metrics", 1);
    upload_array(backend_, inputs.as<StepInputs>(), {StepInputs{.learning_rate = learning_rate()}});
    backend_.augment({plain_input(input()), source_.rows(), inputs.as<StepInputs>(), batch, executor.images(batch),
                      labels.as<std::int32_t>()});
    executor.forward(batch);
    first_logits_ = read(executor.logits(batch));
    backend_.softmax_cross_entropy({batch, trace_.classes, executor.logits(batch).as<float>(),
                                    labels.as<std::int32_t>(), executor.d_logits(batch).as<float>(),
                                    inputs.as<StepInputs>(), metrics.as<StepMetrics>()});
    executor.backward(batch);
    model_.step(rule(), inputs.as<StepInputs>(), metrics.as<StepMetrics>());
    return download_array(backend_, metrics.as<StepMetrics>(), 1)[0].loss_sum / batch;
  }
  /// Step `step` >= 1, of the same batch. Returns the loss.
  double run_step(int step) {
    steps_.run(trace_.batch, {.learning_rate = learning_rate(), .metrics_slot = step});
    const StepMetrics metrics = steps_.metrics(step, 1)[0];
    return metrics.loss_sum / static_cast<double>(metrics.samples);
  }
  const std::vector<float>& first_logits() const { return first_logits_; }
  std::vector<float> evaluate() {
    evaluator_.run();
    return read(evaluator_.executor().logits(trace_.batch));
  }
  /// Of the loss, as the last step left them.
  Values gradients() {
    Values values;
    const auto& specs = model_.network().parameters();
    for (std::size_t id = 0; id < specs.size(); ++id)
      values[specs[id].name] = to_file_layout(download_array(backend_, model_.parameters().gradients[id],
                                                             static_cast<std::size_t>(specs[id].shape.numel())),
                                              specs[id].shape);
    return values;
  }
  Values state() {
    Values values;
    for (const HostTensor& tensor : model_.save().tensors)
      if (tensor.dtype == DType::f32)
        values[tensor.name] = {tensor.values<float>().begin(), tensor.values<float>().end()};
    return values;
  }

 private:
  float learning_rate() const { return static_cast<float>(number_at(trace_.file, "lr")); }
  SgdRule rule() const {
    return {.momentum = static_cast<float>(number_at(trace_.file, "momentum")),
            .weight_decay = static_cast<float>(number_at(trace_.file, "weight_decay"))};
  }
  InputOptions input() const {
    const Shape& image = trace_.network.image;
    return {.height = static_cast<int>(image[0]),
            .width = static_cast<int>(image[1]),
            .mean = trace_.mean,
            .std = trace_.std};
  }
  std::vector<float> read(const TensorView& view) {
    return download_array(backend_, view.as<float>(), static_cast<std::size_t>(view.shape.numel()));
  }

  Backend& backend_;
  const ModelTrace& trace_;
  TensorFile initial_;
  ImageSet images_;
  std::unique_ptr<Communicator> alone_ = make_single_process();
  DeviceMemory memory_;
  Model model_;
  ResidentSource source_;
  ResidentSource evaluated_;
  TrainingStep steps_;
  Evaluator evaluator_;
  std::vector<float> first_logits_;
};

class ModelComparison {
 public:
  ModelComparison(const std::string& backend, const ModelTrace& trace, Comparison& comparison)
      : backend_(backend), trace_(trace), comparison_(comparison) {}

  void run(ModelReplay& replay) {
    compare_loss(0, replay.run_first_step());
    const auto logits = static_cast<std::int64_t>(trace_.batch) * trace_.classes;
    check("step0.logits", norm_error(replay.first_logits(), stored("step0.logits", logits)), kLogits);
    const Values gradients = replay.gradients(), after = replay.state();
    for (const TracedTensor& tensor : trace_.tensors) {
      if (tensor.trained) compare_gradient(tensor, gradients.at(tensor.name));
      compare_strided("after1." + tensor.name, tensor, after.at(tensor.name), tensor.after1_norm, kAfterStep);
    }
    check("eval.logits", norm_error(replay.evaluate(), stored("eval.logits", logits)), kLogits);
    for (int step = 1; step < trace_.steps; ++step) compare_loss(step, replay.run_step(step));
  }

 private:
  void check(const std::string& what, double error, double tolerance) {
    comparison_.check(fmt::format("{} {}", backend_, what), error, tolerance);
  }
  std::span<const float> stored(const std::string& name, std::int64_t count) const {
    return values_at(trace_.file, name, count);
  }
  void compare_loss(int step, double loss) {
    const double expected = scalar_at(trace_.file, fmt::format("step{}.loss", step));
    const std::size_t last = std::size(kLosses) - 1;
    check(fmt::format("step{}.loss", step), std::abs(loss - expected) / std::max(expected, 1.0),
          kLosses[std::min(static_cast<std::size_t>(step), last)]);
  }
  void compare_gradient(const TracedTensor& tensor, const std::vector<float>& gradient) {
    if (tensor.zero_gradient_scale < 0)
      return compare_strided("step0.grad." + tensor.name, tensor, gradient, tensor.grad_norm, kGradient);
    check("step0.grad." + tensor.name + ", which is zero", norm_of(gradient) / tensor.zero_gradient_scale,
          kZeroGradient);
  }
  void compare_strided(const std::string& name, const TracedTensor& tensor, const std::vector<float>& values,
                       double norm, double tolerance) {
    const std::int64_t count = (tensor.numel() + tensor.stride - 1) / tensor.stride;
    check(name, norm_error(strided(values, tensor.stride), stored(name, count)), tolerance);
    check(name + ", norm", relative_error(norm_of(values), norm), tolerance);
  }

  std::string backend_;
  const ModelTrace& trace_;
  Comparison& comparison_;
};

/// Names and shapes of all tensors, and which are trained.
void compare_structure(const ModelTrace& trace, Comparison& comparison) {
  const Network network = float_network(trace.network);
  std::set<std::string> expected, actual;
  const auto text = [](const std::string& name, const std::vector<std::int64_t>& shape, bool trained) {
    std::string all = name + (trained ? " trained" : "");
    for (const std::int64_t size : shape) all += fmt::format(" {}", size);
    return all;
  };
  for (const TracedTensor& tensor : trace.tensors) expected.insert(text(tensor.name, tensor.shape, tensor.trained));
  for (const ParameterSpec& spec : network.parameters()) actual.insert(text(spec.name, file_shape(spec.shape), true));
  for (const StateSpec& state : network.states()) actual.insert(text(state.name, {state.numel}, false));
  std::vector<std::string> differing;
  std::set_symmetric_difference(expected.begin(), expected.end(), actual.begin(), actual.end(),
                                std::back_inserter(differing));
  comparison.check("tensors that differ in name or shape", static_cast<double>(differing.size()), 0);
  for (const std::string& tensor : differing) comparison.note("differs: " + tensor);
}

/// normal, uniform or constant, and its deviation, bound or constant.
std::pair<std::string, double> start_of(const ParameterSpec& spec) {
  const auto fan_out = static_cast<double>(spec.shape[0] * spec.shape[1] * spec.shape[2]);
  switch (spec.initializer) {
    case Initializer::he_fan_out: return {"normal", std::sqrt(2 / fan_out)};
    case Initializer::normal: return {"normal", spec.deviation};
    case Initializer::torch_default: return {"uniform", 1 / std::sqrt(static_cast<double>(spec.fan_in))};
    case Initializer::constant: break;
  }
  return {"constant", spec.constant};
}

/// How parameters start. The published BSQ code, which `resnet` follows, has projections start as PyTorch's layers do.
void compare_initializers(const ModelTrace& trace, Comparison& comparison) {
  std::map<std::string, std::pair<std::string, double>> starts;
  const Network network = float_network(trace.network);
  for (const ParameterSpec& spec : network.parameters()) starts[spec.name] = start_of(spec);
  const bool is_bsq_resnet = metadata(trace.file, "arch") == "resnet";
  int differing = 0;
  for (const TracedTensor& tensor : trace.tensors) {
    const auto found = starts.find(tensor.name);
    if (found == starts.end() || (is_bsq_resnet && tensor.name.find(".downsample.0.") != std::string::npos)) continue;
    const auto& [kind, value] = found->second;
    if (kind == tensor.init && std::abs(value - tensor.init_value) <= 1e-6 * std::abs(tensor.init_value)) continue;
    comparison.note(
        fmt::format("{} starts {} {}, expected {} {}", tensor.name, kind, value, tensor.init, tensor.init_value));
    ++differing;
  }
  comparison.check("parameters that start otherwise", differing, 0);
}

std::int64_t parameters_of(const NetworkSpec& spec) {
  std::int64_t count = 0;
  const Network network = float_network(spec);
  for (const ParameterSpec& parameter : network.parameters()) count += parameter.shape.numel();
  return count;
}

void compare_counts(const ModelTrace& trace, Comparison& comparison) {
  const auto check = [&](const std::string& name, const NetworkSpec& spec, std::int64_t expected) {
    comparison.check("parameters of " + name, static_cast<double>(std::abs(parameters_of(spec) - expected)), 0);
  };
  check("this network", trace.network, static_cast<std::int64_t>(number_at(trace.file, "parameters")));
  for (const nlohmann::json& entry : json_at(trace.file, "full_parameters")) {
    const bool is_torchvision = trace.network.image[0] != 32;
    const std::int64_t size = is_torchvision ? 224 : 32;
    const NetworkSpec spec =
        published_network(entry.at("arch"), entry.at("options"), {size, size, 3}, entry.at("num_classes"));
    check(fmt::format("{} with {} classes", spec.name, entry.at("num_classes").get<int>()), spec,
          entry.at("parameters"));
  }
}

double flops_of(const ModelTrace& trace) {
  const Network network = float_network(trace.network);
  const std::vector<TensorSpec> tensors = network.tensors(trace.batch, DType::f32);
  double flops = 0;
  for (const Node& node : network.nodes()) flops += node.layer->flops(network.inputs_of(node, tensors));
  return flops * (3 * trace.steps + 1);
}

}  // namespace

void compare_model_trace(const TensorFile& file, Comparison& comparison) {
  const ModelTrace trace = read_model_trace(file);
  compare_structure(trace, comparison);
  compare_counts(trace, comparison);
  compare_initializers(trace, comparison);
  if (!comparison.passed()) return;
  on_every_backend(comparison, [&](Backend& backend) {
    if (const double flops = flops_of(trace); backend.name() == "reference" && flops > kReferenceFlops)
      return comparison.note(fmt::format("not run: the reference backend, {:.0f} GFLOP", flops * 1e-9));
    ModelReplay replay(backend, trace);
    ModelComparison(backend.name(), trace, comparison).run(replay);
  });
}

}  // namespace bsq::golden
