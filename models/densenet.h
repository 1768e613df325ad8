// DenseNets for CIFAR (Huang et al. 2017), of bearpaw's pytorch-classification: three dense blocks, each layer of which
// appends `growth_rate` channels, and two transitions that divide the channels by `compression_rate`.
//
// Every ReLU is quantized; what the layers append is float. PyTorch's names: conv1, dense{1,2,3}.{i}.{bn1,conv1,bn2,
// conv2}, trans{1,2}.{bn1,conv1}, bn, fc.
#pragma once

#include "engine/config/config_schema.h"
#include "engine/network/network_spec.h"

namespace bsq {

void add_densenet_keys(ConfigSchema& schema);
NetworkSpec configured_densenet(const Config& config, const Shape& image, int classes);

}  // namespace bsq
