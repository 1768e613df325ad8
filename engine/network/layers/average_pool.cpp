#include "engine/network/layers/average_pool.h"

#include "engine/network/layer_kinds.h"
#include "kernels/base/error.h"

#include <algorithm>

namespace bsq {
namespace {

PoolGeometry whole_image(const Shape& input, DType dtype) {
  return {.batch = static_cast<int>(input[0]),
          .pixels = static_cast<int>(input[1] * input[2]),
          .channels = static_cast<int>(input[3]),
          .dtype = dtype};
}

}  // namespace

WindowAverageGeometry AveragePool::windows(const Shape& input, DType dtype) const {
  const auto count = [this](std::int64_t size) {
    return options_.kernel > 0 ? static_cast<int>(size) / options_.kernel : options_.out;
  };
  const WindowAverageGeometry geometry{.batch = static_cast<int>(input[0]),
                                       .height = static_cast<int>(input[1]),
                                       .width = static_cast<int>(input[2]),
                                       .channels = static_cast<int>(input[3]),
                                       .kernel = options_.kernel,
                                       .out_height = count(input[1]),
                                       .out_width = count(input[2]),
                                       .dtype = dtype};
  require(geometry.out_height > 0 && geometry.out_width > 0, "average_pool: a window of {} does not fit into {}x{}",
          options_.kernel, input[1], input[2]);
  return geometry;
}

TensorSpec AveragePool::output(std::span<const TensorSpec> inputs) const {
  require(inputs.size() == 1 && inputs[0].shape.rank == 4, "average_pool wants one input [N, H, W, C]");
  const auto& [shape, dtype] = inputs[0];
  if (options_.is_global()) return {{shape[0], shape[3]}, DType::f32};
  return {windows(shape, dtype).output_shape(), dtype};
}

void AveragePool::forward(const ForwardPass& pass) const {
  const TensorView& x = pass.inputs[0];
  if (options_.is_global())
    return pass.backend.average_pool_forward({whole_image(x.shape, x.dtype), x.data, x.unit, pass.output.as<float>()});
  pass.backend.window_average_forward({windows(x.shape, x.dtype), x.data, x.unit, pass.output.data});
}

void AveragePool::backward(const BackwardPass& pass) const {
  const TensorView& x = pass.inputs[0];
  void* d_x = pass.d_inputs[0].data;
  if (options_.is_global())
    return pass.backend.average_pool_backward(
        {whole_image(x.shape, x.dtype), pass.d_output.as<float>(), x.unit, d_x, pass.modes[0]});
  pass.backend.window_average_backward({windows(x.shape, x.dtype), pass.d_output.data, x.unit, d_x, pass.modes[0]});
}

std::unique_ptr<Layer> make_average_pool(const LayerRequest& request) {
  constexpr int kMostPixels = 1 << 10;
  request.want_inputs(1, 1);
  const Shape& x = request.image(0);
  NodeOptions options = request.options();
  const AveragePoolOptions pool{.kernel = options.integer("kernel", 1, kMostPixels, 0),
                                .out = options.integer("out", 1, kMostPixels, 0)};
  options.finish();
  if (pool.kernel > 0 && pool.out > 0) options.refuse("out", "cannot be there beside 'kernel'; give one of them");
  if (pool.kernel > std::min(x[1], x[2]))
    options.refuse("kernel", fmt::format("{} is larger than the image of {}x{} it reads", pool.kernel, x[1], x[2]));
  return std::make_unique<AveragePool>(pool);
}

}  // namespace bsq
