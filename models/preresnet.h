// Pre-activation ResNets for CIFAR (He et al. 2016b), of bearpaw's pytorch-classification: norms stand before the
// convolutions, sums are neither activated nor quantized.
//
// Shortcuts read the raw stream, projections too, which have no norm. Every ReLU is quantized. PyTorch's names: conv1,
// layer{1,2,3}.{i}.{bn1,conv1,...}, layer2.0.downsample.0, bn, fc.
#pragma once

#include "engine/config/config_schema.h"
#include "engine/network/network_spec.h"

namespace bsq {

void add_preresnet_keys(ConfigSchema& schema);
NetworkSpec configured_preresnet(const Config& config, const Shape& image, int classes);

}  // namespace bsq
