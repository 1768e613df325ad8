#include "engine/network/value_extremes.h"

#include <algorithm>
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

}  // namespace

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
  for (const WatchedNumbers& watched : watched_)
    affines_.push_back(watched.affine < 0 ? ChannelAffine()
                                          : affine_of_node(backend_, network_, watched.affine, parameters_));
}

Extremes ExtremesWatch::extremes_of(const TensorView& view, const ChannelAffine& affine) const {
  const bool is_plain = affine.a.empty();
  const double unit = unit_value(backend_, view.unit);
  const ChannelExtremes of_channels =
      channel_extremes(stored_numbers(backend_, view), static_cast<std::size_t>(view.shape[view.shape.rank - 1]));
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
