// DenseMath by cuDNN and cuBLAS. Scratch of a convolution: cuDNN's workspace, then a gradient that is added to another.
#include "kernels/cuda/cublas.h"
#include "kernels/cuda/cudnn.h"
#include "kernels/cuda/kernels.h"
#include "kernels/error.h"

#include <algorithm>
#include <map>

namespace bsq::cuda {
namespace {

constexpr std::size_t kMostWorkspaceBytes = std::size_t{256} << 20;  // a plan that wants more is passed over
constexpr std::size_t kAlignment = 256;

std::size_t aligned(std::size_t size_bytes) {
  return (size_bytes + kAlignment - 1) / kAlignment * kAlignment;
}

/// The plans of one geometry, and where its scratch is cut.
struct Convolution {
  ConvolutionPlan forward, backward_data, backward_weight;
  std::size_t gradient_offset = 0;  // bytes: behind the largest workspace
  std::size_t scratch_bytes = 0;
};

class VendorMath final : public DenseMath {
 public:
  VendorMath(cudaStream_t stream, bool allow_tf32)
      : stream_(stream), options_{allow_tf32, kMostWorkspaceBytes}, cudnn_(stream), cublas_(stream, allow_tf32) {}

  std::string describe() const override { return vendor_versions() + (options_.allow_tf32 ? ", tf32" : ""); }

  std::size_t conv2d_scratch_bytes(const ConvGeometry& geometry) override { return find(geometry).scratch_bytes; }

  void conv2d_forward(const ConvGeometry& geometry, const void* input, const void* weight, void* output,
                      void* scratch) override {
    const Convolution& conv = find(geometry);
    conv.forward.run(cudnn_, input, weight, output, scratch);
  }

  void conv2d_backward_data(const ConvGeometry& geometry, const void* d_output, const void* weight, void* d_input,
                            GradMode mode, void* scratch) override {
    const Convolution& conv = find(geometry);
    const bool adds = mode == GradMode::accumulate;
    void* result = adds ? static_cast<std::byte*>(scratch) + conv.gradient_offset : d_input;
    conv.backward_data.run(cudnn_, result, weight, d_output, scratch);
    if (adds) add(geometry.dtype, geometry.input_shape().numel(), result, d_input, stream_);
  }

  void conv2d_backward_weight(const ConvGeometry& geometry, const void* input, const void* d_output, float* d_weight,
                              void* scratch) override {
    find(geometry).backward_weight.run(cudnn_, input, d_weight, d_output, scratch);
  }

  void gemm(const GemmGeometry& geometry, const float* a, const float* b, GradMode mode, float* c) override {
    cublas_.gemm(geometry, a, b, mode, c);
  }

 private:
  const Convolution& find(const ConvGeometry& geometry) {
    const auto known = convolutions_.find(geometry);
    if (known != convolutions_.end()) return known->second;
    Convolution made{{cudnn_, geometry, ConvolutionPass::forward, options_},
                     {cudnn_, geometry, ConvolutionPass::backward_data, options_},
                     {cudnn_, geometry, ConvolutionPass::backward_weight, options_}};
    const auto inputs = static_cast<std::size_t>(geometry.input_shape().numel());
    made.gradient_offset = aligned(std::max({made.forward.workspace_bytes(), made.backward_data.workspace_bytes(),
                                             made.backward_weight.workspace_bytes()}));
    made.scratch_bytes = made.gradient_offset + inputs * size_of(geometry.dtype);
    return convolutions_.emplace(geometry, std::move(made)).first->second;
  }

  cudaStream_t stream_;
  ConvolutionPlanOptions options_;
  CudnnHandle cudnn_;
  CublasHandle cublas_;
  std::map<ConvGeometry, Convolution> convolutions_;
};

}  // namespace

std::string vendor_versions() {
  return fmt::format("cuDNN {}, cuBLAS {}", cudnn_version(), cublas_version());
}

std::unique_ptr<DenseMath> make_vendor_math(cudaStream_t stream, bool allow_tf32) {
  return std::make_unique<VendorMath>(stream, allow_tf32);
}

}  // namespace bsq::cuda
