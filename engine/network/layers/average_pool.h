// Global average pooling: input [N, H, W, C], output [N, C] float32. Saves nothing; dx = dy / (H W).
#pragma once

#include "engine/network/layer.h"

namespace bsq {

class AveragePool final : public Layer {
 public:
  std::string_view kind() const override { return "average_pool"; }
  TensorSpec output(std::span<const TensorSpec> inputs) const override;
  LayerMemory plan(Backend&, std::span<const TensorSpec>, const LayerUse&) const override { return {}; }
  bool backward_reads_inputs() const override { return false; }
  void forward(const ForwardPass& pass) const override;
  void backward(const BackwardPass& pass) const override;
};

}  // namespace bsq
