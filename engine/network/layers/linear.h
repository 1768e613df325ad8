// A linear layer: input [N, I] float32, weight [O, I], bias [O], output [N, O] float32. Saves nothing.
//
// y = u x w^T + b;  dx = u dy w;  dw = u dy^T x;  db = column sums of dy; u the unit of x.
#pragma once

#include "engine/network/layer.h"

#include <memory>

namespace bsq {

struct LayerRequest;

class Linear final : public Layer {
 public:
  Linear(int in_features, int out_features, ParameterId weight, ParameterId bias)
      : in_features_(in_features), out_features_(out_features), weight_(weight), bias_(bias) {}

  std::string_view kind() const override { return "linear"; }
  TensorSpec output(std::span<const TensorSpec> inputs) const override;
  LayerMemory plan(Backend& backend, std::span<const TensorSpec> inputs, const LayerUse& use) const override;
  std::vector<ParameterId> parameters() const override { return {weight_, bias_}; }
  double flops(std::span<const TensorSpec> inputs) const override;
  void forward(const ForwardPass& pass) const override;
  void backward(const BackwardPass& pass) const override;

  ParameterId weight() const { return weight_; }
  ParameterId bias() const { return bias_; }

 private:
  LinearGeometry geometry(const Shape& input) const;

  int in_features_;
  int out_features_;
  ParameterId weight_;
  ParameterId bias_;
};

std::unique_ptr<Layer> make_linear(const LayerRequest& request);

}  // namespace bsq
