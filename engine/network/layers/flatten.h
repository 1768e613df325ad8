// An image as a vector, for linear: input [N, H, W, C], output [N, C H W] float32 in PyTorch's order, the unit of the
// input multiplied. Saves nothing; dx is dy in the other order, times the unit.
#pragma once

#include "engine/network/layer.h"

#include <memory>

namespace bsq {

struct LayerRequest;

class Flatten final : public Layer {
 public:
  std::string_view kind() const override { return "flatten"; }
  TensorSpec output(std::span<const TensorSpec> inputs) const override;
  LayerMemory plan(Backend&, std::span<const TensorSpec>, const LayerUse&) const override { return {}; }
  bool backward_reads_inputs() const override { return false; }
  void forward(const ForwardPass& pass) const override;
  void backward(const BackwardPass& pass) const override;
};

std::unique_ptr<Layer> make_flatten(const LayerRequest& request);

}  // namespace bsq
