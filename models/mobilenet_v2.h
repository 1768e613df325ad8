// torchvision's MobileNetV2 (Sandler et al. 2018), for images of any size: inverted residual blocks with depthwise
// convolutions; its float network has ReLU6.
//
// features.0's ReLU6 is float, the others are quantized; projections and sums have no activation, so that expansions
// read float numbers. PyTorch's names: features.0.{0,1}, features.{i}.conv.{...}, features.18.{0,1}, classifier.1.
#pragma once

#include "engine/config/config_schema.h"
#include "engine/network/network_spec.h"

namespace bsq {

void add_mobilenet_v2_keys(ConfigSchema& schema);
NetworkSpec configured_mobilenet_v2(const Config& config, const Shape& image, int classes);

}  // namespace bsq
