// What a scheme makes of a model, without training: size in each way of counting, operations, and the loss that a
// sensitivity predicts.
//
// Operations are counted in bit operations of an image (BOPs): the multiply-adds of a layer, times the bits of a
// weight, times those of the activations that it reads; 32 of whatever is float. A weight has its sign as stored bits
// have it, so that methods compare; the count without signs, as papers on BSQ would have it, is given beside it.
#pragma once

#include "engine/model/bit_summary.h"
#include "tools/report/table.h"
#include "tools/scheme/sensitivity.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bsq {

/// A layer that multiplies, under one set of widths.
struct LayerCost {
  std::string name = {};
  std::int64_t weights = 0;  // its bias apart, if it has one
  double macs = 0;           // multiply-adds of one image
  int input_bits = 0;        // 32: float
  int bits = 0;              // of its weight, 32 in float; 0: it is all zeros and costs nothing
  bool fixed = false;

  double bops(bool with_sign) const;
};

/// A model under one set of widths.
struct ModelCost {
  BitSummary summary;
  std::vector<LayerCost> layers;
  std::uint64_t file_bytes = 0;  // of bsq export --format packed, or float if nothing has widths

  double bops(bool with_sign) const;
};
ModelCost cost_of(const OpenModel& model);

struct WhatIf {
  ModelCost before, after;
  std::vector<std::optional<double>> rises;  // of the loss, by layer of `after`; all empty: nothing was measured
  std::optional<double> loss;                // where it was measured
  std::vector<std::string> unmeasured;       // layers whose new width was not, if others were

  /// The sum over layers.
  std::optional<double> rise() const;
};
/// `after`: the same model under other widths. `sensitivity` was measured on `before`, or is null.
WhatIf what_if(const OpenModel& before, const OpenModel& after, const Sensitivity* sensitivity);

Table layer_table(const WhatIf& what);
Table size_table(const WhatIf& what);
nlohmann::ordered_json to_json(const WhatIf& what);

}  // namespace bsq
