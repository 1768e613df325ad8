// What training keeps in float and the deployed network in integers is put where the integers are (METHOD 16).
#pragma once

#include "engine/deployed/deployment_plan.h"
#include "engine/input/input_options.h"
#include "engine/model/model.h"

namespace bsq {

/// Rounds float filters of convolutions to the levels that they have in integers, and every beta of a norm behind a
/// convolution so that the offset of each channel is a whole number of units of its sums. Changes neither running
/// statistics nor momentum. Activation scales and ranges must be calibrated; does nothing if one of them is no finite
/// number, or if a range is not a state of the model. Throws Error(usage) if the network has no deployed form for this
/// input, as deploy() does.
void settle_in_integers(Backend& backend, Model& model, const DeploymentPlan& plan, const InputOptions& input);

}  // namespace bsq
