#include "engine/network/layers/average_pool.h"

#include "engine/network/layer_kinds.h"
#include "kernels/base/error.h"

namespace bsq {
namespace {

PoolGeometry geometry(const Shape& input, DType dtype) {
  return {.batch = static_cast<int>(input[0]),
          .pixels = static_cast<int>(input[1] * input[2]),
          .channels = static_cast<int>(input[3]),
          .dtype = dtype};
}

}  // namespace

TensorSpec AveragePool::output(std::span<const TensorSpec> inputs) const {
  require(inputs.size() == 1 && inputs[0].shape.rank == 4, "average_pool wants one input [N, H, W, C]");
  return {{inputs[0].shape[0], inputs[0].shape[3]}, DType::f32};
}

void AveragePool::forward(const ForwardPass& pass) const {
  const TensorView& x = pass.inputs[0];
  pass.backend.average_pool_forward({geometry(x.shape, x.dtype), x.data, x.unit, pass.output.as<float>()});
}

void AveragePool::backward(const BackwardPass& pass) const {
  const TensorView& x = pass.inputs[0];
  require(pass.modes[0] == GradMode::overwrite, "average_pool cannot add to a gradient");
  pass.backend.average_pool_backward(
      {geometry(x.shape, x.dtype), pass.d_output.as<float>(), x.unit, pass.d_inputs[0].data});
}

std::unique_ptr<Layer> make_average_pool(const LayerRequest& request) {
  request.want_inputs(1, 1);
  request.image(0);
  request.options().finish();
  return std::make_unique<AveragePool>();
}

}  // namespace bsq
