// The blocks of ResNets whose norms follow the convolutions: those for CIFAR and torchvision's.
#pragma once

#include "models/residual.h"
#include "models/spec_builder.h"

#include <span>

namespace bsq {

class ResidualBuilder : public SpecBuilder {
 public:
  /// `torch_projections`: projections start as PyTorch's layers do, not as all other convolutions.
  ResidualBuilder(const std::string& name, const nlohmann::ordered_json& json, const ResidualSettings& settings,
                  const Shape& image, bool torch_projections = false)
      : SpecBuilder(name, json, image), settings_(settings), torch_projections_(torch_projections) {}

  /// layer1, layer2, ...: so many blocks each; every stage but the first halves the image. Returns the last node.
  std::string stages(const std::string& input, int channels, std::span<const int> blocks);

 private:
  std::string block(const std::string& name, const std::string& input, int channels, int planes, int stride);

  ResidualSettings settings_;
  bool torch_projections_;
};

}  // namespace bsq
