#include "tools/scheme/choose_widths.h"

#include "kernels/base/error.h"

#include <fmt/format.h>

#include <limits>

namespace bsq {
namespace {

double rise_under(const LayerSensitivity& layer, int width) {
  const std::optional<double> rise = layer.rise(width);
  require(rise.has_value(), "{} was not measured at {} bits", layer.name, width);
  return *rise;
}

/// A layer of zeros saves no bit that is stored.
bool is_kept(const SchemeLayer& layer) {
  return layer.fixed || layer.stored == 0;
}

int widest_of(const SchemeLayer& layer) {
  return layer.fixed ? layer.start : layer.widest;
}

std::vector<int> widest(const std::vector<SchemeLayer>& layers) {
  std::vector<int> bits;
  for (const SchemeLayer& layer : layers) bits.push_back(widest_of(layer));
  return bits;
}

/// What a bit less of the layer costs for each stored bit.
double price_of_bit(const SchemeLayer& layer, const LayerSensitivity& measured, int width) {
  if (is_kept(layer) || width <= 1) return std::numeric_limits<double>::infinity();
  return (rise_under(measured, width - 1) - rise_under(measured, width)) / static_cast<double>(layer.stored);
}

}  // namespace

double stored_bits_per_weight(const std::vector<SchemeLayer>& layers, const std::vector<int>& bits) {
  std::int64_t stored = 0;
  for (std::size_t i = 0; i < layers.size(); ++i) stored += layers[i].stored_bits(bits[i]);
  return static_cast<double>(stored) / static_cast<double>(weights_of(layers));
}

void check_reachable(const std::vector<SchemeLayer>& layers, double target) {
  std::vector<int> narrowest;
  for (const SchemeLayer& layer : layers) narrowest.push_back(is_kept(layer) ? widest_of(layer) : 1);
  const double least = stored_bits_per_weight(layers, narrowest), most = stored_bits_per_weight(layers, widest(layers));
  if (!(target >= least && target <= most))
    fail(ErrorKind::usage,
         "{} stored bits per weight: this model can have {:.3f} (1 bit and a sign in every layer that is free) to "
         "{:.3f} (the widest that it has); ask for a number between them",
         target, least, most);
}

ChosenWidths choose_widths(const std::vector<SchemeLayer>& layers, const Sensitivity& sensitivity, double target) {
  check_reachable(layers, target);
  ChosenWidths chosen{.bits = widest(layers)};
  while (stored_bits_per_weight(layers, chosen.bits) > target) {
    std::size_t cheapest = 0;
    double least_price = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const double price = price_of_bit(layers[i], sensitivity.layers[i], chosen.bits[i]);
      if (price < least_price) cheapest = i, least_price = price;
    }
    --chosen.bits[cheapest];
  }
  chosen.stored_bits_per_weight = stored_bits_per_weight(layers, chosen.bits);
  for (std::size_t i = 0; i < layers.size(); ++i)
    chosen.predicted_rise += rise_under(sensitivity.layers[i], chosen.bits[i]);
  return chosen;
}

}  // namespace bsq
