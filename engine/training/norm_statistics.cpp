#include "engine/training/norm_statistics.h"

#include "engine/network/layers/norm_act.h"
#include "engine/network/multiplications.h"

#include <optional>

namespace bsq {
namespace {

/// The place of a filter among the quantized parameters; nothing if it is none of them.
std::optional<std::size_t> slot_of_filter(const Model& model, const Node& node) {
  const std::vector<ParameterSpec>& parameters = model.network().parameters();
  const auto weight = node.layer->runs_convolution() ? weight_of(node, parameters) : std::nullopt;
  const std::vector<ParameterSlot>& slots = model.quantized_layout().slots;
  for (std::size_t slot = 0; weight && slot < slots.size(); ++slot)
    if (slots[slot].spec.name == parameters[static_cast<std::size_t>(*weight)].name) return slot;
  return std::nullopt;
}

void scale_statistics(Model& model, Backend& backend, const NormActParameters& ids, const std::vector<float>& scales) {
  const std::size_t channels = scales.size();
  float* mean_of = model.parameters().states[static_cast<std::size_t>(ids.running_mean)];
  float* var_of = model.parameters().states[static_cast<std::size_t>(ids.running_var)];
  std::vector<float> mean = download_array(backend, mean_of, channels), var = download_array(backend, var_of, channels);
  std::vector<float> bias(channels);  // of the convolution, which no scale of its filter touches
  if (ids.input_bias >= 0)
    bias = download_array(backend, model.parameters().values[static_cast<std::size_t>(ids.input_bias)].as<float>(),
                          channels);
  for (std::size_t channel = 0; channel < channels; ++channel) {
    mean[channel] = scales[channel] * (mean[channel] - bias[channel]) + bias[channel];
    var[channel] *= scales[channel] * scales[channel];
  }
  upload_array(backend, mean_of, mean);
  upload_array(backend, var_of, var);
}

}  // namespace

void fit_norm_statistics(Backend& backend, Model& model) {
  const std::vector<Node>& nodes = model.network().nodes();
  for (const Node& node : nodes) {
    if (!node.layer->runs_norm() || node.inputs[0] == 0) continue;
    const auto slot = slot_of_filter(model, nodes[static_cast<std::size_t>(node.inputs[0] - 1)]);
    if (!slot) continue;
    const std::vector<float> scales = model.quantized().output_scales(*slot);
    if (!scales.empty()) scale_statistics(model, backend, dynamic_cast<const NormAct&>(*node.layer).ids(), scales);
  }
}

}  // namespace bsq
