// Global average pooling: input [N, H, W, C], output [N, C] float32. Saves nothing; dx = dy / (H W).
#pragma once

#include "engine/network/layer.h"

#include <memory>

namespace bsq {

struct LayerRequest;

class AveragePool final : public Layer {
 public:
  std::string_view kind() const override { return "average_pool"; }
  TensorSpec output(std::span<const TensorSpec> inputs) const override;
  LayerMemory plan(Backend&, std::span<const TensorSpec>, const LayerUse&) const override { return {}; }
  bool backward_reads_inputs() const override { return false; }
  bool adds_gradients() const override { return false; }
  void forward(const ForwardPass& pass) const override;
  void backward(const BackwardPass& pass) const override;
};

std::unique_ptr<Layer> make_average_pool(const LayerRequest& request);

}  // namespace bsq
