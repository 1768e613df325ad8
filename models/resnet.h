// CIFAR ResNets (He et al. 2016, section 4.2): 6n+2 layers of basic blocks, or 9n+2 of bottlenecks, widths w, 2w, 4w,
// 1x1 projections with batch norm.
//
// Stem conv1 + bn1 + ReLU (never quantized); blocks conv1 + bn1 + act, conv2 + bn2 [+ act, conv3 + bn3] + shortcut +
// act; global average pooling; fc. Projections stay float unless asked for, as in the published code. Parameters have
// PyTorch's names: conv1, bn1, layer{1,2,3}.{block}.{conv1,bn1,conv2,bn2,downsample.0,downsample.1}, fc; PACT's
// ceilings are layer1.0.relu1.alpha.
#pragma once

#include "engine/config/config_schema.h"
#include "engine/files/safetensors.h"
#include "engine/network/layer_kinds.h"
#include "models/families.h"

namespace bsq {

struct ResNetOptions {
  int depth = 20;  // 6n + 2, or 9n + 2 of bottlenecks
  int width = 16;
  bool is_bottleneck = false;
  int num_classes = 10;
  int image_height = 32;
  int image_width = 32;
  int image_channels = 3;
  // For make_resnet, not part of the spec:
  Activation activation = Activation::relu6;  // of the blocks
  int act_bits = 0;                           // of the blocks; 0: not quantized
  bool static_act_scales = false;             // room for calibrated ones: layer1.0.relu1.act_scale
};

/// Throws Error(usage) for a depth that there is not.
NetworkSpec resnet_spec(const ResNetOptions& options);
Network make_resnet(const ResNetOptions& options);

/// Depth, width and classes from the tensors of a checkpoint in any form; nothing if it is no such ResNet. Throws
/// Error(checkpoint) if it claims to be one that cannot be.
std::optional<ResNetOptions> recognize_resnet(const ParameterFinder& find, const std::string& where);

// The family `resnet` of configurations.
void add_resnet_keys(ConfigSchema& schema);
NetworkSpec configured_resnet(const Config& config, const Shape& image, int classes);
std::optional<NetworkSpec> resnet_spec_of(const ParameterFinder& find, const std::string& where);

}  // namespace bsq
