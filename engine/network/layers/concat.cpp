#include "engine/network/layers/concat.h"

#include "engine/network/layer_kinds.h"
#include "kernels/base/error.h"

namespace bsq {
namespace {

/// Numbers from one pixel to the next.
std::int64_t pitch_of(const TensorView& tensor) {
  return tensor.pitch == 0 ? tensor.shape[3] : tensor.pitch;
}

ConcatGeometry geometry(const TensorView& input, const TensorView& output, std::int64_t offset) {
  return {.rows = input.shape[0] * input.shape[1] * input.shape[2],
          .channels = static_cast<int>(input.shape[3]),
          .input_pitch = pitch_of(input),
          .output_pitch = pitch_of(output),
          .offset = offset,
          .dtype = input.dtype};
}

}  // namespace

TensorSpec Concat::output(std::span<const TensorSpec> inputs) const {
  require(inputs.size() >= 2, "concat wants two inputs or more");
  TensorSpec result = inputs[0];
  require(result.shape.rank == 4, "concat wants inputs [N, H, W, C]");
  result.shape[3] = 0;
  for (const TensorSpec& input : inputs) {
    Shape expected = result.shape;
    expected[3] = input.shape[3];
    require(input.shape == expected && input.dtype == result.dtype, "concat: inputs differ in size or type");
    result.shape[3] += input.shape[3];
  }
  return result;
}

void Concat::forward(const ForwardPass& pass) const {
  std::int64_t offset = 0;
  for (std::size_t k = 0; k < pass.inputs.size(); ++k) {
    const TensorView& input = pass.inputs[k];
    const bool lies_there = k == 0 && input.data == pass.output.data;
    if (!lies_there)
      pass.backend.concat_forward({geometry(input, pass.output, offset), input.data, input.unit, pass.output.data});
    offset += input.shape[3];
  }
}

void Concat::backward(const BackwardPass& pass) const {
  std::int64_t offset = 0;
  for (std::size_t k = 0; k < pass.inputs.size(); ++k) {
    const TensorView& d_input = pass.d_inputs[k];
    if (k == 0 && d_input.data == pass.d_output.data)
      require(pass.modes[k] == GradMode::overwrite, "concat: somebody has been at the gradient that it shares");
    else
      pass.backend.concat_backward({geometry(d_input, pass.d_output, offset), pass.d_output.data, pass.inputs[k].unit,
                                    d_input.data, pass.modes[k]});
    offset += d_input.shape[3];
  }
}

std::unique_ptr<Layer> make_concat(const LayerRequest& request) {
  request.want_inputs(2, LayerRequest::kAnyNumber);
  const Shape& first = request.image(0);
  for (std::size_t input = 1; input < request.inputs.size(); ++input) {
    const Shape& other = request.image(input);
    if (other[1] != first[1] || other[2] != first[2])
      request.refuse(fmt::format("'{}' is {}x{} and '{}' {}x{}; it joins images of one size", request.node.inputs[0],
                                 first[1], first[2], request.node.inputs[input], other[1], other[2]));
  }
  request.options().finish();
  return std::make_unique<Concat>();
}

}  // namespace bsq
