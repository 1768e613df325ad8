// What the tests of exports share: networks with numbers in every tensor, of any width.
#pragma once

#include "engine/model/integer_tensors.h"
#include "tests/support/catch.h"
#include "tests/support/engine.h"
#include "tools/export/onnx/engine_run.h"
#include "tools/export/onnx/network_graph.h"

#include <functional>

namespace bsq::test {

/// How far float logits of a graph may be from the engine's.
constexpr double kLogitTolerance = 1e-4;

/// All that a network has besides its quantizable weights, in PyTorch's layout.
inline TensorFile random_plain(const Network& network) {
  RandomTensors random("plain numbers");
  TensorFile file;
  for (const ParameterSpec& spec : network.parameters()) {
    if (spec.group != ParameterGroup::plain) continue;
    const bool is_filter = spec.shape.rank == 4;
    const std::vector<float> values =
        is_filter ? random.normal(spec.shape.numel(), 0, 0.3F) : random.uniform(spec.shape.numel(), 0.5F, 1.5F);
    file.tensors.push_back(HostTensor::from<float>(spec.name, file_shape(spec.shape), values));
  }
  for (const StateSpec& state : network.states())
    file.tensors.push_back(HostTensor::from<float>(state.name, {state.numel}, random.uniform(state.numel, 0.2F, 1.0F)));
  return file;
}

/// Every width in turn; the fifth tensor, in the middle of a network, has 0 bits.
inline int mixed_bits(std::size_t slot) {
  return (static_cast<int>(slot) + 4) % 9;
}

/// Start values of these widths, the classifier's larger; 0 bits: pruned.
inline Weights fixed_weights(const Network& network, const std::function<int(std::size_t)>& bits_of) {
  const ArenaLayout layout = lay_out(network.parameters(), ParameterGroup::quantized);
  const auto start = to_dense(initial_weights(layout, 5));
  std::vector<FixedPoint> weights;
  for (std::size_t i = 0; i < start.size(); ++i) {
    const int bits = bits_of(i);
    if (bits == 0)
      weights.push_back({0, 0.5F, std::vector<float>(start[i].size())});
    else
      weights.push_back(to_fixed(std::vector<BitPlanes>{planes_from_float(start[i], bits)}).front());
    if (layout.slots[i].spec.shape.rank < 4) weights.back().scale *= 8;
  }
  return as_weights(weights);
}

inline EngineRun engine_run(Network network, const TensorFile& plain, const Weights& weights, int images) {
  const auto backend = make_backend("cpu", {.threads = 1});
  return run_engine(*backend, std::move(network), plain, weights, tiny_pictures("to compare on", images), tiny_input(),
                    images);
}
inline EngineRun engine_run(const ResNetOptions& options, const TensorFile& plain, const Weights& weights, int images) {
  return engine_run(make_resnet(options), plain, weights, images);
}

/// The maxima that a graph scales the activations of these images by, as a calibrated model has them.
inline TensorFile with_act_scales(const TensorFile& plain, const OnnxModel& dynamic, const GraphTensor& images) {
  TensorFile file = plain;
  for (const OnnxNode& node : dynamic.nodes) {
    if (node.op != "ReduceMax") continue;
    OnnxModel until = dynamic;
    until.output.name = node.outputs[0];
    const float maximum = evaluate_graph(until, images).values.at(0);
    const std::string activation = node.inputs[0];
    file.tensors.push_back(HostTensor::from<float>(activation + ".act_scale", {1}, std::span(&maximum, 1)));
  }
  return file;
}

inline const OnnxTensor& initializer(const OnnxModel& model, const std::string& name) {
  for (const OnnxTensor& tensor : model.initializers)
    if (tensor.name == name) return tensor;
  FAIL("no initializer " << name);
  return model.initializers.front();
}

inline int count_nodes(const OnnxModel& model, const std::string& op) {
  return static_cast<int>(
      std::count_if(model.nodes.begin(), model.nodes.end(), [&](const OnnxNode& node) { return node.op == op; }));
}

}  // namespace bsq::test
