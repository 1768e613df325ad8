// Widths for a budget of bits, by what was measured: from the widest on, always the bit goes whose loss is predicted to
// rise least for each stored bit that it saves.
#pragma once

#include "tools/scheme/sensitivity.h"

#include <vector>

namespace bsq {

struct ChosenWidths {
  std::vector<int> bits;              // by layer
  double stored_bits_per_weight = 0;  // signs and scales too, of a layer of zeros its scale alone
  double predicted_rise = 0;          // of the loss: the sum over layers
};

/// Stored bits of all layers under these widths, for each of their weights.
double stored_bits_per_weight(const std::vector<SchemeLayer>& layers, const std::vector<int>& bits);

/// Throws Error(usage) that names the least and the most stored bits per weight that can be, unless `target` is one of
/// those between them.
void check_reachable(const std::vector<SchemeLayer>& layers, double target);
/// The first widths on the way down that take no more than `target` stored bits per weight: short of it by less than a
/// bit of every weight of the layer that fell last. Fixed layers keep theirs. `sensitivity`: of these layers. Throws as
/// check_reachable() does.
ChosenWidths choose_widths(const std::vector<SchemeLayer>& layers, const Sensitivity& sensitivity, double target);

}  // namespace bsq
