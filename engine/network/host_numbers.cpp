#include "engine/network/host_numbers.h"

#include "engine/network/layers/bias_act.h"
#include "engine/network/layers/norm_act.h"
#include "kernels/bf16.h"

#include <algorithm>
#include <cmath>

namespace bsq {

ChannelAffine affine_of_norm(std::span<const float> gamma, std::span<const float> beta, std::span<const float> mean,
                             std::span<const float> variance, std::span<const float> input_bias, double epsilon) {
  ChannelAffine affine;
  for (std::size_t i = 0; i < gamma.size(); ++i) {
    const double bias = input_bias.empty() ? 0.0 : double{input_bias[i]};
    affine.a.push_back(double{gamma[i]} / std::sqrt(double{variance[i]} + epsilon));
    affine.c.push_back(double{beta[i]} - affine.a[i] * (double{mean[i]} - bias));
  }
  return affine;
}

ChannelAffine affine_of_bias(std::size_t channels, std::span<const float> bias) {
  ChannelAffine affine{std::vector<double>(channels, 1.0), std::vector<double>(channels, 0.0)};
  if (!bias.empty()) affine.c.assign(bias.begin(), bias.end());
  return affine;
}

ChannelAffine affine_of_node(Backend& backend, const Network& network, int node, const ParameterMemory& parameters) {
  const Layer& layer = *network.nodes()[static_cast<std::size_t>(node)].layer;
  const auto download = [&](const float* from, int channels) {
    return download_array(backend, from, static_cast<std::size_t>(channels));
  };
  const auto parameter = [&](ParameterId id, int channels) {
    if (id < 0) return std::vector<float>();
    return download(parameters.values[static_cast<std::size_t>(id)].as<float>(), channels);
  };
  const auto state = [&](StateId id, int channels) {
    return download(parameters.states[static_cast<std::size_t>(id)], channels);
  };
  if (const auto* bias = dynamic_cast<const BiasAct*>(&layer)) {
    const int channels = bias->options().channels;
    return affine_of_bias(static_cast<std::size_t>(channels), parameter(bias->options().bias, channels));
  }
  const auto& norm = dynamic_cast<const NormAct&>(layer);
  const NormActParameters& ids = norm.ids();
  const int channels = norm.options().channels;
  return affine_of_norm(parameter(ids.gamma, channels), parameter(ids.beta, channels),
                        state(ids.running_mean, channels), state(ids.running_var, channels),
                        parameter(ids.input_bias, channels), double{norm.options().epsilon});
}

double unit_value(Backend& backend, const TensorUnit& unit) {
  double value = 1;
  for (const float* part : {static_cast<const float*>(unit.activation), unit.weight})
    if (part != nullptr) value *= static_cast<double>(download_array(backend, part, 1)[0]);
  return value;
}

std::vector<float> stored_numbers(Backend& backend, const TensorView& view) {
  const auto channels = static_cast<std::size_t>(view.shape[view.shape.rank - 1]);
  const std::size_t rows = static_cast<std::size_t>(view.shape.numel()) / channels;
  const std::size_t pitch = view.pitch == 0 ? channels : static_cast<std::size_t>(view.pitch);
  const std::size_t count = (rows - 1) * pitch + channels;
  std::vector<float> numbers;
  if (view.dtype == DType::bf16) {
    const std::vector<bfloat16> stored = download_array(backend, view.as<bfloat16>(), count);
    numbers.resize(count);
    std::transform(stored.begin(), stored.end(), numbers.begin(), [](bfloat16 number) { return to_float(number); });
  } else {
    numbers = download_array(backend, view.as<float>(), count);
  }
  if (pitch == channels) return numbers;
  for (std::size_t row = 1; row < rows; ++row)
    std::copy_n(numbers.begin() + static_cast<std::ptrdiff_t>(row * pitch), channels,
                numbers.begin() + static_cast<std::ptrdiff_t>(row * channels));
  numbers.resize(rows * channels);
  return numbers;
}

}  // namespace bsq
