// A trained network for other classes than it was trained for: its classifier begins anew (model.init_classifier).
#pragma once

#include "tools/session/open_model.h"

namespace bsq {

/// The layer whose outputs are the classes: the last one that has weights. `fc`.
std::string classifier_of(const Network& network);
/// Whether it is one of the layer's own parameters.
bool belongs_to(const ParameterSpec& parameter, const std::string& layer);

/// The model as one of this network, which differs in its classes alone, with the start values of this seed in its
/// classifier. `model`: of float weights.
OpenModel with_fresh_classifier(OpenModel model, const NetworkSpec& spec, std::uint64_t seed);

}  // namespace bsq
