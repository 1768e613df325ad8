// 2-D convolution. Input [N, H, W, I], output [N, H', W', O], weight OHWI, of I / groups channels; PyTorch's padding
// rules and groups. A bias is left to the layer that reads the output, so that a convolution of levels stays one of
// integers.
//
// Saves nothing. The unit of y is that of x times that of w. y = x * w;  dx = dy * w^T (d_inputs[0]);  dw = x^T dy.
#pragma once

#include "engine/network/layer.h"

#include <memory>

namespace bsq {

struct LayerRequest;

struct Conv2dOptions {
  int in_channels = 0;
  int out_channels = 0;
  int kernel = 3;
  int stride = 1;
  int padding = 1;
  int groups = 1;  // divides both numbers of channels
};

class Conv2d final : public Layer {
 public:
  Conv2d(const Conv2dOptions& options, ParameterId weight, std::optional<ParameterId> bias = {})
      : options_(options), weight_(weight), bias_(bias) {}

  std::string_view kind() const override { return "conv2d"; }
  TensorSpec output(std::span<const TensorSpec> inputs) const override;
  LayerMemory plan(Backend& backend, std::span<const TensorSpec> inputs, const LayerUse& use) const override;
  std::optional<ConvRequest> convolution(std::span<const TensorSpec> inputs, const LayerUse& use) const override;
  bool runs_convolution() const override { return true; }
  bool reads_images() const override { return true; }
  std::vector<ParameterId> parameters() const override { return {weight_}; }
  std::optional<ParameterId> output_bias() const override { return bias_; }
  double flops(std::span<const TensorSpec> inputs) const override;
  TensorUnit output_unit(std::span<const TensorView> inputs, const ParameterMemory& parameters,
                         float* own) const override;
  void forward(const ForwardPass& pass) const override;
  void backward(const BackwardPass& pass) const override;

  const Conv2dOptions& options() const { return options_; }
  ParameterId weight() const { return weight_; }
  ConvGeometry geometry(const Shape& input, DType dtype) const;

 private:
  Conv2dOptions options_;
  ParameterId weight_;
  std::optional<ParameterId> bias_;
};

std::unique_ptr<Layer> make_conv2d(const LayerRequest& request);

}  // namespace bsq
