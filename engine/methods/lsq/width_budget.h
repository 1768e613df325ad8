// Which tensors of LSQ lose a bit under a budget: those whose rounding changes the loss least (METHOD 13, DAMBQ's
// rule).
#pragma once

#include "engine/config/config.h"
#include "engine/methods/lsq/lsq_keys.h"
#include "engine/network/parameters.h"

#include <vector>

namespace bsq {

/// How many epochs the budget is to be met in: what the configuration says, or half of the stage.
int window_of(const LsqConfig& options, const StageConfig& stage);
/// The bits per weight after so many epochs by the plan: from those at the start down to the target, as a parabola, and
/// the target from the end of the window on.
double planned_width(double start, double target, int epochs, int window);
/// Whether some tensor could lose a bit and bring the average nearer to the target.
bool can_come_nearer(const std::vector<int>& bits, const ArenaLayout& layout, double target);
/// Takes bits from tensors whose width is not fixed, the one of the least sensitivity first, until the average is no
/// more than `planned`, and as long as it comes nearer to the target: a bit that would leave it further below than it
/// is above stays. Each tensor loses one bit at most, or with `several` as many as that takes: a sensitivity doubles
/// with every bit. Returns the bits that are left.
std::vector<int> take_bits(std::vector<int> bits, std::vector<float> sensitivities, const ArenaLayout& layout,
                           double target, double planned, bool several);

}  // namespace bsq
