// VGG for CIFAR (Simonyan and Zisserman 2015), of bearpaw's pytorch-classification: vgg11, 13, 16, 19 without and with
// batch norm. Five stages of 3x3 convolutions with biases, each closed by a max pool; one linear layer.
//
// The first ReLU is float, the others are quantized, each before its pool. Biases before a norm have no effect on
// training: they are float and in no count of bits. PyTorch's names: features.N in one flat list, classifier.
#pragma once

#include "engine/config/config_schema.h"
#include "engine/network/network_spec.h"

namespace bsq {

void add_vgg_keys(ConfigSchema& schema);
NetworkSpec configured_vgg(const Config& config, const Shape& image, int classes);
void add_vgg_bn_keys(ConfigSchema& schema);
NetworkSpec configured_vgg_bn(const Config& config, const Shape& image, int classes);

}  // namespace bsq
