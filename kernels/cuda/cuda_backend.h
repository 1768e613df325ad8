// The CUDA backend: own kernels, and DenseMath for convolutions and matrix products, on one stream.
#pragma once

#include "kernels/backend.h"
#include "kernels/cuda/device_memory.h"
#include "kernels/cuda/ops/launchers.h"
#include "kernels/cuda/stream.h"
#include "kernels/cuda/vendor/dense_math.h"

#include <cuda_runtime_api.h>

namespace bsq::cuda {

class CudaBackend final : public Backend {
 public:
  using MathFactory = std::function<std::unique_ptr<DenseMath>(cudaStream_t)>;

  /// Makes `device` the current one. Throws Error(device) where it cannot be used.
  CudaBackend(int device, const MathFactory& make_math);

  std::string name() const override { return "cuda"; }
  std::string describe() const override;
  std::vector<std::string> notes() const override;
  std::vector<EngineNote> engines() const override { return math_->engines(); }
  /// All.
  bool supports(Precision precision, std::string& why) const override;
  /// By NCCL.
  std::unique_ptr<Communicator> connect(Communicator& ranks) override;

  void* allocate(std::size_t size_bytes) override;
  void release(void* data) noexcept override;
  void upload(void* device, const void* host, std::size_t size_bytes) override;
  void download(void* host, const void* device, std::size_t size_bytes) override;
  std::unique_ptr<Milestone> milestone() override;
  void download_after(const Milestone& milestone, void* host, const void* device, std::size_t size_bytes) override;
  void download_aside(const Milestone* milestone, void* host, const void* device, std::size_t size_bytes) override;
  void copy(void* to, const void* from, std::size_t size_bytes) override;
  void fill_zero(void* device, std::size_t size_bytes) override;
  void synchronize() override;
  /// Records a CUDA graph; nothing runs before its first replay.
  std::unique_ptr<CapturedWork> capture(std::function<void()> enqueue) override;
  double device_seconds(const std::function<void()>& enqueue) override;

  /// NVTX ranges.
  void begin_range(const char* name) override;
  void end_range() noexcept override;

  void take_step_inputs(const StepInputs* steps, std::int64_t* taken, StepInputs* inputs) override;
  void augment(const AugmentArgs& args) override;

  void plan_convolutions(std::span<const ConvRequest> requests) override { math_->plan_convolutions(requests); }
  std::size_t conv2d_scratch_bytes(const ConvGeometry& geometry, const ConvPasses& passes) override;
  void conv2d_forward(const ConvGeometry& geometry, const void* input, const void* weight, void* output,
                      void* scratch) override;
  void conv2d_backward_data(const ConvGeometry& geometry, const void* d_output, const void* weight, void* d_input,
                            GradMode mode, void* scratch) override;
  void conv2d_backward_weight(const ConvGeometry& geometry, const void* input, const void* d_output, float* d_weight,
                              void* scratch) override;

  std::size_t norm_act_scratch_bytes(const NormActGeometry& geometry) override;
  void norm_act_forward(const NormActForwardArgs& args) override;
  void norm_act_backward(const NormActBackwardArgs& args) override;

  void average_pool_forward(const PoolGeometry& geometry, const void* input, TensorUnit unit, float* output) override;
  void average_pool_backward(const PoolGeometry& geometry, const float* d_output, TensorUnit unit,
                             void* d_input) override;
  void plan_linear(const LinearGeometry& geometry, bool backward) override;
  void linear_forward(const LinearGeometry& geometry, const float* input, const float* weight, const float* bias,
                      float* output) override;
  void linear_backward(const LinearGeometry& geometry, const float* d_output, const float* input, const float* weight,
                       float* d_input, float* d_weight, float* d_bias) override;
  void softmax_cross_entropy(int batch, int classes, const float* logits, const std::int32_t* labels, float* d_logits,
                             const StepInputs* inputs, StepMetrics* metrics) override;

  void weights_from_planes(const PlanesForwardArgs& args) override;
  void planes_step(const PlanesStepArgs& args) override;
  std::size_t planes_scratch_bytes(const DeviceTable<PlaneTensor>& tensors) override;
  void weights_from_fixed(const FixedForwardArgs& args) override;
  void fixed_step(const FixedStepArgs& args) override;
  std::size_t fixed_scratch_bytes(const DeviceTable<FixedTensor>& tensors) override;
  void count_planes(const PlaneCountArgs& args) override;
  void count_fixed(const FixedCountArgs& args) override;
  void round_to_bf16(std::int64_t numel, const float* values, void* rounded) override;
  void sgd_step(std::int64_t numel, const SgdRule& rule, const StepInputs* inputs, const float* gradient,
                float* parameter, float* momentum) override;

 private:
  int compute_capability() const { return properties_.major * 10 + properties_.minor; }
  /// Throws Error(device) where kernels that visit all tensors of a network at once cannot take so many.
  void check_count(std::size_t tensors) const;
  GridMemory grid_memory() const;

  int device_;
  cudaDeviceProp properties_;
  Stream stream_;
  Stream copies_;  // of download_after, beside the work
  Stream aside_;   // of download_aside, beside both
  std::unique_ptr<DenseMath> math_;
  DeviceMemory counters_;           // of grid_memory()
  DeviceMemory sums_;               // likewise
  std::vector<std::string> notes_;  // of its own
};

}  // namespace bsq::cuda
