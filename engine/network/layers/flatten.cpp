#include "engine/network/layers/flatten.h"

#include "engine/network/layer_kinds.h"
#include "kernels/base/error.h"

namespace bsq {
namespace {

FlattenGeometry flatten_geometry(const TensorView& x) {
  return {.batch = static_cast<int>(x.shape[0]),
          .pixels = static_cast<int>(x.shape[1] * x.shape[2]),
          .channels = static_cast<int>(x.shape[3]),
          .dtype = x.dtype};
}

}  // namespace

TensorSpec Flatten::output(std::span<const TensorSpec> inputs) const {
  require(inputs.size() == 1 && inputs[0].shape.rank == 4, "flatten wants one input [N, H, W, C]");
  const Shape& shape = inputs[0].shape;
  return {{shape[0], shape[1] * shape[2] * shape[3]}, DType::f32};
}

void Flatten::forward(const ForwardPass& pass) const {
  const TensorView& x = pass.inputs[0];
  pass.backend.flatten_forward({flatten_geometry(x), x.data, x.unit, pass.output.as<float>()});
}

void Flatten::backward(const BackwardPass& pass) const {
  const TensorView& x = pass.inputs[0];
  pass.backend.flatten_backward(
      {flatten_geometry(x), pass.d_output.as<float>(), x.unit, pass.d_inputs[0].data, pass.modes[0]});
}

std::unique_ptr<Layer> make_flatten(const LayerRequest& request) {
  request.want_inputs(1, 1);
  request.image(0);
  request.options().finish();
  return std::make_unique<Flatten>();
}

}  // namespace bsq
