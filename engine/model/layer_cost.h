// What the layers of a network cost under the widths of a model: operations of an image, and bytes of a file.
//
// Operations are counted in bit operations (BOPs): the multiply-adds of a layer, times the bits of a weight, times
// those of the activations that it reads; 32 of whatever is float. A weight has its sign as stored bits have it, so
// that methods compare; the count without signs, as papers on BSQ would have it, is given beside it.
#pragma once

#include "engine/model/bit_summary.h"
#include "engine/network/network.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bsq {

/// A layer that multiplies.
struct LayerCost {
  std::string name = {};         // of its node: layer1.0.conv1
  std::int64_t weights = 0;      // its bias apart, if it has one
  std::int64_t numbers = 0;      // with its bias
  double macs = 0;               // multiply-adds of one image
  int input_bits = 0;            // 32: float
  int bits = 0;                  // of its weight, 32 in float; 0: it is all zeros and costs nothing
  bool odd = false;              // its levels are odd: no sign beside its bits
  bool fixed = false;            // its bits never change
  std::int64_t stored_bits = 0;  // of all its numbers in a file, by the rule of BitSummary; 32 a float number

  double bops(bool with_sign) const;
  double bytes() const { return static_cast<double>(stored_bits) / 8; }
};

/// In the order of the network. `summary`: of a model of it.
std::vector<LayerCost> layer_costs(const BitSummary& summary, const Network& network);

double macs_of(const std::vector<LayerCost>& layers);
double bops_of(const std::vector<LayerCost>& layers, bool with_sign);

}  // namespace bsq
