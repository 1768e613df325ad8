// What a configuration asks of its network, checked before anything runs.
#pragma once

#include "engine/config/config.h"
#include "engine/model/model_card.h"
#include "engine/network/network_spec.h"

namespace bsq {

/// Before any data are opened. Throws Error(usage) if quant.layers does not fit the network, or if a method cannot give
/// what it is asked for (Method::conflict). The latter may depend on size and classes of the images: where only files
/// tell these, it is left to the check of the whole network.
void check_network(const Config& config);
/// Throws Error(usage) if a method cannot give with this network what it is asked for, or if quant.signed asks for what
/// the network does not have. `card`: that of the run's model files, whose size a budget may limit.
void check_network(const Config& config, const NetworkSpec& spec, const ModelCard& card);

}  // namespace bsq
