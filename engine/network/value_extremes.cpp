#include "engine/network/value_extremes.h"

#include "engine/network/layers/bias_act.h"
#include "engine/network/layers/norm_act.h"
#include "kernels/bf16.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bsq {
namespace {

/// Extremes of every channel.
struct ChannelExtremes {
  std::vector<float> low;
  std::vector<float> high;
};

ChannelExtremes channel_extremes(const std::vector<float>& values, std::size_t channels) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  ChannelExtremes found{std::vector<float>(channels, kInfinity), std::vector<float>(channels, -kInfinity)};
  float* const low = found.low.data();
  float* const high = found.high.data();
  for (std::size_t i = 0; i < values.size(); i += channels) {
    const float* const row = values.data() + i;
    for (std::size_t c = 0; c < channels; ++c) {
      low[c] = std::min(low[c], row[c]);
      high[c] = std::max(high[c], row[c]);
    }
  }
  return found;
}

double unit_of(Backend& backend, const TensorUnit& unit) {
  double value = 1;
  for (const float* part : {static_cast<const float*>(unit.activation), unit.weight})
    if (part != nullptr) value *= static_cast<double>(download_array(backend, part, 1)[0]);
  return value;
}

}  // namespace

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

std::vector<RoundedPlace> rounded_places(const Network& network) {
  std::vector<RoundedPlace> places;
  for (std::size_t i = 0; i < network.nodes().size(); ++i) {
    const Node& node = network.nodes()[i];
    for (const RoundedNumbers& rounded : node.layer->rounded()) {
      const bool is_output = rounded.input < 0;
      const TensorId tensor =
          is_output ? static_cast<TensorId>(i) + 1 : node.inputs[static_cast<std::size_t>(rounded.input)];
      places.push_back({{tensor, rounded.is_before_affine ? static_cast<int>(i) : -1}, rounded.range});
    }
  }
  return places;
}

ExtremesWatch::ExtremesWatch(Backend& backend, const Network& network, const ParameterMemory& parameters,
                             std::vector<WatchedNumbers> watched)
    : backend_(backend), network_(network), parameters_(parameters), watched_(std::move(watched)) {}

void ExtremesWatch::read_parameters() {
  affines_.clear();
  for (const WatchedNumbers& watched : watched_) affines_.push_back(affine_at(watched));
}

ChannelAffine ExtremesWatch::affine_at(const WatchedNumbers& watched) const {
  if (watched.affine < 0) return {};
  const Layer& layer = *network_.nodes()[static_cast<std::size_t>(watched.affine)].layer;
  const auto download = [&](const float* from, int channels) {
    return download_array(backend_, from, static_cast<std::size_t>(channels));
  };
  const auto parameter = [&](ParameterId id, int channels) {
    if (id < 0) return std::vector<float>();
    return download(parameters_.values[static_cast<std::size_t>(id)].as<float>(), channels);
  };
  const auto state = [&](StateId id, int channels) {
    return download(parameters_.states[static_cast<std::size_t>(id)], channels);
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

std::vector<float> ExtremesWatch::numbers_of(const TensorView& view) const {
  const auto channels = static_cast<std::size_t>(view.shape[view.shape.rank - 1]);
  const std::size_t rows = static_cast<std::size_t>(view.shape.numel()) / channels;
  const std::size_t pitch = view.pitch == 0 ? channels : static_cast<std::size_t>(view.pitch);
  const std::size_t count = (rows - 1) * pitch + channels;
  std::vector<float> numbers;
  if (view.dtype == DType::bf16) {
    const std::vector<bfloat16> stored = download_array(backend_, view.as<bfloat16>(), count);
    numbers.resize(count);
    std::transform(stored.begin(), stored.end(), numbers.begin(), [](bfloat16 number) { return to_float(number); });
  } else {
    numbers = download_array(backend_, view.as<float>(), count);
  }
  if (pitch == channels) return numbers;
  for (std::size_t row = 1; row < rows; ++row)
    std::copy_n(numbers.begin() + static_cast<std::ptrdiff_t>(row * pitch), channels,
                numbers.begin() + static_cast<std::ptrdiff_t>(row * channels));
  numbers.resize(rows * channels);
  return numbers;
}

Extremes ExtremesWatch::extremes_of(const TensorView& view, const ChannelAffine& affine) const {
  const bool is_plain = affine.a.empty();
  const double unit = unit_of(backend_, view.unit);
  const ChannelExtremes of_channels =
      channel_extremes(numbers_of(view), static_cast<std::size_t>(view.shape[view.shape.rank - 1]));
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Extremes found{kInfinity, -kInfinity};
  for (std::size_t c = 0; c < of_channels.low.size(); ++c) {
    for (const float value : {of_channels.low[c], of_channels.high[c]}) {
      const double number = double{value} * unit;
      const double changed = is_plain ? number : affine.a[c] * number + affine.c[c];
      found.low = std::min(found.low, changed);
      found.high = std::max(found.high, changed);
    }
  }
  return found;
}

std::vector<Extremes> ExtremesWatch::run(Executor& executor, int batch, ActScale act_scale) {
  std::vector<Extremes> found(watched_.size());
  const auto look = [&](std::size_t node) {
    const TensorId written = static_cast<TensorId>(node) + 1;
    for (std::size_t i = 0; i < watched_.size(); ++i)
      if (watched_[i].tensor == written) found[i] = extremes_of(executor.tensor(written, batch), affines_[i]);
  };
  executor.forward(batch, {.act_scale = act_scale, .rounds_to_ranges = false, .node_done = look});
  return found;
}

}  // namespace bsq
