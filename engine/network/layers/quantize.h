// The quantizer of LSQ+, for numbers of either sign (METHOD 6). One input of any shape [N, ...], the output like it.
//
// Saves nothing. y = step k + offset, k = round(clamp((x - offset) / step, 0, 2^n - 1)), stored as numbers: levels from
// an offset on are no integers of one unit. dx = dy where k was not clamped, else 0; the gradients of step and offset
// have LSQ's factor 1 / sqrt(numbers of an image times (2^n - 1)). A network has it only where a stage quantizes such
// numbers: elsewhere its readers read its input.
#pragma once

#include "engine/network/layer.h"

#include <memory>
#include <string>

namespace bsq {

struct LayerRequest;

struct QuantizeOptions {
  std::string name;  // of the node
  int bits = 0;
  ParameterId step = -1;
  ParameterId offset = -1;
};

class Quantize final : public Layer {
 public:
  explicit Quantize(QuantizeOptions options) : options_(std::move(options)) {}

  std::string_view kind() const override { return "quantize"; }
  TensorSpec output(std::span<const TensorSpec> inputs) const override;
  LayerMemory plan(Backend& backend, std::span<const TensorSpec> inputs, const LayerUse& use) const override;
  std::vector<ParameterId> parameters() const override { return {options_.step, options_.offset}; }
  std::optional<OutputQuantizer> quantizer() const override;
  void forward(const ForwardPass& pass) const override;
  void backward(const BackwardPass& pass) const override;

  const QuantizeOptions& options() const { return options_; }

 private:
  OffsetQuantizerGeometry geometry(const Shape& input, DType dtype) const;
  OffsetQuantizerParameters parameters_in(const ParameterMemory& memory) const;

  QuantizeOptions options_;
};

/// Null where the stage leaves such numbers as they are.
std::unique_ptr<Layer> make_quantize(const LayerRequest& request);

}  // namespace bsq
