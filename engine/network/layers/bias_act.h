// Bias + optional second addend + activation + activation quantizer in one operation, without a norm (METHOD 6).
//
// inputs[0] and inputs[1] (optional): images [N, H, W, C], or vectors [N, C], of one shape; output the same. The bias
// is that of the convolution that wrote one of them, if it has one. Saves max|y|. z = x0 + x1 + bias; y =
// quantize(act(z)), stored as integers; dz = dy act'(z) (straight through the quantizer); d_inputs = dz, d_bias = sum
// dz.
#pragma once

#include "engine/network/layers/activation.h"

#include <memory>

namespace bsq {

struct BiasActOptions {
  int channels = 0;
  ActivationPart activation = {};
  ParameterId bias = -1;  // -1: none
  int biased_input = 0;   // the input whose convolution has left the bias to this layer
  RangeStates ranges = {};
};

class BiasAct final : public Layer {
 public:
  explicit BiasAct(const BiasActOptions& options) : options_(options) {}

  std::string_view kind() const override { return "bias_act"; }
  TensorSpec output(std::span<const TensorSpec> inputs) const override;
  LayerMemory plan(Backend& backend, std::span<const TensorSpec> inputs, const LayerUse& use) const override;
  std::vector<ParameterId> parameters() const override;
  /// Quantized activations are integer levels, as those of a norm_act.
  TensorUnit output_unit(std::span<const TensorView> inputs, const ParameterMemory& parameters,
                         float* own) const override;
  std::optional<OutputQuantizer> quantizer() const override { return options_.activation.quantizer(); }
  std::vector<RoundedNumbers> rounded() const override { return options_.ranges.rounded(options_.bias >= 0); }
  bool takes_output_bias(std::size_t /*input*/) const override { return true; }
  /// max|y|.
  std::int64_t exchanged_statistics() const override { return options_.activation.takes_maximum() ? 1 : 0; }
  bool backward_reads_inputs() const override { return options_.activation.activation != Activation::none; }
  void forward(const ForwardPass& pass) const override;
  void backward(const BackwardPass& pass) const override;

  const BiasActOptions& options() const { return options_; }

 private:
  NormActGeometry geometry(const Shape& input, DType dtype, std::int64_t pitch = 0) const;
  NormActRule rule(bool training) const;
  NormParameters parameters(const ParameterMemory& memory) const;

  BiasActOptions options_;
};

std::unique_ptr<Layer> make_bias_act(const LayerRequest& request);
/// A bias_act of two inputs.
std::unique_ptr<Layer> make_add(const LayerRequest& request);

}  // namespace bsq
