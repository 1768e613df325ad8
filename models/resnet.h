// CIFAR ResNets (He et al. 2016, section 4.2): 6n+2 layers, basic blocks, widths w, 2w, 4w, 1x1 shortcuts with batch
// norm.
//
// Stem conv1 + bn1 + ReLU (never quantized); blocks conv1 + bn1 + act, conv2 + bn2 + shortcut + act; global average
// pooling; fc. The 3x3 convolutions and fc (weight and bias) are quantizable, the 1x1 shortcut convolutions stay float,
// as in the published code. Parameters have PyTorch's names: conv1, bn1,
// layer{1,2,3}.{block}.{conv1,bn1,conv2,bn2,downsample.0,downsample.1}, fc; PACT's ceilings are layer1.0.relu1.alpha.
#pragma once

#include "engine/config/config_schema.h"
#include "engine/files/safetensors.h"
#include "engine/network/layer_kinds.h"
#include "models/families.h"

namespace bsq {

struct ResNetOptions {
  int depth = 20;  // 6n + 2
  int width = 16;
  int num_classes = 10;
  int image_height = 32;
  int image_width = 32;
  // For make_resnet, not part of the spec:
  Activation activation = Activation::relu6;  // of the blocks
  int act_bits = 0;                           // of the blocks; 0: not quantized
  bool static_act_scales = false;             // room for calibrated ones: layer1.0.relu1.act_scale
};

/// Throws Error(usage) for a depth that is not 6n + 2.
NetworkSpec resnet_spec(const ResNetOptions& options);
Network make_resnet(const ResNetOptions& options);

/// Depth, width and classes from the tensors of a checkpoint in any form; nothing if it is no such ResNet. Throws
/// Error(checkpoint) if it claims to be one that cannot be.
std::optional<ResNetOptions> recognize_resnet(const ParameterFinder& find, const std::string& where);

// The family `resnet` of configurations.
struct ResNetConfig {
  int depth = 20;  // layers, 6n+2 (--depth)
  int width = 16;  // channels of the first of the three groups; each next group has twice as many
};
void add_resnet_keys(ConfigSchema& schema);
NetworkSpec configured_resnet(const Config& config, const Shape& image, int classes);
std::optional<NetworkSpec> resnet_spec_of(const ParameterFinder& find, const std::string& where);

}  // namespace bsq
