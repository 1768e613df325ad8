// Averages of an image [N, H, W, C]: of all of it, [N, C] float32; or of windows, an image of the input's type. Either
// without a unit: averages of levels are no levels. Saves nothing; dx = dy over the numbers of the window.
#pragma once

#include "engine/network/layer.h"

#include <memory>

namespace bsq {

struct LayerRequest;

/// One of the two, or neither: the whole image.
struct AveragePoolOptions {
  int kernel = 0;  // windows of kernel x kernel side by side; what is left over at the end belongs to none
  int out = 0;     // out x out windows that cover the image (WindowAverageGeometry)

  bool is_global() const { return kernel == 0 && out == 0; }
};

class AveragePool final : public Layer {
 public:
  explicit AveragePool(const AveragePoolOptions& options = {}) : options_(options) {}

  std::string_view kind() const override { return "average_pool"; }
  TensorSpec output(std::span<const TensorSpec> inputs) const override;
  LayerMemory plan(Backend&, std::span<const TensorSpec>, const LayerUse&) const override { return {}; }
  bool backward_reads_inputs() const override { return false; }
  void forward(const ForwardPass& pass) const override;
  void backward(const BackwardPass& pass) const override;

  const AveragePoolOptions& options() const { return options_; }

 private:
  WindowAverageGeometry windows(const Shape& input, DType dtype) const;

  AveragePoolOptions options_;
};

std::unique_ptr<Layer> make_average_pool(const LayerRequest& request);

}  // namespace bsq
