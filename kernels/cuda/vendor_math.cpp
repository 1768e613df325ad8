// DenseMath by cuDNN and cuBLAS. Scratch of a convolution: cuDNN's workspace, then the weights in bf16, then a gradient
// that is added to another.
#include "kernels/cuda/cublas.h"
#include "kernels/cuda/cudnn.h"
#include "kernels/cuda/kernels.h"
#include "kernels/error.h"

#include <algorithm>
#include <map>
#include <tuple>

namespace bsq::cuda {
namespace {

constexpr std::size_t kMostWorkspaceBytes = std::size_t{256} << 20;  // a plan that wants more is passed over
constexpr std::size_t kAlignment = 256;

std::size_t aligned(std::size_t size_bytes) {
  return (size_bytes + kAlignment - 1) / kAlignment * kAlignment;
}

struct Less {
  bool operator()(const ConvGeometry& a, const ConvGeometry& b) const {
    const auto key = [](const ConvGeometry& g) {
      return std::make_tuple(g.batch, g.height, g.width, g.in_channels, g.out_channels, g.kernel, g.stride, g.padding,
                             g.dtype);
    };
    return key(a) < key(b);
  }
};

/// The plans of one geometry, and where its scratch is cut.
struct Convolution {
  ConvolutionPlan forward, backward_data, backward_weight;
  std::size_t weight_offset = 0;    // bytes: behind the largest workspace
  std::size_t gradient_offset = 0;  // behind the weights in bf16
  std::size_t scratch_bytes = 0;
};

class VendorMath final : public DenseMath {
 public:
  VendorMath(cudaStream_t stream, bool allow_tf32)
      : stream_(stream), options_{allow_tf32, kMostWorkspaceBytes}, cudnn_(stream), cublas_(stream, allow_tf32) {}

  std::string describe() const override { return vendor_versions() + (options_.allow_tf32 ? ", tf32" : ""); }

  std::size_t conv2d_scratch_bytes(const ConvGeometry& geometry) override { return find(geometry).scratch_bytes; }

  void conv2d_forward(const ConvGeometry& geometry, const void* input, const float* weight, void* output,
                      void* scratch) override {
    const Convolution& conv = find(geometry);
    conv.forward.run(cudnn_, input, operand(conv, geometry, weight, scratch), output, scratch);
  }

  void conv2d_backward_data(const ConvGeometry& geometry, const void* d_output, const float* weight, void* d_input,
                            GradMode mode, void* scratch) override {
    const Convolution& conv = find(geometry);
    const bool adds = mode == GradMode::accumulate;
    void* result = adds ? static_cast<std::byte*>(scratch) + conv.gradient_offset : d_input;
    conv.backward_data.run(cudnn_, result, operand(conv, geometry, weight, scratch), d_output, scratch);
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
    const bool casts = geometry.dtype == DType::bf16;
    const auto weights = static_cast<std::size_t>(geometry.weight_shape().numel());
    const auto inputs = static_cast<std::size_t>(geometry.input_shape().numel());
    made.weight_offset = aligned(std::max({made.forward.workspace_bytes(), made.backward_data.workspace_bytes(),
                                           made.backward_weight.workspace_bytes()}));
    made.gradient_offset = made.weight_offset + (casts ? aligned(weights * size_of(DType::bf16)) : 0);
    made.scratch_bytes = made.gradient_offset + inputs * size_of(geometry.dtype);
    return convolutions_.emplace(geometry, std::move(made)).first->second;
  }

  /// The weights in the geometry's type: themselves, or rounded into the scratch.
  const void* operand(const Convolution& conv, const ConvGeometry& geometry, const float* weight, void* scratch) const {
    if (geometry.dtype == DType::f32) return weight;
    void* rounded = static_cast<std::byte*>(scratch) + conv.weight_offset;
    cast_to_bf16(geometry.weight_shape().numel(), weight, rounded, stream_);
    return rounded;
  }

  cudaStream_t stream_;
  ConvolutionPlanOptions options_;
  CudnnHandle cudnn_;
  CublasHandle cublas_;
  std::map<ConvGeometry, Convolution, Less> convolutions_;
};

}  // namespace

std::string vendor_versions() {
  return fmt::format("cuDNN {}, cuBLAS {}", cudnn_version(), cublas_version());
}

std::unique_ptr<DenseMath> make_vendor_math(cudaStream_t stream, bool allow_tf32) {
  return std::make_unique<VendorMath>(stream, allow_tf32);
}

}  // namespace bsq::cuda
