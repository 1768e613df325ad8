// What a configuration says, before any training, of the deployed form (METHOD 16) of the model that it makes.
#pragma once

#include "engine/config/config.h"

#include <string>
#include <vector>

namespace bsq {

/// Sentences for whoever wants to deploy: why there will be no such form, or else what will be rounded there and what
/// some processors compute differently, each with the key that changes it. The first one is the answer itself. Nothing
/// if no stage quantizes.
std::vector<std::string> deployment_forecast(const Config& config);

/// For a run that trains in that arithmetic (quant.deployed): what it will not be told of all the same.
std::vector<std::string> deployment_warnings(const Config& config);

}  // namespace bsq
