#include "tools/scheme/sensitivity.h"

#include "kernels/base/error.h"
#include "tools/scheme/apply_scheme.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace bsq {
namespace {

/// The widest that is measured: beyond it a layer is as it is.
int most_measured(const SchemeLayer& layer) {
  return layer.bits == kFloatBits ? layer.widest : layer.widest - 1;
}

double checked_loss(const SensitivityMeasurement& how, const std::string& what) {
  const double loss = how.loss();
  if (!std::isfinite(loss)) fail(ErrorKind::diverged, "{}: the loss is {}", what, loss);
  return loss;
}

}  // namespace

std::optional<double> LayerSensitivity::rise(int width) const {
  if (width == std::max(bits, 1)) return 0;  // a layer that has no bits is one of a single empty plane
  const auto found = rises.find(width);
  return found == rises.end() ? std::nullopt : std::optional(found->second);
}

std::int64_t measured_widths(const std::vector<SchemeLayer>& layers) {
  std::int64_t widths = 1;
  for (const SchemeLayer& layer : layers) widths += most_measured(layer);
  return widths;
}

void measure(const SensitivityMeasurement& how, const std::vector<SchemeLayer>& layers, Sensitivity& result) {
  result.loss = checked_loss(how, "the model as it is");
  if (how.measured) how.measured("as it is");
  for (const SchemeLayer& layer : layers) {
    LayerSensitivity& found = result.layers.emplace_back(
        LayerSensitivity{.name = layer.name, .weights = layer.weights, .bits = layer.bits, .fixed = layer.fixed});
    for (int width = most_measured(layer); width >= 1; --width) {
      for (const std::size_t slot : layer.slots)
        how.store.set(how.layout.slots[slot], values_under(how.weights, slot, width));
      found.rises[width] = checked_loss(how, fmt::format("{} at {} bits", layer.name, width)) - result.loss;
      if (how.measured) how.measured(layer.name);
    }
    for (const std::size_t slot : layer.slots) how.store.set(how.layout.slots[slot], how.weights.values(slot));
  }
}

void check_measured_on(const Sensitivity& sensitivity, const std::vector<SchemeLayer>& layers,
                       const std::string& where) {
  const auto refuse = [&](const std::string& why) {
    fail(ErrorKind::usage, "{}: was measured on another model ({}): {}; measure this one", where, sensitivity.network,
         why);
  };
  if (sensitivity.layers.size() != layers.size())
    refuse(fmt::format("it has {} layers, this one {}", sensitivity.layers.size(), layers.size()));
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const LayerSensitivity& measured = sensitivity.layers[i];
    const SchemeLayer& layer = layers[i];
    if (measured.name != layer.name || measured.weights != layer.weights)
      refuse(fmt::format("its layer {} is {} of {} weights, that of this one {} of {}", i + 1, measured.name,
                         measured.weights, layer.name, layer.weights));
    if (measured.bits != layer.bits)
      refuse(fmt::format("{} had {} bits, here it has {} (32: float)", layer.name, measured.bits, layer.bits));
  }
}

}  // namespace bsq
