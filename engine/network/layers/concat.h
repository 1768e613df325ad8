// Concatenation along channels. Inputs [N, H, W, C_i], output [N, H, W, sum of C_i] without a unit.
//
// Saves nothing. y = [u_1 x_1 | u_2 x_2 | ...];  dx_i = u_i times its slice of dy. Of a first input that lies where the
// output begins nothing is copied, and its gradient is the beginning of dy.
#pragma once

#include "engine/network/layer.h"

#include <memory>

namespace bsq {

struct LayerRequest;

class Concat final : public Layer {
 public:
  std::string_view kind() const override { return "concat"; }
  TensorSpec output(std::span<const TensorSpec> inputs) const override;
  LayerMemory plan(Backend&, std::span<const TensorSpec>, const LayerUse&) const override { return {}; }
  bool backward_reads_inputs() const override { return false; }
  bool takes_pitch(std::size_t /*input*/) const override { return true; }
  bool extends_first_input() const override { return true; }
  void forward(const ForwardPass& pass) const override;
  void backward(const BackwardPass& pass) const override;
};

std::unique_ptr<Layer> make_concat(const LayerRequest& request);

}  // namespace bsq
