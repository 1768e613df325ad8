// Max pooling over square windows: input [N, H, W, C], output [N, H', W', C] of its type, in its unit: the largest of
// some levels is a level. Saves which place of its window each number was found at; dx = dy there.
#pragma once

#include "engine/network/layer.h"

#include <memory>

namespace bsq {

struct LayerRequest;

struct MaxPoolOptions {
  int kernel = 2;
  int stride = 2;
  int padding = 0;         // kernel / 2 at most
  bool ceil_mode = false;  // windows may reach beyond the image at its end
};

class MaxPool final : public Layer {
 public:
  explicit MaxPool(const MaxPoolOptions& options) : options_(options) {}

  std::string_view kind() const override { return "max_pool"; }
  TensorSpec output(std::span<const TensorSpec> inputs) const override;
  LayerMemory plan(Backend& backend, std::span<const TensorSpec> inputs, const LayerUse& use) const override;
  TensorUnit output_unit(std::span<const TensorView> inputs, const ParameterMemory& parameters,
                         float* own) const override;
  bool backward_reads_inputs() const override { return false; }
  void forward(const ForwardPass& pass) const override;
  void backward(const BackwardPass& pass) const override;

  const MaxPoolOptions& options() const { return options_; }
  MaxPoolGeometry geometry(const Shape& input, DType dtype) const;

 private:
  MaxPoolOptions options_;
};

std::unique_ptr<Layer> make_max_pool(const LayerRequest& request);

}  // namespace bsq
