#include "engine/network/layers/max_pool.h"

#include "engine/network/layer_kinds.h"
#include "kernels/base/error.h"

namespace bsq {

MaxPoolGeometry MaxPool::geometry(const Shape& input, DType dtype) const {
  require(input.rank == 4, "max_pool wants [N, H, W, C]");
  const auto windows = [this](std::int64_t size) {
    const int count =
        count_windows(static_cast<int>(size), options_.kernel, options_.stride, options_.padding, options_.ceil_mode);
    require(count > 0, "max_pool: a window of {} does not fit into {} pixels", options_.kernel, size);
    return count;
  };
  return {.batch = static_cast<int>(input[0]),
          .height = static_cast<int>(input[1]),
          .width = static_cast<int>(input[2]),
          .channels = static_cast<int>(input[3]),
          .kernel = options_.kernel,
          .stride = options_.stride,
          .padding = options_.padding,
          .out_height = windows(input[1]),
          .out_width = windows(input[2]),
          .dtype = dtype};
}

TensorSpec MaxPool::output(std::span<const TensorSpec> inputs) const {
  require(inputs.size() == 1, "max_pool wants one input");
  return {geometry(inputs[0].shape, inputs[0].dtype).output_shape(), inputs[0].dtype};
}

LayerMemory MaxPool::plan(Backend& /*backend*/, std::span<const TensorSpec> inputs, const LayerUse& use) const {
  const std::int64_t winners = geometry(inputs[0].shape, inputs[0].dtype).output_shape().numel();
  return {.saved_bytes = use.backward ? static_cast<std::size_t>(winners) : 0};
}

TensorUnit MaxPool::output_unit(std::span<const TensorView> inputs, const ParameterMemory& /*parameters*/,
                                float* /*own*/) const {
  require(inputs[0].unit.weight == nullptr, "max_pool: its input is in a unit of weights, which may be negative");
  return inputs[0].unit;
}

void MaxPool::forward(const ForwardPass& pass) const {
  const TensorView& x = pass.inputs[0];
  pass.backend.max_pool_forward(
      {geometry(x.shape, x.dtype), x.data, pass.output.data, static_cast<std::uint8_t*>(pass.saved)});
}

void MaxPool::backward(const BackwardPass& pass) const {
  const TensorView& x = pass.inputs[0];
  pass.backend.max_pool_backward({geometry(x.shape, x.dtype), pass.d_output.data,
                                  static_cast<const std::uint8_t*>(pass.saved), pass.d_inputs[0].data, pass.modes[0]});
}

std::unique_ptr<Layer> make_max_pool(const LayerRequest& request) {
  constexpr int kMostStride = 1 << 10;
  request.want_inputs(1, 1);
  const Shape& x = request.image(0);
  NodeOptions options = request.options();
  MaxPoolOptions pool{.kernel = options.integer("kernel", 1, MaxPoolGeometry::kMostKernel)};
  pool.stride = options.integer("stride", 1, kMostStride, pool.kernel);
  pool.padding = options.integer("padding", 0, pool.kernel / 2, 0);
  pool.ceil_mode = options.flag("ceil", false);
  options.finish();
  for (const std::int64_t size : {x[1], x[2]})
    if (count_windows(static_cast<int>(size), pool.kernel, pool.stride, pool.padding, pool.ceil_mode) == 0)
      options.refuse("kernel", fmt::format("{} is larger than the image of {}x{} it reads", pool.kernel, x[1], x[2]));
  // The unit of a convolution's output has the sign of a trained scale, and a negative one would turn the order round.
  if (const TensorId id = request.ids[0]; id > 0)
    if (const Node& before = request.network.nodes()[static_cast<std::size_t>(id) - 1];
        before.layer->kind() == "conv2d")
      request.refuse(fmt::format("reads the conv2d '{}'; put a norm_act or a bias_act between them", before.name));
  return std::make_unique<MaxPool>(pool);
}

}  // namespace bsq
