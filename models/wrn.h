// Wide ResNets (Zagoruyko and Komodakis 2016), of bearpaw's pytorch-classification: pre-activation blocks of two 3x3
// convolutions, widths 16k, 32k, 64k.
//
// A projection reads the activated input of its layer, other shortcuts the raw stream. Every ReLU is quantized; dropout
// comes after the second one. PyTorch's names: conv1, block{1,2,3}.layer.{i}.{bn1,conv1,bn2,conv2,convShortcut}, bn1,
// fc.
#pragma once

#include "engine/config/config_schema.h"
#include "engine/network/network_spec.h"

namespace bsq {

void add_wrn_keys(ConfigSchema& schema);
NetworkSpec configured_wrn(const Config& config, const Shape& image, int classes);

}  // namespace bsq
