// Numbers of a trained model, whatever they are stored as.
#include "engine/deployed/deploy.h"
#include "engine/model/tensor_names.h"
#include "engine/network/layers/bias_act.h"
#include "engine/network/layers/linear.h"
#include "engine/network/layers/norm_act.h"
#include "kernels/base/error.h"

#include <cmath>

namespace bsq {

ParameterNumbers::ParameterNumbers(const Network& network, const TensorFile& plain, const StoredWeights& weights)
    : network_(network), plain_(plain), weights_(weights) {}

std::optional<std::size_t> ParameterNumbers::slot(ParameterId id) const {
  if (spec(id).group != ParameterGroup::quantized) return std::nullopt;
  std::size_t slot = 0;
  for (ParameterId other = 0; other < id; ++other) slot += spec(other).group == ParameterGroup::quantized;
  return slot;
}

std::vector<float> ParameterNumbers::values(ParameterId id) const {
  if (const auto quantized = slot(id)) return weights_.values(*quantized);
  const ParameterSpec& parameter = spec(id);
  const HostTensor* tensor = plain_.find(parameter.name);
  if (tensor == nullptr && parameter.optional)
    return std::vector<float>(static_cast<std::size_t>(parameter.shape.numel()), parameter.constant);
  const auto numbers = plain_.at(parameter.name).values<float>();
  return from_file_layout({numbers.begin(), numbers.end()}, parameter.shape);
}

std::optional<Levels> ParameterNumbers::levels(ParameterId id) const {
  const auto quantized = slot(id);
  return quantized ? weights_.levels(*quantized) : std::nullopt;
}

std::vector<float> ParameterNumbers::state(StateId id) const {
  const auto numbers = plain_.at(network_.states()[static_cast<std::size_t>(id)].name).values<float>();
  return {numbers.begin(), numbers.end()};
}

float ParameterNumbers::act_scale(StateId id) const {
  require(id >= 0, "an activation has no calibrated scale");
  const std::string& name = network_.states()[static_cast<std::size_t>(id)].name;
  const float scale = plain_.find(name) == nullptr ? -1.0F : read_number(plain_, name);
  if (!(scale >= 0 && std::isfinite(scale)))
    fail(ErrorKind::usage, "{}: {} is {}, which is no scale; is it calibrated?", plain_.path.string(), name, scale);
  return scale;
}

namespace {

ChannelAffine numbers_of_norm(const NormAct& norm, const ParameterNumbers& numbers) {
  const NormActParameters& ids = norm.ids();
  const std::vector<float> bias = ids.input_bias < 0 ? std::vector<float>() : numbers.values(ids.input_bias);
  return affine_of_norm(numbers.values(ids.gamma), numbers.values(ids.beta), numbers.state(ids.running_mean),
                        numbers.state(ids.running_var), bias, double{norm.options().epsilon});
}

}  // namespace

ChannelAffine affine_of(const Node& node, const ParameterNumbers& numbers, int channels) {
  if (node.layer->kind() == "norm_act") return numbers_of_norm(dynamic_cast<const NormAct&>(*node.layer), numbers);
  const ParameterId bias = node.layer->kind() == "linear" ? dynamic_cast<const Linear&>(*node.layer).bias()
                                                          : dynamic_cast<const BiasAct&>(*node.layer).options().bias;
  return affine_of_bias(static_cast<std::size_t>(channels), bias < 0 ? std::vector<float>() : numbers.values(bias));
}

}  // namespace bsq
