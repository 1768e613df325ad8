// Whole networks: gradients against central differences, every backend against the oracle, batches smaller than
// planned, and memory that is neither overrun nor read before it is written.
#include "engine/network/executor.h"

#include "engine/network/layers/average_pool.h"
#include "engine/network/layers/conv2d.h"
#include "engine/network/layers/linear.h"
#include "engine/network/layers/norm_act.h"
#include "tests/support/guarding_backend.h"
#include "tests/support/network_run.h"

namespace bsq::test {
namespace {

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
      small.forward();
      CHECK(same_bits(large.logits(batch), small.logits()));  // backward may write over them
      large.backward(batch);
      small.backward();
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
