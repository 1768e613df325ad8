// What a budget asks of the planes of a network: which ones stay where re-quantization would drop more than needed, and
// which ones go where it drops too little (METHOD 15).
#pragma once

#include "engine/methods/bsq/bit_planes.h"
#include "engine/methods/bsq/bsq_keys.h"
#include "engine/model/bit_budget.h"
#include "engine/network/parameters.h"

#include <vector>

namespace bsq {

/// BitBudget::average of these planes.
double average_bits(const BitBudget& budget, const std::vector<BitPlanes>& planes, const ArenaLayout& layout);

/// Re-quantizes every tensor; one of a fixed width keeps it. `may_grow`: whether a tensor may get another plane, up to
/// most_bits.
void requantize_all(std::vector<BitPlanes>& planes, const ArenaLayout& layout, const std::vector<int>& most_bits,
                    bool may_grow);
/// Adjusts all re-quantized tensors but those of a fixed width.
void adjust_all(std::vector<BitPlanes>& planes, const ArenaLayout& layout, double threshold_percent);

/// The same, but of the planes that would go, those stay by which the average comes nearest to the budget from below,
/// or beyond it by less than it would be missed without them.
void adjust_to(std::vector<BitPlanes>& planes, const ArenaLayout& layout, double threshold_percent,
               const BitBudget& budget);

/// Takes least significant planes away, as long as the average, in the count of the budget, comes nearer to the target:
/// always the one with the smallest relative squared change of its tensor's weights for what it saves. Returns how
/// many, by slot. Re-quantized planes.
std::vector<int> remove_planes(std::vector<BitPlanes>& planes, const ArenaLayout& layout, const BitBudget& budget,
                               double target);

}  // namespace bsq
