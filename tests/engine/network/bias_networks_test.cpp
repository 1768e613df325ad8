// Networks that add without a norm: streams of PreResNet, biases in place of the norm, and biases before one.
#include "engine/network/layers/conv2d.h"
#include "tests/support/bias_networks.h"
#include "tests/support/guarding_backend.h"
#include "tests/support/network_run.h"
#include "tests/support/read_tensor.h"

#include <cmath>

namespace bsq::test {
namespace {

constexpr int kBiasBatch = 3;
constexpr int kBiasImage = 6;  // of images

using Make = Network (*)(const Quantizer&, int size);

/// Filters so small, and the biases behind them so large, that every channel stays on its side of the kinks.
void settle(NetworkRun& run) {
  const auto& parameters = run.model.network().parameters();
  for (std::size_t p = 0; p < parameters.size(); ++p) {
    if (parameters[p].name.find("conv") == std::string::npos) continue;
    auto* place = run.model.parameters().values[p].as<float>();
    std::vector<float> values =
        download_array(run.backend, place, static_cast<std::size_t>(parameters[p].shape.numel()));
    constexpr std::array<float, 4> biases = {2.0F, 2.5F, -3.0F, 9.0F};
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = parameters[p].role == Role::bias ? biases[i % 4] : 0.1F * values[i];
    upload_array(run.backend, place, values);
  }
}

const std::vector<std::pair<std::string, Make>> kNetworks = {
    {"preresnet", preresnet}, {"vgg", vgg}, {"vgg_bn", vgg_bn}};

double read_state(NetworkRun& run, std::size_t state, std::size_t element) {
  return download_array(run.backend, run.model.parameters().states[state], element + 1)[element];
}

}  // namespace

TEST_CASE("a filter is normed if nothing but norms read its output") {
  const auto normed_in = [](const Network& network) {
    std::vector<std::string> names;
    for (const ParameterSpec& spec : network.parameters())
      if (spec.is_normed) names.push_back(spec.name);
    return names;
  };
  CHECK(normed_in(preresnet({}, kBiasImage)) == std::vector<std::string>{"a.conv1.weight"});
  CHECK(normed_in(vgg({}, kBiasImage)).empty());
  CHECK(normed_in(vgg_bn({}, kBiasImage)) == std::vector<std::string>{"conv1.weight", "conv2.weight"});
}

TEST_CASE("gradients of networks that add without a norm are those of central differences") {
  const auto oracle = make_reference_backend();
  for (const auto& [name, make] : kNetworks) {
    for (const Activation activation : {Activation::relu, Activation::relu6, Activation::pact}) {
      INFO(name << ", " << name_of(activation));
      NetworkRun run(*oracle, make({.activation = activation}, kBiasImage), kBiasBatch);
      if (make == vgg) settle(run);
      check_gradients(run, 4);
    }
  }
}

TEST_CASE("every backend gives the oracle's logits and gradients where a bias or a sum takes the place of a norm") {
  const auto oracle = make_reference_backend();
  for (const auto& [name, make] : kNetworks) {
    NetworkRun expected(*oracle, make({.activation = Activation::pact}, kBiasImage), kBiasBatch);
    if (make == vgg) settle(expected);
    expected.forward();
    const std::vector<double> logits = to_doubles(expected.logits());
    expected.backward();
    for (const auto& backend : other_backends()) {
      INFO(backend->name() << ", " << name);
      NetworkRun run(*backend, make({.activation = Activation::pact}, kBiasImage), kBiasBatch);
      if (make == vgg) settle(run);
      run.forward();
      const double relative = 12 * relative_tolerance(DType::f32);  // a dozen operations
      CHECK(compare_scaled(to_doubles(run.logits()), logits, relative).ok());
      run.backward();
      const auto& parameters = run.model.network().parameters();
      double largest = 0;
      for (std::size_t p = 0; p < parameters.size(); ++p)
        largest = std::max(largest, root_mean_square(to_doubles(expected.gradient(p))));
      for (std::size_t p = 0; p < parameters.size(); ++p) {
        const Comparison comparison =
            compare_scaled(to_doubles(run.gradient(p)), to_doubles(expected.gradient(p)), relative, 0.1 * largest);
        INFO(parameters[p].name << ": " << comparison.report());
        CHECK(comparison.ok());
      }
    }
  }
}

TEST_CASE("the bias before a norm has the gradient 0, moves the running mean, and drops out of an evaluation") {
  for_each_device([](Backend& backend) {
    NetworkRun biased(backend, vgg_bn({}), kBiasBatch);
    NetworkRun plain(backend, vgg_bn({}), kBiasBatch);
    const auto& parameters = biased.model.network().parameters();
    for (std::size_t p = 0; p < parameters.size(); ++p)
      if (parameters[p].role == Role::bias && parameters[p].name != "fc.bias")
        upload_array(backend, biased.model.parameters().values[p].as<float>(),
                     std::vector<float>(static_cast<std::size_t>(parameters[p].shape.numel()), 3.0F));
    for (NetworkRun* run : {&biased, &plain}) run->forward();
    CHECK(same_bits(biased.logits(), plain.logits()));
    for (NetworkRun* run : {&biased, &plain}) run->backward();
    for (std::size_t p = 0; p < parameters.size(); ++p) {
      INFO(parameters[p].name);
      CHECK(same_bits(biased.gradient(p), plain.gradient(p)));
      if (parameters[p].role == Role::bias && parameters[p].name != "fc.bias")
        CHECK(biased.gradient(p) == std::vector<float>(biased.gradient(p).size(), 0.0F));
    }
    // In an evaluation mean and bias are taken off together: with the bias in the running mean all is as without it.
    NetworkRun evaluation(backend, vgg_bn({}), kBiasBatch, ExecutionMode::inference);
    evaluation.forward();
    const std::vector<float> without = evaluation.logits();
    for (const auto& [bias, running_mean] : {std::pair{1U, 0U}, {5U, 2U}}) {
      const auto channels = static_cast<std::size_t>(parameters[bias].shape.numel());
      const std::vector<float> threes(channels, 3.0F);
      REQUIRE(parameters[bias].role == Role::bias);
      upload_array(backend, evaluation.model.parameters().values[bias].as<float>(), threes);
      upload_array(backend, evaluation.model.parameters().states[running_mean], threes);  // it was 0
    }
    evaluation.forward();
    CHECK(same_bits(evaluation.logits(), without));
    for (const std::size_t running_mean : {0U, 2U})
      for (std::size_t c = 0; c < 4; ++c)
        CHECK(read_state(biased, running_mean, c) - read_state(plain, running_mean, c) == Approx(0.3).margin(1e-5));
  });
}

TEST_CASE("networks of integers have the gradients of the values they stand for, through sums and biases") {
  const auto integers = start_as_planes(5);
  const auto values = [&](const ArenaLayout& layout) { return StoredDense::convert(integers(layout)); };
  for_each_device([&](Backend& backend) {
    for (const auto& [name, make] : kNetworks) {
      for (const int act_bits : {0, 4}) {
        // A dozen operations deep; and where activations are quantized, one may be rounded to another level.
        const double tolerance = act_bits == 0 ? 20 * relative_tolerance(DType::f32) : 0.05;
        const Quantizer quantizer{.activation = Activation::relu6, .act_bits = act_bits};
        NetworkRun with_values(backend, make(quantizer, kBiasImage), kBiasBatch, ExecutionMode::training, values);
        NetworkRun with_integers(backend, make(quantizer, kBiasImage), kBiasBatch, ExecutionMode::training, integers);
        for (NetworkRun* run : {&with_values, &with_integers}) run->forward();
        INFO(backend.name() << ", " << name << ", " << act_bits << " bits");
        CHECK(norm_relative_error(to_doubles(with_integers.logits()), to_doubles(with_values.logits())) < tolerance);
        for (NetworkRun* run : {&with_values, &with_integers}) run->backward();
        const auto& parameters = with_values.model.network().parameters();
        for (std::size_t p = 0; p < parameters.size(); ++p) {
          const double unit = read_unit(backend, with_integers.model.parameters().values[p].unit);
          std::vector<double> gradient = to_doubles(with_integers.gradient(p));
          for (double& number : gradient) number /= unit;
          INFO(parameters[p].name);
          CHECK(norm_relative_error(gradient, to_doubles(with_values.gradient(p))) < 2 * tolerance);
        }
      }
    }
  });
}

TEST_CASE("what a bias_act quantizes reaches the next convolution as levels") {
  for_each_device([](Backend& backend) {
    for (const bool calibrated : {false, true}) {
      NetworkRun run(backend, vgg({.activation = Activation::relu6, .act_bits = 4, .static_scales = calibrated}),
                     kBiasBatch, ExecutionMode::tracing, start_as_planes(6));
      run.forward();
      const auto& nodes = run.model.network().nodes();
      int levels = 0;
      for (std::size_t i = 0; i < nodes.size(); ++i) {
        const TensorView y = run.executor.tensor(static_cast<TensorId>(i) + 1, kBiasBatch);
        CHECK((y.unit.weight != nullptr) == (nodes[i].layer->kind() == "conv2d"));
        if (!nodes[i].layer->quantizer()) continue;
        ++levels;
        CHECK(nodes[i].layer->quantizer()->bits == 4);
        CHECK((nodes[i].layer->quantizer()->act_scale >= 0) == calibrated);
        float largest = 0;
        for (const float level : read_stored(backend, y)) {
          CHECK(level == std::nearbyint(level));
          largest = std::max(largest, level);
        }
        CHECK(largest == 15);
      }
      CHECK(levels == 2);
    }
  });
}

TEST_CASE("networks that add without a norm write nothing outside their buffers, in batches of any size") {
  for_each_device([](Backend& backend) {
    for (const auto& [name, make] : kNetworks) {
      INFO(name);
      GuardingBackend guarding(backend);
      NetworkRun run(guarding, make({.activation = Activation::relu6, .act_bits = 4}, kBiasImage), kBiasBatch);
      NetworkRun alone(backend, make({.activation = Activation::relu6, .act_bits = 4}, kBiasImage), 2);
      run.forward();
      run.backward();
      run.forward(2);
      alone.forward();
      CHECK(same_bits(run.logits(2), alone.logits()));
      run.backward(2);
      alone.backward();
      for (std::size_t p = 0; p < run.model.network().parameters().size(); ++p)
        CHECK(same_bits(run.gradient(p), alone.gradient(p)));
      CHECK(guarding.guards_intact());
    }
  });
}

TEST_CASE("a sum without an activation lets go of its inputs after forward") {
  const auto held = [](const char* activation) {
    const Network network = network_of(std::string(R"(
      {"name": "conv1", "layer": "conv2d", "out": 16, "quantized": true},
      {"name": "bn1", "layer": "norm_act", "activation": "none"},
      {"name": "conv2", "layer": "conv2d", "out": 16, "inputs": ["image"]},
      {"name": "bn2", "layer": "norm_act", "activation": "none"},
      {"name": "sum", "layer": "add", "inputs": ["bn1", "bn2"], "activation": ")") +
                                           activation + "\"}",
                                       {});
    const auto oracle = make_reference_backend();
    NetworkRun run(*oracle, network, kBiasBatch);
    return run.executor.plan().arena_bytes;
  };
  CHECK(held("none") < held("relu"));
}

}  // namespace bsq::test
