// The choice among cuDNN's engines is cudnn.cpp's; here is what it is asked for.
#include "kernels/cuda/convolution_plans.h"

#include <fmt/format.h>

#include <algorithm>

namespace bsq::cuda {
namespace {

constexpr std::size_t kMostWorkspaceBytes = std::size_t{256} << 20;  // a plan that wants more is passed over
constexpr std::size_t kAlignment = 256;

std::size_t aligned(std::size_t size_bytes) {
  return (size_bytes + kAlignment - 1) / kAlignment * kAlignment;
}

std::size_t bytes_of(const Shape& shape, DType dtype) {
  return static_cast<std::size_t>(shape.numel()) * size_of(dtype);
}

std::string slow_pass(const ConvGeometry& g, ConvPass pass) {
  return fmt::format(
      "convolution {}x{}x{}x{} -> {} channels, kernel {}, stride {}, {}: no cuDNN engine that serves; {} runs by own "
      "loops, which are slow",
      g.batch, g.height, g.width, g.in_channels, g.out_channels, g.kernel, g.stride, bsq::name_of(g.dtype),
      name_of(pass));
}

}  // namespace

ConvolutionPlans plan_convolution(const CudnnTarget& target, const ConvGeometry& geometry, bool allow_tf32) {
  using enum ConvPass;
  const ConvolutionPlanOptions options{allow_tf32, kMostWorkspaceBytes};
  ConvolutionPlans plans;
  plans.forward = ConvolutionPlan::find(target, geometry, forward, options);
  plans.backward_data = ConvolutionPlan::find(target, geometry, backward_data, options);
  plans.backward_weight = ConvolutionPlan::find(target, geometry, backward_weight, options);
  if (!plans.backward_weight && geometry.dtype == DType::bf16) {
    // cuDNN writes the gradient of bf16 tensors in bf16 alone, which is less than is promised. Every bf16 number is a
    // tf32 number, so that tensor cores lose nothing of the widened ones.
    ConvGeometry wide = geometry;
    wide.dtype = DType::f32;
    plans.backward_weight = ConvolutionPlan::find(target, wide, backward_weight, {true, kMostWorkspaceBytes});
    plans.widens_operands = plans.backward_weight.has_value();
  }
  std::size_t workspace_bytes = 0;
  for (const auto& [pass, found] : {std::pair{forward, &plans.forward}, std::pair{backward_data, &plans.backward_data},
                                    std::pair{backward_weight, &plans.backward_weight}}) {
    if (found->has_value())
      workspace_bytes = std::max(workspace_bytes, (*found)->workspace_bytes());
    else
      plans.without_engine.push_back(slow_pass(geometry, pass));
  }
  plans.result_offset = aligned(workspace_bytes);
  plans.second_offset = plans.result_offset + aligned(bytes_of(geometry.input_shape(), DType::f32));
  plans.scratch_bytes = plans.widens_operands ? plans.second_offset + bytes_of(geometry.output_shape(), DType::f32)
                                              : plans.result_offset + bytes_of(geometry.input_shape(), geometry.dtype);
  return plans;
}

}  // namespace bsq::cuda
