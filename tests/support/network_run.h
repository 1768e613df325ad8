// A whole network with all it needs to run, and the check of its gradients against central differences.
#pragma once

#include "engine/network/executor.h"
#include "engine/network/layers/norm_act.h"
#include "tests/support/engine.h"
#include "tests/support/gradients.h"

#include <array>

namespace bsq::test {

inline constexpr float kClip = 5;  // PACT's ceilings in these networks

/// Of the blocks' activation; 0: none.
inline float ceiling_of(const Network& network) {
  for (const Node& node : network.nodes()) {
    const auto* norm = dynamic_cast<const NormAct*>(node.layer.get());
    if (norm == nullptr) continue;
    if (norm->options().activation == Activation::relu6) return 6;
    if (norm->options().activation == Activation::pact) return kClip;
  }
  return 0;
}

inline std::vector<int> smaller_than(int batch) {
  std::vector<int> batches;
  while (--batch > 0) batches.push_back(batch);
  return batches;
}

/// A network with everything it needs to run; loss = sum of logits * d_logits.
struct NetworkRun {
  NetworkRun(Backend& backend_to_use, Network network, int batch_size, ExecutionMode mode = ExecutionMode::training,
             const TestModel::MakeWeights& weights = {})
      : backend(backend_to_use),
        batch(batch_size),
        test_model(backend, std::move(network), weights),
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
inline constexpr float kStep = 2e-2F;
inline constexpr double kRelative = 1e-3;
inline constexpr double kLossRounding = 1e-6;

/// Every parameter along one random direction through all of its coordinates, and along `coordinates` of its axes.
inline void check_gradients(NetworkRun& run, int coordinates) {
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

}  // namespace bsq::test
