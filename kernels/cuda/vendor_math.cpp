// DenseMath by cuDNN and cuBLAS. Where cuDNN has no deterministic engine for a pass, own loops take it
// (direct_convolution.cu); notes() says which passes these are.
#include "kernels/cuda/convolution_plans.h"
#include "kernels/cuda/cublas.h"
#include "kernels/cuda/kernels.h"

#include <fmt/format.h>

#include <map>

namespace bsq::cuda {
namespace {

class VendorMath final : public DenseMath {
 public:
  VendorMath(cudaStream_t stream, bool allow_tf32)
      : stream_(stream), allow_tf32_(allow_tf32), cudnn_(stream), target_(cudnn_), cublas_(stream, allow_tf32) {}

  std::string describe() const override { return vendor_versions() + (allow_tf32_ ? ", tf32" : ""); }
  std::vector<std::string> notes() const override { return notes_; }

  void plan_convolutions(std::span<const ConvRequest> requests) override {
    for (const ConvRequest& request : requests) find(request.geometry);
  }
  std::size_t conv2d_scratch_bytes(const ConvGeometry& geometry, const ConvPasses&) const override {
    return convolutions_.at(geometry).scratch_bytes;
  }

  void conv2d_forward(const ConvGeometry& geometry, const void* input, const void* weight, void* output,
                      void* scratch) override {
    const ConvolutionPlans& conv = find(geometry);
    if (!conv.forward) return direct_conv2d_forward(geometry, input, weight, output, stream_);
    conv.forward->run(cudnn_, input, weight, output, scratch);
  }

  void conv2d_backward_data(const ConvGeometry& geometry, const void* d_output, const void* weight, void* d_input,
                            GradMode mode, void* scratch) override {
    const ConvolutionPlans& conv = find(geometry);
    if (!conv.backward_data) return direct_conv2d_backward_data(geometry, d_output, weight, d_input, mode, stream_);
    const bool adds = mode == GradMode::accumulate;
    void* result = adds ? static_cast<std::byte*>(scratch) + conv.result_offset : d_input;
    conv.backward_data->run(cudnn_, result, weight, d_output, scratch);
    if (adds) add(geometry.dtype, geometry.input_shape().numel(), result, d_input, stream_);
  }

  void conv2d_backward_weight(const ConvGeometry& geometry, const void* input, const void* d_output, float* d_weight,
                              void* scratch) override {
    const ConvolutionPlans& conv = find(geometry);
    if (!conv.backward_weight) return direct_conv2d_backward_weight(geometry, input, d_output, d_weight, stream_);
    if (conv.widens_operands) {
      auto* wide_input = static_cast<std::byte*>(scratch) + conv.result_offset;
      auto* wide_output = static_cast<std::byte*>(scratch) + conv.second_offset;
      widen_bf16(geometry.input_shape().numel(), input, reinterpret_cast<float*>(wide_input), stream_);
      widen_bf16(geometry.output_shape().numel(), d_output, reinterpret_cast<float*>(wide_output), stream_);
      input = wide_input;
      d_output = wide_output;
    }
    conv.backward_weight->run(cudnn_, input, d_weight, d_output, scratch);
  }

  void gemm(const GemmGeometry& geometry, const float* a, const float* b, GradMode mode, float* c) override {
    cublas_.gemm(geometry, a, b, mode, c);
  }

 private:
  const ConvolutionPlans& find(const ConvGeometry& geometry) {
    const auto known = convolutions_.find(geometry);
    if (known != convolutions_.end()) return known->second;
    ConvolutionPlans plans = plan_convolution(target_, geometry, allow_tf32_);
    for (const std::string& slow : plans.without_engine) notes_.push_back(slow);
    return convolutions_.emplace(geometry, std::move(plans)).first->second;
  }

  cudaStream_t stream_;
  bool allow_tf32_;
  CudnnHandle cudnn_;
  CudnnTarget target_;
  CublasHandle cublas_;
  std::map<ConvGeometry, ConvolutionPlans> convolutions_;
  std::vector<std::string> notes_;
};

}  // namespace

std::string vendor_versions() {
  return fmt::format("cuDNN {}, cuBLAS {}", cudnn_version(), cublas_version());
}

std::unique_ptr<DenseMath> make_vendor_math(cudaStream_t stream, bool allow_tf32) {
  return std::make_unique<VendorMath>(stream, allow_tf32);
}

}  // namespace bsq::cuda
