// What resnet and preresnet share: depth, width, block, and the convolutions of a block.
#pragma once

#include "engine/config/config_schema.h"
#include "models/depths.h"
#include "models/spec_builder.h"

namespace bsq {

struct ResidualSettings {
  int depth = 20;
  int width = 16;  // of the first of three stages, doubled in each next one
  bool is_bottleneck = false;

  DepthRule rule() const { return is_bottleneck ? DepthRule{9, 2} : DepthRule{6, 2}; }
  /// Of a stage.
  int blocks() const { return rule().blocks(depth); }
  /// Channels of a block's output.
  int outputs(int planes) const { return is_bottleneck ? 4 * planes : planes; }
  /// The convolutions of a block; the stride is that of its first 3x3.
  std::vector<ConvOptions> convolutions(int planes, int stride) const;
  /// "resnet20", "resnet29-bottleneck".
  std::string name(const std::string& family) const;
  nlohmann::ordered_json json(bool shows_basic) const;
};

/// depth, width and block, with the rule for the depth.
void add_residual_keys(ConfigSchema& schema, const std::string& family);
ResidualSettings residual_settings(const Config& config);

}  // namespace bsq
