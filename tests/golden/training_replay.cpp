#include "tests/golden/training_replay.h"

#include "engine/model/tensor_names.h"
#include "tests/support/read_tensor.h"
#include "tests/support/weights.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

namespace bsq::golden {
namespace {

constexpr int kImageSize = 32;
constexpr double kReferenceFlops = 4e10;  // at about 3 10^9 a second
constexpr double kBackwardPasses = 2;     // of the cost of a forward pass: towards the data and towards the weights

InputOptions cifar_input() {
  return {.height = kImageSize,
          .width = kImageSize,
          .mean = {0.4914F, 0.4822F, 0.4465F},
          .std = {0.2023F, 0.1994F, 0.2010F}};
}

ImageSet images_of(const TensorFile& trace) {
  const auto pixels = trace.at("images_u8").values<std::uint8_t>();
  const auto labels = trace.at("labels").values<std::uint8_t>();
  if (labels.empty() || pixels.size() != labels.size() * kImageSize * kImageSize * 3)
    fail(ErrorKind::checkpoint, "{}: {} labels for images_u8 of {} bytes", trace.path.string(), labels.size(),
         pixels.size());
  if (const int largest = *std::max_element(labels.begin(), labels.end()); largest >= ResNetOptions{}.num_classes)
    fail(ErrorKind::checkpoint, "{}: a label is {}", trace.path.string(), largest);
  return {.height = kImageSize,
          .width = kImageSize,
          .class_names = {},
          .pixels = {pixels.begin(), pixels.end()},
          .labels = {labels.begin(), labels.end()}};
}

std::vector<std::int32_t> stored_order(std::int64_t count) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

StoredTensors by_name(TensorFile file) {
  StoredTensors tensors;
  for (HostTensor& tensor : file.tensors) tensors.emplace(tensor.name, std::move(tensor));
  return tensors;
}

/// From a momentum that was zero before the step: v = g + weight_decay x.
std::map<std::string, std::vector<float>> gradients_of(const TensorFile& momentum, const StoredTensors& before,
                                                       float weight_decay) {
  constexpr std::string_view suffix = ".momentum_buffer";
  std::map<std::string, std::vector<float>> gradients;
  for (const HostTensor& tensor : momentum.tensors) {
    const std::string name = tensor.name.substr(0, tensor.name.size() - suffix.size());
    const auto velocity = tensor.values<float>();
    const auto parameter = before.at(name).values<float>();
    std::vector<float>& gradient = gradients[name];
    for (std::size_t i = 0; i < velocity.size(); ++i)
      gradient.push_back(static_cast<float>(double{velocity[i]} - double{weight_decay} * double{parameter[i]}));
  }
  return gradients;
}

}  // namespace

std::string last_block(const TrainingSetup& setup) {
  return fmt::format("layer3.{}.", (setup.network.depth - 2) / 6 - 1);
}

TrainingSetup read_setup(const TensorFile& trace) {
  TrainingSetup setup;
  setup.initial = initial_float_model(trace);
  normalize_names(setup.initial);
  setup.network = recognize_resnet(test::finder_in(setup.initial), setup.initial.path.string()).value();
  setup.network.activation = activation_named(metadata(trace, "activation"));
  setup.network.act_bits = integer_at(trace, "act_bits", 0, kMaxBits);
  setup.rule = {.momentum = static_cast<float>(number_at(trace, "momentum")),
                .weight_decay = static_cast<float>(number_at(trace, "weight_decay"))};
  setup.learning_rate = static_cast<float>(number_at(trace, "lr"));
  const auto images = static_cast<int>(trace.at("labels").numel());
  setup.batch = integer_at(trace, "batch", 1, images);
  if (metadata(trace, "kind") == "finetune_trace") return setup;
  setup.alpha = static_cast<float>(number_at(trace, "alpha"));
  setup.steps = integer_at(trace, "steps", 1, images / setup.batch);
  return setup;
}

bool too_slow_for_reference(const TrainingSetup& setup, Comparison& comparison) {
  const Network network = make_resnet(setup.network);
  const std::vector<TensorSpec> tensors = network.tensors(setup.batch, DType::f32);
  double forward = 0;
  for (const Node& node : network.nodes()) forward += node.layer->flops(network.inputs_of(node, tensors));
  const double flops = setup.steps * (1 + kBackwardPasses) * forward;
  if (flops <= kReferenceFlops) return false;
  comparison.note(fmt::format("not run: the reference backend, {:.0f} GFLOP", flops * 1e-9));
  return true;
}

TrainingReplay::TrainingReplay(Backend& backend, const TensorFile& trace, const TrainingSetup& setup,
                               const std::function<Weights(const ArenaLayout&)>& make_weights)
    : backend_(backend),
      setup_(setup),
      images_(images_of(trace)),
      memory_(backend),
      model_(memory_, make_resnet(setup.network), DType::f32, /*seed=*/0, store_of(make_weights)),
      source_(memory_, images_, "trace") {
  model_.load_plain(setup.initial);
  source_.begin_epoch(stored_order(images_.size()));
}

FirstStep TrainingReplay::run_first_step() {
  Executor executor(memory_, model_.network(), model_.parameters(), setup_.batch, DType::f32, ExecutionMode::training);
  const Buffer labels = memory_.allocate_array<std::int32_t>("labels", static_cast<std::size_t>(setup_.batch));
  const Buffer inputs = memory_.allocate_array<StepInputs>("step inputs", 1);
  const Buffer metrics = memory_.allocate_array<StepMetrics>("metrics", 1);
  upload_array(backend_, inputs.as<StepInputs>(),
               {StepInputs{.learning_rate = setup_.learning_rate, .method = {setup_.alpha}}});

  FirstStep result;
  result.before = by_name(model_.save());
  backend_.augment({plain_input(cifar_input()), source_.samples(), inputs.as<StepInputs>(), setup_.batch,
                    executor.images(setup_.batch), labels.as<std::int32_t>()});
  executor.forward(setup_.batch);
  const TensorView logits = executor.logits(setup_.batch);
  result.logits = download_array(backend_, logits.as<float>(), static_cast<std::size_t>(logits.shape.numel()));
  backend_.softmax_cross_entropy({setup_.batch, setup_.network.num_classes, logits.as<float>(),
                                  labels.as<std::int32_t>(), executor.d_logits(setup_.batch).as<float>(),
                                  inputs.as<StepInputs>(), metrics.as<StepMetrics>()});
  result.kink_distances = kink_distances(executor);
  executor.backward(setup_.batch);
  read_weight_gradients(result);
  model_.step(setup_.rule, inputs.as<StepInputs>(), metrics.as<StepMetrics>());
  result.metrics = download_array(backend_, metrics.as<StepMetrics>(), 1)[0];
  result.after = by_name(model_.save());
  result.gradients = gradients_of(model_.save_momentum(), result.before, setup_.rule.weight_decay);
  return result;
}

std::vector<double> TrainingReplay::kink_distances(const Executor& executor) const {
  const Network& network = model_.network();
  const std::string name = last_block(setup_) + "bn2";
  const auto node = std::find_if(network.nodes().begin(), network.nodes().end(),
                                 [&](const Node& candidate) { return candidate.name == name; });
  require(node != network.nodes().end(), "no node {}", name);
  const auto read = [&](TensorId id) { return test::read_values(backend_, executor.tensor(id, setup_.batch)); };
  const std::vector<float> x = read(node->inputs[0]), shortcut = read(node->inputs[1]);
  const TensorFile parameters = model_.save();
  const auto gamma = parameters.at(name + ".weight").values<float>();
  const auto beta = parameters.at(name + ".bias").values<float>();
  const double ceiling = setup_.network.activation == Activation::pact
                             ? parameters.at(last_block(setup_) + "relu2.alpha").values<float>()[0]
                             : 6.0;

  const std::size_t channels = gamma.size(), rows = x.size() / channels;
  std::vector<double> distances(channels, HUGE_VAL);
  for (std::size_t c = 0; c < channels; ++c) {
    double sum = 0, squares = 0;
    for (std::size_t i = c; i < x.size(); i += channels) sum += double{x[i]};
    const double mean = sum / static_cast<double>(rows);
    for (std::size_t i = c; i < x.size(); i += channels) squares += (double{x[i]} - mean) * (double{x[i]} - mean);
    const double deviation = std::sqrt(squares / static_cast<double>(rows) + double{NormActRule{}.epsilon});
    for (std::size_t i = c; i < x.size(); i += channels) {
      const double z = double{gamma[c]} * (double{x[i]} - mean) / deviation + double{beta[c]} + double{shortcut[i]};
      distances[c] = std::min({distances[c], std::abs(z), std::abs(z - ceiling)});
    }
  }
  return distances;
}

void TrainingReplay::read_weight_gradients(FirstStep& result) const {
  const auto& specs = model_.network().parameters();
  for (std::size_t id = 0; id < specs.size(); ++id) {
    const ParameterSpec& spec = specs[id];
    if (spec.group != ParameterGroup::quantized) continue;
    const auto count = static_cast<std::size_t>(spec.shape.numel());
    const TensorView& effective = model_.parameters().values[id];
    std::vector<float> gradient = download_array(backend_, model_.parameters().gradients[id], count);
    for (float& value : gradient)
      value /= test::read_unit(backend_, effective.unit);  // of the weight, not of its integer
    const std::vector<float> weights = test::read_values(backend_, effective);
    double magnitude = 0;  // of s sum |q dCE/dW|
    for (std::size_t i = 0; i < count; ++i) magnitude += std::abs(double{weights[i]} * double{gradient[i]});
    const double scale = result.before.at(scale_name(spec.name)).values<float>()[0];
    result.scale_gradient_magnitudes[scale_name(spec.name)] = scale > 0 ? magnitude / scale : 0;
    result.weight_grads[spec.name] = to_file_layout(gradient, spec.shape);
  }
}

StepMetrics TrainingReplay::run_step(int step) {
  if (further_steps_ == nullptr)
    further_steps_ = std::make_unique<TrainingStep>(memory_, model_, source_,
                                                    TrainingOptions{.augment = plain_input(cifar_input()),
                                                                    .rule = setup_.rule,
                                                                    .batch_size = setup_.batch,
                                                                    .metrics_slots = setup_.steps},
                                                    *alone_);
  further_steps_->run(setup_.batch, {.learning_rate = setup_.learning_rate,
                                     .first_sample = std::int64_t{step} * setup_.batch,
                                     .metrics_slot = step,
                                     .method = {setup_.alpha}});
  return further_steps_->metrics(step, 1)[0];
}

std::vector<float> TrainingReplay::evaluate(int count) {
  ImageSet images = images_;
  images.labels.resize(static_cast<std::size_t>(count));
  images.pixels.resize(static_cast<std::size_t>(count) * images.image_bytes());
  ResidentSource source(memory_, images, "evaluation");
  Evaluator evaluator(memory_, model_, source, cifar_input(), count, *alone_);
  evaluator.run();
  const TensorView logits = evaluator.executor().logits(count);
  return download_array(backend_, logits.as<float>(), static_cast<std::size_t>(logits.shape.numel()));
}

}  // namespace bsq::golden
