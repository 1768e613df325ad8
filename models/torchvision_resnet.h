// torchvision's ResNet-18, 34 and 50 (He et al. 2016, the stride of a bottleneck on its 3x3), for images of any size: a
// 7x7 stem with stride 2 and a max pool, four stages.
//
// The stem's ReLU is float, all others are quantized, those after the sums too. PyTorch's names: conv1, bn1,
// layer{1..4}.{i}.{conv1,bn1,...}, .downsample.{0,1}, fc.
#pragma once

#include "engine/config/config_schema.h"
#include "engine/network/network_spec.h"

namespace bsq {

void add_torchvision_resnet_keys(ConfigSchema& schema);
NetworkSpec configured_torchvision_resnet(const Config& config, const Shape& image, int classes);

}  // namespace bsq
