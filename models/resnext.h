// ResNeXt for CIFAR (Xie et al. 2017), of bearpaw's pytorch-classification: bottlenecks whose 3x3 convolution has
// `cardinality` groups of 64, 128, 256 channels.
//
// PyTorch's names: conv_1_3x3, bn_1, stage_1.stage_1_bottleneck_0.{conv_reduce,bn_reduce,conv_conv,bn,conv_expand,
// bn_expand}, .shortcut.{shortcut_conv,shortcut_bn}, classifier.
#pragma once

#include "engine/config/config_schema.h"
#include "engine/network/network_spec.h"

namespace bsq {

void add_resnext_keys(ConfigSchema& schema);
NetworkSpec configured_resnext(const Config& config, const Shape& image, int classes);

}  // namespace bsq
