// Whole networks: gradients against central differences, every backend against the oracle, batches smaller than
// planned, and memory that is neither overrun nor read before it is written.
#include "engine/network/executor.h"

#include "engine/network/layers/average_pool.h"
#include "engine/network/layers/conv2d.h"
#include "engine/network/layers/linear.h"
#include "engine/network/layers/norm_act.h"
#include "tests/support/engine.h"
#include "tests/support/gradients.h"
#include "tests/support/guarding_backend.h"

#include <array>

namespace bsq::test {
namespace {

constexpr float kClip = 5;  // PACT's ceilings here

/// Of the blocks' activation; 0: none.
float ceiling_of(const Network& network) {
  for (const Node& node : network.nodes()) {
    const auto* norm = dynamic_cast<const NormAct*>(node.layer.get());
    if (norm == nullptr) continue;
    if (norm->options().activation == Activation::relu6) return 6;
    if (norm->options().activation == Activation::pact) return kClip;
  }
  return 0;
}

std::vector<int> smaller_than(int batch) {
  std::vector<int> batches;
  while (--batch > 0) batches.push_back(batch);
  return batches;
}

/// A network with everything it needs to run; loss = sum of logits * d_logits.
struct NetworkRun {
  NetworkRun(Backend& backend_to_use, Network network, int batch_size, ExecutionMode mode = ExecutionMode::training)
      : backend(backend_to_use),
        batch(batch_size),
        test_model(backend, std::move(network)),
        model(test_model.model),
        executor(test_model.memory, model.network(), model.parameters(), batch, DType::f32, mode,
                 smaller_than(batch_size)) {
    keep_away_from_kinks();
    const Shape image = model.network().image();
    images = RandomTensors("images").normal(batch * image.numel(), 0, 1);
    d_logits = RandomTensors("d_logits").normal(executor.logits(batch).shape.numel(), 0, 1);
  }

  /// Every channel stays on its side of the kinks whatever the shortcuts add: gamma is small, and beta puts two of four
  /// between the kinks, one below, and one above where there is a ceiling.
  void keep_away_from_kinks() {
    const auto& parameters = model.network().parameters();
    const float ceiling = ceiling_of(model.network());
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const std::string& name = parameters[i].name;
      if (name.ends_with(".alpha")) upload_array<float>(backend, model.parameters().values[i].as<float>(), {kClip});
      if (name.find("bn") == std::string::npos && name.find("downsample.1") == std::string::npos) continue;
      std::vector<float> values;
      for (std::int64_t channel = 0; channel < parameters[i].shape.numel(); ++channel) {
        const auto c = static_cast<std::size_t>(channel);
        const std::array<float, 4> betas = {1.2F, 1.4F, -6.0F, ceiling > 0 ? ceiling + 1.5F : 1.3F};
        values.push_back(name.ends_with(".bias") ? betas[c % 4] : 0.2F + 0.01F * static_cast<float>(c % 5));
      }
      if (name.find("downsample.1.bias") != std::string::npos) values.assign(values.size(), 1.0F);
      upload_array(backend, model.parameters().values[i].as<float>(), values);
    }
  }

  void forward(int used_batch = 0) {
    const TensorView target = executor.images(used_batch == 0 ? batch : used_batch);
    backend.upload(target.data, images.data(), target.size_bytes());
    executor.forward(used_batch == 0 ? batch : used_batch);
  }
  void backward(int used_batch = 0) {
    const TensorView target = executor.d_logits(used_batch == 0 ? batch : used_batch);
    backend.upload(target.data, d_logits.data(), target.size_bytes());
    executor.backward(used_batch == 0 ? batch : used_batch);
  }
  std::vector<float> logits(int used_batch = 0) {
    return download_view(backend, executor.logits(used_batch == 0 ? batch : used_batch));
  }
  std::vector<float> gradient(std::size_t parameter) {
    const auto count = static_cast<std::size_t>(model.network().parameters()[parameter].shape.numel());
    return download_array(backend, model.parameters().gradients[parameter], count);
  }
  double loss() {
    forward();
    return dot(logits(), d_logits);
  }
  /// Adds step * direction to a parameter, calls loss(), puts it back.
  double loss_at(std::size_t parameter, const std::vector<float>& values, const std::vector<float>& direction,
                 float step) {
    std::vector<float> moved = values;
    for (std::size_t i = 0; i < moved.size(); ++i) moved[i] += step * direction[i];
    upload_array(backend, model.parameters().values[parameter].as<float>(), moved);
    const double result = loss();
    upload_array(backend, model.parameters().values[parameter].as<float>(), values);
    return result;
  }

  Backend& backend;
  int batch;
  TestModel test_model;
  Model& model;
  Executor executor;
  std::vector<float> images, d_logits;
};

// A difference of fourth order: step^4 of truncation, so that the step may be large, for float32 rounding of what a
// dozen layers write moves the loss by some 1e-6.
constexpr float kStep = 2e-2F;
constexpr double kRelative = 1e-3;
constexpr double kLossRounding = 1e-6;

/// Every parameter along one random direction through all of its coordinates, and along `coordinates` of its axes.
void check_gradients(NetworkRun& run, int coordinates) {
  run.forward();
  run.backward();
  RandomTensors random("directions");
  const auto& parameters = run.model.network().parameters();
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    const std::vector<float> gradient = run.gradient(p);
    const std::vector<float> values =
        download_array(run.backend, run.model.parameters().values[p].as<float>(), gradient.size());
    std::vector<double> actual;
    std::vector<double> expected;
    for (int trial = 0; trial <= coordinates; ++trial) {
      std::vector<float> direction(gradient.size());
      const auto axis = static_cast<std::size_t>(random.integers(1, static_cast<std::uint32_t>(gradient.size()))[0]);
      direction[axis] = 1;
      if (trial == 0) direction = random.normal(static_cast<std::int64_t>(gradient.size()), 0, 1);
      const double length = std::sqrt(dot(direction, direction));
      const auto slope = [&](float reach) {
        return (run.loss_at(p, values, direction, reach) - run.loss_at(p, values, direction, -reach)) /
               (2.0 * double{reach});
      };
      actual.push_back(dot(direction, gradient) / length);
      expected.push_back(fourth_order(slope, kStep / static_cast<float>(length)) / length);
    }
    const double size = root_mean_square(to_doubles(gradient));
    check_slopes(parameters[p].name, actual, expected, {kRelative, kRelative * size + kLossRounding / double{kStep}});
  }
}

Network resnet(Activation activation) {
  return make_resnet(tiny_resnet(activation));
}

ParameterId add_filter(Network& network, const std::string& name, int out, int kernel, int in) {
  return network.add_parameter({.name = name,
                                .shape = {out, kernel, kernel, in},
                                .group = ParameterGroup::quantized,
                                .initializer = Initializer::he_fan_out});
}

TensorId add_norm(Network& network, const std::string& name, const std::vector<TensorId>& inputs, int channels,
                  Activation activation = Activation::relu) {
  NormActParameters ids;
  ids.gamma = network.add_parameter({.name = name + ".weight", .shape = {channels}, .constant = 1});
  ids.beta = network.add_parameter({.name = name + ".bias", .shape = {channels}});
  ids.running_mean = network.add_state({name + ".running_mean", channels, 0});
  ids.running_var = network.add_state({name + ".running_var", channels, 1});
  return network.add(
      name, std::make_unique<NormAct>(NormActOptions{.channels = channels, .activation = activation}, ids), inputs);
}

TensorId add_conv(Network& network, const std::string& name, TensorId input, int in, int groups = 1) {
  return network.add(name,
                     std::make_unique<Conv2d>(Conv2dOptions{.in_channels = in, .out_channels = 4, .groups = groups},
                                              add_filter(network, name + ".weight", 4, 3, in / groups)),
                     {input});
}

/// Average pooling and a classifier of three classes.
void add_head(Network& network, TensorId input) {
  const TensorId pooled = network.add("pool", std::make_unique<AveragePool>(), {input});
  const ParameterId weight = network.add_parameter(
      {.name = "fc.weight", .shape = {3, 4}, .initializer = Initializer::torch_default, .fan_in = 4});
  const ParameterId bias = network.add_parameter({.name = "fc.bias", .shape = {3}});
  network.add("fc", std::make_unique<Linear>(4, 3, weight, bias), {pooled});
}

/// One tensor read by three nodes in every order of the ways a gradient can arrive: convolution and shortcut.
Network fan_out_network(bool shortcut_first) {
  Network network({6, 6, 3});
  const TensorId stem = add_conv(network, "stem", 0, 3);
  const TensorId shared = add_norm(network, "stem.bn", {stem}, 4);
  const TensorId first = add_conv(network, "first", shared, 4);
  TensorId sum = add_norm(network, "first.bn", {first, shared}, 4);
  const TensorId second = add_conv(network, "second", shortcut_first ? sum : shared, 4);
  sum = add_norm(network, "second.bn", {second, shortcut_first ? shared : sum}, 4);
  add_head(network, sum);
  return network;
}

/// Two blocks whose norm comes before their convolution: what a norm reads is the shortcut of the next one as well.
/// Such a shortcut may be anywhere: where it is added nothing may bend.
Network pre_activation_network() {
  Network network({6, 6, 3});
  const TensorId stem = add_conv(network, "stem", 0, 3);
  TensorId normed = add_norm(network, "first.bn", {stem}, 4);
  const TensorId first = add_conv(network, "first", normed, 4);
  normed = add_norm(network, "second.bn", {first, stem}, 4, Activation::none);
  const TensorId second = add_conv(network, "second", normed, 4);
  add_head(network, add_norm(network, "last.bn", {second, first}, 4, Activation::none));
  return network;
}

/// Two norms read what a third one takes for its shortcut, and one of them reads it twice.
Network dense_network() {
  Network network({6, 6, 3});
  const TensorId shared = add_norm(network, "stem.bn", {add_conv(network, "stem", 0, 3)}, 4);
  const TensorId first = add_conv(network, "first", add_norm(network, "first.bn", {shared}, 4), 4);
  const TensorId second = add_conv(network, "second", add_norm(network, "second.bn", {first, shared}, 4), 4);
  const TensorId third = add_norm(network, "third.bn", {shared, shared}, 4);
  add_head(network, add_norm(network, "last.bn", {second, third}, 4));
  return network;
}

/// Two groups, then a depthwise convolution whose input is a shortcut as well.
Network grouped_network() {
  Network network({6, 6, 3});
  const TensorId stem = add_norm(network, "stem.bn", {add_conv(network, "stem", 0, 3)}, 4);
  const TensorId middle = add_norm(network, "groups.bn", {add_conv(network, "groups", stem, 4, 2)}, 4);
  add_head(network, add_norm(network, "last.bn", {add_conv(network, "depthwise", middle, 4, 4), middle}, 4));
  return network;
}

}  // namespace

TEST_CASE("the gradient of every parameter of a ResNet is that of central differences") {
  const Activation activation = GENERATE(Activation::relu, Activation::relu6, Activation::pact);
  INFO(name_of(activation));
  const auto oracle = make_reference_backend();
  NetworkRun run(*oracle, resnet(activation), 2);
  check_gradients(run, 4);
}

TEST_CASE("where a tensor feeds several nodes its gradients add up, whoever comes first") {
  const bool shortcut_first = GENERATE(false, true);
  const auto oracle = make_reference_backend();
  NetworkRun run(*oracle, fan_out_network(shortcut_first), 3);
  check_gradients(run, 12);
}

TEST_CASE("where a norm's input has another reader its gradients add up") {
  const bool dense = GENERATE(false, true);
  const auto oracle = make_reference_backend();
  NetworkRun run(*oracle, dense ? dense_network() : pre_activation_network(), 3);
  check_gradients(run, 12);
}

TEST_CASE("gradients of filters in groups are those of central differences") {
  const auto oracle = make_reference_backend();
  NetworkRun run(*oracle, grouped_network(), 3);
  check_gradients(run, 12);
}

TEST_CASE("every backend gives the oracle's logits and gradients for a whole network") {
  using Make = Network (*)();
  const auto [name, make] = GENERATE(table<std::string, Make>({
      {"relu6", [] { return resnet(Activation::relu6); }},
      {"pact", [] { return resnet(Activation::pact); }},
      {"norms before convolutions", pre_activation_network},
      {"norms that read one tensor", dense_network},
      {"groups", grouped_network},
  }));
  const auto oracle = make_reference_backend();
  NetworkRun expected(*oracle, make(), 4);
  expected.forward();
  expected.backward();
  for (const auto& backend : other_backends()) {
    INFO(backend->name() << ", " << name);
    NetworkRun run(*backend, make(), 4);
    run.forward();
    run.backward();
    // A dozen layers, each of which may be off by the tolerance of one operation.
    const double relative = 12 * relative_tolerance(DType::f32);
    const Comparison logits = compare_scaled(to_doubles(run.logits()), to_doubles(expected.logits()), relative);
    INFO(logits.report());
    CHECK(logits.ok());
    double largest = 0;
    for (std::size_t p = 0; p < run.model.network().parameters().size(); ++p)
      largest = std::max(largest, root_mean_square(to_doubles(expected.gradient(p))));
    for (std::size_t p = 0; p < run.model.network().parameters().size(); ++p) {
      // A convolution before a batch norm does not feel its scale: small gradients are differences of large terms.
      const Comparison gradient =
          compare_scaled(to_doubles(run.gradient(p)), to_doubles(expected.gradient(p)), relative, 0.1 * largest);
      INFO(run.model.network().parameters()[p].name << ": " << gradient.report());
      CHECK(gradient.ok());
    }
  }
}

TEST_CASE("a smaller batch than planned is computed as by an executor planned for it") {
  for_each_device([](Backend& backend) {
    for (const int batch : {1, 3}) {
      INFO("batch " << batch);
      NetworkRun large(backend, resnet(Activation::relu6), 4);
      NetworkRun small(backend, resnet(Activation::relu6), batch);
      large.forward();  // leaves a larger batch behind in memory
      large.backward();
      large.forward(batch);
      large.backward(batch);
      small.forward();
      small.backward();
      CHECK(same_bits(large.logits(batch), small.logits()));
      for (std::size_t p = 0; p < small.model.network().parameters().size(); ++p) {
        INFO(small.model.network().parameters()[p].name);
        CHECK(same_bits(large.gradient(p), small.gradient(p)));
      }
    }
  });
}

TEST_CASE("in inference every image has the logits it has alone") {
  for_each_device([](Backend& backend) {
    NetworkRun all(backend, resnet(Activation::relu6), 4, ExecutionMode::inference);
    all.forward();
    const std::vector<float> together = all.logits();
    for (const int batch : {1, 2, 3}) {
      all.forward(batch);
      const std::vector<float> fewer = all.logits(batch);
      const std::vector<float> expected(together.begin(), together.begin() + static_cast<std::ptrdiff_t>(fewer.size()));
      const Comparison comparison =
          compare_scaled(to_doubles(fewer), to_doubles(expected), 12 * relative_tolerance(DType::f32));
      INFO("batch " << batch << ": " << comparison.report());
      CHECK(comparison.ok());
    }
  });
}

TEST_CASE("inference uses the running statistics and leaves them alone, training moves them") {
  const auto oracle = make_reference_backend();
  NetworkRun inference(*oracle, resnet(Activation::relu6), 3, ExecutionMode::inference);
  const std::vector<HostTensor> before = inference.model.save().tensors;
  inference.forward();
  CHECK(different_tensors(before, inference.model.save().tensors).empty());

  NetworkRun training(*oracle, resnet(Activation::relu6), 3);
  training.forward();
  CHECK_FALSE(same_bits(training.logits(), inference.logits()));
  CHECK(different_tensors(before, training.model.save().tensors).size() == 2 * 2 * 9);  // 9 norms, in both lists
}

TEST_CASE("no operation of a network writes outside the buffers planned for it") {
  for_each_device([](Backend& backend) {
    for (const bool smaller : {false, true}) {
      GuardingBackend guarding(backend);
      NetworkRun run(guarding, resnet(Activation::pact), 3);
      for (const int batch : smaller ? std::vector{3, 2, 1} : std::vector{3}) {
        run.forward(batch);
        run.backward(batch);
      }
      run.model.step({}, static_cast<const StepInputs*>(run.test_model.memory.allocate("", sizeof(StepInputs)).data()),
                     nullptr);
      NetworkRun inference(guarding, resnet(Activation::pact), 3, ExecutionMode::inference);
      for (const int batch : smaller ? std::vector{3, 2, 1} : std::vector{3}) inference.forward(batch);
      CHECK(guarding.guards_intact());
    }
  });
}

TEST_CASE("a step reads nothing that it has not written") {
  for_each_device([](Backend& backend) {
    NetworkRun clean(backend, resnet(Activation::relu6), 3);
    NetworkRun poisoned(backend, resnet(Activation::relu6), 3);
    const std::vector<std::byte> nan(poisoned.executor.plan().arena_bytes, std::byte{0xFF});
    const std::size_t images_offset = poisoned.executor.plan().buffers.front().offset;
    backend.upload(poisoned.executor.images(1).as<std::byte>() - images_offset, nan.data(), nan.size());
    for (NetworkRun* run : {&clean, &poisoned}) {
      run->forward();
      run->backward();
    }
    CHECK(same_bits(clean.logits(), poisoned.logits()));
    for (std::size_t p = 0; p < clean.model.network().parameters().size(); ++p) {
      INFO(clean.model.network().parameters()[p].name);
      CHECK(same_bits(clean.gradient(p), poisoned.gradient(p)));
    }
  });
}

TEST_CASE("inference needs less memory than training, and batches beyond the plan are refused") {
  const auto oracle = make_reference_backend();
  NetworkRun training(*oracle, resnet(Activation::relu6), 2);
  NetworkRun inference(*oracle, resnet(Activation::relu6), 2, ExecutionMode::inference);
  CHECK(inference.executor.plan().arena_bytes < training.executor.plan().arena_bytes / 2);
  CHECK_THROWS_AS(training.executor.forward(3), Error);
  CHECK_THROWS_AS(training.executor.forward(0), Error);
  CHECK_THROWS_AS(inference.executor.backward(2), Error);
}

}  // namespace bsq::test
