// DenseMath by cuDNN and cuBLAS. If cuDNN has no deterministic engine for a pass, own loops run it
// (ops/convolution.cu); notes() says which passes these are.
#include "kernels/cuda/check.h"
#include "kernels/cuda/device_memory.h"
#include "kernels/cuda/ops/launchers.h"
#include "kernels/cuda/vendor/convolution_plans.h"
#include "kernels/cuda/vendor/cublas.h"
#include "kernels/cuda/vendor/plan_trial.h"

#include <fmt/format.h>

namespace bsq::cuda {
namespace {

class VendorMath final : public DenseMath {
 public:
  VendorMath(cudaStream_t stream, bool allow_tf32)
      : stream_(stream),
        allow_tf32_(allow_tf32),
        cublas_(stream, allow_tf32),
        planner_(CudnnTarget(std::make_shared<const CudnnHandle>(stream)), allow_tf32,
                 [stream](const ConvGeometry& geometry, ConvPass pass, const ConvPlan& plan) {
                   return runs_twice_alike(geometry, pass, plan.workspace_bytes(), stream,
                                           [&](const TrialOperands& on) {
                                             return plan.try_run(on.input, on.weight, on.output, on.workspace);
                                           });
                 }) {}

  std::string describe() const override { return vendor_versions() + (allow_tf32_ ? ", tf32" : ""); }
  std::vector<std::string> notes() const override { return planner_.notes(); }
  std::vector<EngineNote> engines() const override { return planner_.engines(); }

  void plan_convolutions(std::span<const ConvRequest> requests) override { planner_.plan(requests); }
  std::size_t conv2d_scratch_bytes(const ConvGeometry& geometry, const ConvPasses& passes) const override {
    return planner_.scratch_bytes(geometry, passes);
  }

  void conv2d_forward(const ConvForwardArgs& args) override {
    const PlannedPass& pass = planner_.find(args.geometry, ConvPass::forward);
    if (!pass.plan) return direct_conv2d_forward(args, stream_);
    pass.plan->run(args.input, args.weight, args.output, args.scratch);
  }

  void conv2d_backward_data(const ConvBackwardDataArgs& args) override {
    const PlannedPass& pass = planner_.find(args.geometry, ConvPass::backward_data);
    if (!pass.plan) return direct_conv2d_backward_data(args, stream_);
    const bool adds = args.mode == GradMode::accumulate;
    void* result = adds ? static_cast<std::byte*>(args.scratch) + pass.result_offset : args.d_input;
    pass.plan->run(result, args.weight, args.d_output, args.scratch);
    if (adds) add(args.geometry.dtype, args.geometry.input_shape().numel(), result, args.d_input, stream_);
  }

  void conv2d_backward_weight(const ConvBackwardWeightArgs& args) override {
    const PlannedPass& pass = planner_.find(args.geometry, ConvPass::backward_weight);
    if (!pass.plan) return direct_conv2d_backward_weight(args, stream_);
    const void* input = args.input;
    const void* d_output = args.d_output;
    if (pass.widens_operands) {
      auto* wide_input = static_cast<std::byte*>(args.scratch) + pass.result_offset;
      auto* wide_output = static_cast<std::byte*>(args.scratch) + pass.second_offset;
      widen_bf16(args.geometry.input_shape().numel(), input, reinterpret_cast<float*>(wide_input), stream_);
      widen_bf16(args.geometry.output_shape().numel(), d_output, reinterpret_cast<float*>(wide_output), stream_);
      input = wide_input;
      d_output = wide_output;
    }
    pass.plan->run(input, args.d_weight, d_output, args.scratch);
  }

  void plan_gemm(const GemmGeometry& geometry, GradMode mode) override {
    const auto floats = [this](int rows, int columns) {
      const std::size_t size_bytes = static_cast<std::size_t>(rows) * columns * sizeof(float);
      auto memory = std::make_unique<DeviceMemory>(size_bytes);
      BSQ_CUDA_CHECK(cudaMemsetAsync(memory->data(), 0, size_bytes, stream_));
      return memory;
    };
    const auto a = floats(geometry.m, geometry.k);
    const auto b = floats(geometry.k, geometry.n);
    const auto c = floats(geometry.m, geometry.n);
    gemm(geometry, nullptr, static_cast<const float*>(a->data()), static_cast<const float*>(b->data()), mode,
         static_cast<float*>(c->data()));
    BSQ_CUDA_CHECK(cudaStreamSynchronize(stream_));
  }

  void gemm(const GemmGeometry& geometry, const float* factor, const float* a, const float* b, GradMode mode,
            float* c) override {
    cublas_.gemm(geometry, factor, a, b, mode, c);
  }

 private:
  cudaStream_t stream_;
  bool allow_tf32_;
  CublasHandle cublas_;
  ConvolutionPlanner planner_;
};

}  // namespace

std::string vendor_versions() {
  return fmt::format("cuDNN {}, cuBLAS {}", cudnn_version(), cublas_version());
}

std::unique_ptr<DenseMath> make_vendor_math(cudaStream_t stream, bool allow_tf32) {
  return std::make_unique<VendorMath>(stream, allow_tf32);
}

}  // namespace bsq::cuda
