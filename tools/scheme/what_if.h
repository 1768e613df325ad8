// What a scheme makes of a model, without training: size in each way of counting, operations, and the loss that a
// sensitivity predicts. Operations are BOPs (engine/model/layer_cost.h).
#pragma once

#include "engine/model/bit_summary.h"
#include "engine/model/layer_cost.h"
#include "tools/report/table.h"
#include "tools/scheme/sensitivity.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bsq {

/// A model under one set of widths.
struct ModelCost {
  BitSummary summary;
  std::vector<LayerCost> layers;
  std::uint64_t file_bytes = 0;  // of bsq export --format packed, or float if nothing has widths

  double bops(bool with_sign) const { return bops_of(layers, with_sign); }
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
