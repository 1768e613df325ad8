// Batch norm + optional shortcut + activation + activation quantizer in one operation (METHOD 6).
//
// inputs[0] x [N, H, W, C], inputs[1] (optional) shortcut of the same shape; output the same. Saves mean, 1/std and
// max|y|. x may be a part of wider rows. If the convolution that wrote x has left its bias to the norm, that moves the
// running mean alone, and its gradient is 0. z = gamma xhat + beta + shortcut;  y = quantize(act(z)), stored as
// integers;  dz = dy act'(z) (straight through the quantizer); d_shortcut = dz;  d_beta = sum dz;  d_gamma = sum dz
// xhat;  dx = gamma / std (dz - mean(dz) - xhat mean(dz xhat)).
#pragma once

#include "engine/network/layers/activation.h"

#include <memory>
#include <string>

namespace bsq {

struct LayerRequest;

struct NormActOptions {
  int channels = 0;
  Activation activation = Activation::relu;
  int act_bits = 0;
  std::string activation_name = {};  // PyTorch's module: layer1.0.relu1; empty if there is none
  float epsilon = NormActRule{}.epsilon;
  float momentum = NormActRule{}.momentum;
};

struct NormActParameters {
  ParameterId gamma = -1;
  ParameterId beta = -1;
  ParameterId clip = -1;  // a learned ceiling
  StateId running_mean = -1;
  StateId running_var = -1;
  StateId act_scale = -1;       // [1], a static S for inference; below 0: not calibrated yet
  ParameterId input_bias = -1;  // of the convolution that wrote x, which has left it to this norm
  RangeStates ranges = {};
};

class NormAct final : public Layer {
 public:
  NormAct(const NormActOptions& options, const NormActParameters& ids) : options_(options), ids_(ids) {}

  std::string_view kind() const override { return "norm_act"; }
  TensorSpec output(std::span<const TensorSpec> inputs) const override;
  LayerMemory plan(Backend& backend, std::span<const TensorSpec> inputs, const LayerUse& use) const override;
  std::vector<ParameterId> parameters() const override;
  /// Quantized activations are integer levels: a convolution of them is exact in every precision.
  TensorUnit output_unit(std::span<const TensorView> inputs, const ParameterMemory& parameters,
                         float* own) const override;
  std::optional<OutputQuantizer> quantizer() const override { return activation().quantizer(); }
  std::vector<RoundedNumbers> rounded() const override { return ids_.ranges.rounded(true); }
  bool takes_output_bias(std::size_t input) const override { return input == 0; }
  bool takes_pitch(std::size_t input) const override { return input == 0; }
  std::int64_t exchanged_statistics() const override;
  bool runs_norm() const override { return true; }
  NormActForwardArgs norm(const ForwardPass& pass) const override;
  NormActBackwardArgs norm(const BackwardPass& pass) const override;
  void forward(const ForwardPass& pass) const override { pass.backend.norm_act_forward(norm(pass)); }
  void backward(const BackwardPass& pass) const override { pass.backend.norm_act_backward(norm(pass)); }

  const NormActOptions& options() const { return options_; }
  /// The state that holds its static activation scale, or -1.
  StateId act_scale() const { return ids_.act_scale; }
  const NormActParameters& ids() const { return ids_; }
  ActivationPart activation() const {
    return {options_.activation, options_.act_bits, options_.activation_name, ids_.clip, ids_.act_scale};
  }

 private:
  NormActGeometry geometry(const Shape& input, DType dtype, std::int64_t pitch = 0) const;
  NormActRule rule(bool batch_statistics) const;
  NormParameters parameters(const ParameterMemory& memory) const;
  NormSaved saved(void* memory) const;

  NormActOptions options_;
  NormActParameters ids_;
};

std::unique_ptr<Layer> make_norm_act(const LayerRequest& request);

}  // namespace bsq
