// How much the loss rises if one layer gets fewer bits and all else stays as it is: measured by forward passes, layer
// by layer and width by width.
#pragma once

#include "engine/model/dense_weights.h"
#include "tools/scheme/scheme_layers.h"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bsq {

/// Of the Hessian of the mean loss, for a layer's weight (hessian_trace.h).
struct HessianTrace {
  std::int64_t weights = 0;
  double trace = 0;
  std::optional<double> error = {};            // of the mean over probes, one standard deviation; nothing of one probe
  std::map<int, double> predicted_rises = {};  // by width: trace / numel |dW|^2 / 2
};

struct LayerSensitivity {
  std::string name = {};
  std::int64_t weights = 0;
  int bits = kFloatBits;  // of its weight while all is as it is; 32 in float
  bool fixed = false;
  std::map<int, double> rises = {};  // of the mean loss, by width: 1..8 in float, else 1..bits - 1
  std::optional<HessianTrace> hessian = {};

  /// Nothing if it was not measured; 0 at its own width.
  std::optional<double> rise(int width) const;
};

struct Sensitivity {
  std::string model = {};    // its file
  std::string network = {};  // what it is
  std::string set = {};      // train or test
  std::int64_t images = 0;
  int batch_size = 0;
  std::string precision = {};
  int act_bits = 0;
  double loss = 0;  // mean cross entropy with all as it is
  int probes = 0;   // of the Hessian, per layer; 0: nobody asked
  std::vector<LayerSensitivity> layers = {};
};

/// How many losses are asked for.
std::int64_t measured_widths(const std::vector<SchemeLayer>& layers);

/// `store`: of the layout, with the effective weights of `weights`, which it has again at the end. `loss`: the mean
/// loss with what is in the store. `measured`: called after each width, with the layer. Throws Error(diverged) for a
/// loss that is no number.
struct SensitivityMeasurement {
  DenseWeights& store;
  const ArenaLayout& layout;
  const StoredWeights& weights;
  std::function<double()> loss;
  std::function<void(const std::string& layer)> measured;
};
void measure(const SensitivityMeasurement& how, const std::vector<SchemeLayer>& layers, Sensitivity& result);

/// Throws Error(usage), naming `where`, unless it was measured on these layers with these bits.
void check_measured_on(const Sensitivity& sensitivity, const std::vector<SchemeLayer>& layers,
                       const std::string& where);

}  // namespace bsq
