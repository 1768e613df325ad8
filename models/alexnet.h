// AlexNet for CIFAR, of bearpaw's pytorch-classification: five convolutions with biases, three max pools, one linear
// layer, no norm.
//
// The first ReLU is float, the others are quantized, each before its pool. PyTorch's names: features.{0,3,6,8,10},
// classifier. Images of 29 pixels and more: what is left of them is averaged.
#pragma once

#include "engine/config/config_schema.h"
#include "engine/network/network_spec.h"

namespace bsq {

NetworkSpec configured_alexnet(const Config& config, const Shape& image, int classes);

}  // namespace bsq
