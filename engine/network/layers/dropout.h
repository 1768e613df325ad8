// Dropout. One input of any shape [N, ...], the output like it.
//
// Saves nothing: backward draws the mask again. y = m x / (1 - rate) with m = 0 for what is dropped, else 1;
// dx = m dy / (1 - rate). Numbers in a unit stay as they are stored, so that levels stay integers: their unit takes the
// factor. The mask of a sample is a function of seed, stage, number of the layer, epoch and sample. Inference leaves it
// out.
#pragma once

#include "engine/network/layer.h"

#include <memory>

namespace bsq {

struct LayerRequest;

class Dropout final : public Layer {
 public:
  /// `number`: among the dropouts of the network, from 0.
  Dropout(double rate, int number) : rate_(rate), number_(number) {}

  std::string_view kind() const override { return "dropout"; }
  TensorSpec output(std::span<const TensorSpec> inputs) const override;
  LayerMemory plan(Backend&, std::span<const TensorSpec>, const LayerUse&) const override { return {}; }
  TensorUnit output_unit(std::span<const TensorView> inputs, const ParameterMemory& parameters,
                         float* own) const override;
  bool backward_reads_inputs() const override { return false; }
  bool is_left_out_in_inference() const override { return true; }
  void forward(const ForwardPass& pass) const override;
  void backward(const BackwardPass& pass) const override;

  double rate() const { return rate_; }

 private:
  SampleKeys own_keys(const SampleKeys& of_step) const;

  double rate_;
  int number_;
};

std::unique_ptr<Layer> make_dropout(const LayerRequest& request);

}  // namespace bsq
