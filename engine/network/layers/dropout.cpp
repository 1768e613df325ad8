#include "engine/network/layers/dropout.h"

#include "engine/network/layer_kinds.h"
#include "kernels/base/error.h"

#include <algorithm>

namespace bsq {
namespace {

constexpr std::uint32_t kNumberShift = 16;  // above purpose and stage (engine/input/sampler.h)

DropoutGeometry geometry(const TensorView& tensor) {
  return {.batch = static_cast<int>(tensor.shape[0]),
          .sample_size = tensor.shape.numel() / tensor.shape[0],
          .dtype = tensor.dtype};
}

bool has_unit(const TensorView& tensor) {
  return tensor.unit.activation != nullptr || tensor.unit.weight != nullptr;
}

}  // namespace

SampleKeys Dropout::own_keys(const SampleKeys& of_step) const {
  require(of_step.inputs != nullptr && of_step.samples != nullptr, "dropout: nobody said which samples these are");
  SampleKeys keys = of_step;
  keys.stream |= static_cast<std::uint32_t>(number_) << kNumberShift;
  return keys;
}

TensorSpec Dropout::output(std::span<const TensorSpec> inputs) const {
  require(inputs.size() == 1, "dropout takes one input");
  return inputs[0];
}

TensorUnit Dropout::output_unit(std::span<const TensorView> inputs, const ParameterMemory& /*parameters*/,
                                float* own) const {
  return has_unit(inputs[0]) ? TensorUnit{own, inputs[0].unit.weight} : TensorUnit{};
}

void Dropout::forward(const ForwardPass& pass) const {
  const TensorView& x = pass.inputs[0];
  require(pass.training, "dropout: inference leaves it out");
  pass.backend.dropout_forward({geometry(x), dropout_rule(rate_), own_keys(pass.keys), x.data, x.unit, pass.output.data,
                                has_unit(x) ? pass.output.unit.activation : nullptr});
}

void Dropout::backward(const BackwardPass& pass) const {
  pass.backend.dropout_backward({geometry(pass.d_output), dropout_rule(rate_), own_keys(pass.keys), pass.d_output.data,
                                 pass.d_inputs[0].data, has_unit(pass.inputs[0]), pass.modes[0]});
}

std::unique_ptr<Layer> make_dropout(const LayerRequest& request) {
  request.want_inputs(1, 1);
  NodeOptions options = request.options();
  const double rate = options.number("rate", 0, 1);
  options.finish();
  const auto& nodes = request.network.nodes();
  const auto before = std::ranges::count_if(nodes, [](const Node& node) { return node.layer->kind() == "dropout"; });
  return std::make_unique<Dropout>(rate, static_cast<int>(before));
}

}  // namespace bsq
