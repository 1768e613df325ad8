// Convolution by oneDNN. The passes around it are in simd/.
#include "kernels/cpu/cpu_backend.h"

namespace bsq {

std::size_t CpuBackend::conv2d_scratch_bytes(const ConvRequest& request) {
  return convolutions_.scratch_bytes(request.geometry, request.passes);
}

void CpuBackend::conv2d_forward(const ConvForwardArgs& args) {
  const auto& [geometry, input, weight, output, scratch, norm, input_norm] = args;
  convolutions_.forward(geometry, input, weight, output, scratch);
}

void CpuBackend::conv2d_backward_data(const ConvBackwardDataArgs& args) {
  const auto& [geometry, d_output, weight, d_input, mode, scratch, norm] = args;
  if (mode == GradMode::overwrite) return convolutions_.backward_data(geometry, d_output, weight, d_input, scratch);
  // oneDNN cannot add to d_input here: the gradient goes to the room in the scratch and is added from there.
  void* addend = static_cast<std::byte*>(scratch) + convolutions_.room_offset(geometry);
  convolutions_.backward_data(geometry, d_output, weight, addend, scratch);
  simd_.accumulate(geometry.dtype, geometry.input_shape().numel(), addend, d_input);
}

void CpuBackend::conv2d_backward_weight(const ConvBackwardWeightArgs& args) {
  const auto& [geometry, input, d_output, d_weight, scratch, parts, input_norm] = args;
  convolutions_.backward_weight(geometry, input, d_output, d_weight, scratch);
}

}  // namespace bsq
