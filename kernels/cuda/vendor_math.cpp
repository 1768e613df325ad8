// DenseMath by cuDNN and cuBLAS. Scratch of a convolution: cuDNN's workspace, then a gradient that is added to another,
// or is widened to float32.
//
// Where cuDNN has no deterministic engine for a pass, own loops take it (direct_convolution.cu); a filter's gradient is
// tried in bf16 before. notes() says which passes these are.
#include "kernels/cuda/cublas.h"
#include "kernels/cuda/cudnn.h"
#include "kernels/cuda/kernels.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace bsq::cuda {
namespace {

constexpr std::size_t kMostWorkspaceBytes = std::size_t{256} << 20;  // a plan that wants more is passed over
constexpr std::size_t kAlignment = 256;

std::size_t aligned(std::size_t size_bytes) {
  return (size_bytes + kAlignment - 1) / kAlignment * kAlignment;
}

/// The plans of one geometry, none where own loops run, and where its scratch is cut.
struct Convolution {
  std::optional<ConvolutionPlan> forward, backward_data, backward_weight;
  bool narrow_d_weight = false;   // backward_weight writes bf16
  std::size_t result_offset = 0;  // bytes: behind the largest workspace
  std::size_t scratch_bytes = 0;
};

class VendorMath final : public DenseMath {
 public:
  VendorMath(cudaStream_t stream, bool allow_tf32)
      : stream_(stream), options_{allow_tf32, kMostWorkspaceBytes}, cudnn_(stream), cublas_(stream, allow_tf32) {}

  std::string describe() const override { return vendor_versions() + (options_.allow_tf32 ? ", tf32" : ""); }
  std::vector<std::string> notes() const override { return notes_; }

  std::size_t conv2d_scratch_bytes(const ConvGeometry& geometry) override { return find(geometry).scratch_bytes; }

  void conv2d_forward(const ConvGeometry& geometry, const void* input, const void* weight, void* output,
                      void* scratch) override {
    const Convolution& conv = find(geometry);
    if (!conv.forward) return direct_conv2d_forward(geometry, input, weight, output, stream_);
    conv.forward->run(cudnn_, input, weight, output, scratch);
  }

  void conv2d_backward_data(const ConvGeometry& geometry, const void* d_output, const void* weight, void* d_input,
                            GradMode mode, void* scratch) override {
    const Convolution& conv = find(geometry);
    if (!conv.backward_data) return direct_conv2d_backward_data(geometry, d_output, weight, d_input, mode, stream_);
    const bool adds = mode == GradMode::accumulate;
    void* result = adds ? static_cast<std::byte*>(scratch) + conv.result_offset : d_input;
    conv.backward_data->run(cudnn_, result, weight, d_output, scratch);
    if (adds) add(geometry.dtype, geometry.input_shape().numel(), result, d_input, stream_);
  }

  void conv2d_backward_weight(const ConvGeometry& geometry, const void* input, const void* d_output, float* d_weight,
                              void* scratch) override {
    const Convolution& conv = find(geometry);
    if (!conv.backward_weight) return direct_conv2d_backward_weight(geometry, input, d_output, d_weight, stream_);
    void* result = d_weight;
    if (conv.narrow_d_weight) result = static_cast<std::byte*>(scratch) + conv.result_offset;
    conv.backward_weight->run(cudnn_, input, result, d_output, scratch);
    if (conv.narrow_d_weight) widen_bf16(geometry.weight_shape().numel(), result, d_weight, stream_);
  }

  void gemm(const GemmGeometry& geometry, const float* a, const float* b, GradMode mode, float* c) override {
    cublas_.gemm(geometry, a, b, mode, c);
  }

 private:
  const Convolution& find(const ConvGeometry& geometry) {
    const auto known = convolutions_.find(geometry);
    if (known != convolutions_.end()) return known->second;
    return convolutions_.emplace(geometry, plan(geometry)).first->second;
  }

  Convolution plan(const ConvGeometry& geometry) {
    using enum ConvolutionPass;
    Convolution made;
    made.forward = ConvolutionPlan::find(cudnn_, geometry, forward, options_);
    made.backward_data = ConvolutionPlan::find(cudnn_, geometry, backward_data, options_);
    made.backward_weight = ConvolutionPlan::find(cudnn_, geometry, backward_weight, options_);
    if (!made.backward_weight && geometry.dtype == DType::bf16) {
      made.backward_weight = ConvolutionPlan::find(cudnn_, geometry, backward_weight, options_, DType::bf16);
      made.narrow_d_weight = made.backward_weight.has_value();
    }
    std::size_t workspace_bytes = 0;
    for (const auto& [pass, found] : {std::pair{forward, &made.forward}, std::pair{backward_data, &made.backward_data},
                                      std::pair{backward_weight, &made.backward_weight}}) {
      if (found->has_value())
        workspace_bytes = std::max(workspace_bytes, (*found)->workspace_bytes());
      else
        note(geometry, pass, "by own loops, which are slow");
    }
    if (made.narrow_d_weight) note(geometry, backward_weight, "with gradients rounded to bf16");
    const auto most_results = std::max(geometry.input_shape().numel(), geometry.weight_shape().numel());
    made.result_offset = aligned(workspace_bytes);
    made.scratch_bytes = made.result_offset + static_cast<std::size_t>(most_results) * size_of(geometry.dtype);
    return made;
  }

  void note(const ConvGeometry& g, ConvolutionPass pass, const char* how) {
    notes_.push_back(fmt::format(
        "convolution {}x{}x{}x{} -> {} channels, kernel {}, stride {}, {}: no cuDNN engine that serves; {} runs {}",
        g.batch, g.height, g.width, g.in_channels, g.out_channels, g.kernel, g.stride, bsq::name_of(g.dtype),
        name_of(pass), how));
  }

  cudaStream_t stream_;
  ConvolutionPlanOptions options_;
  CudnnHandle cudnn_;
  CublasHandle cublas_;
  std::map<ConvGeometry, Convolution> convolutions_;
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
