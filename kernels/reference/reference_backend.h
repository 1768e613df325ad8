// The oracle: every operation of backend.h in plain loops with double accumulation, the readable text of what it
// computes and the measure of all other backends. Runs at once, in the calling thread; needs no scratch memory.
//
// What backend.h leaves open is settled here: a bf16 convolution multiplies weights rounded to bf16; batch statistics
// of a single row have the unbiased variance 0; a NaN activation makes the quantizer's scale, and so all of y, NaN.
#pragma once

#include "kernels/backend.h"
#include "kernels/planned_passes.h"

namespace bsq {

class ReferenceBackend final : public Backend {
 public:
  std::string name() const override { return "reference"; }
  std::string describe() const override { return "reference: plain loops, double accumulation, 1 thread"; }
  /// fp32 and bf16.
  bool supports(Precision precision, std::string& why) const override;

  // memory: 64-byte aligned host memory; a capture stores the function and replays it
  void* allocate(std::size_t size_bytes) override;
  void release(void* data) noexcept override;
  void upload(void* device, const void* host, std::size_t size_bytes) override;
  void download(void* host, const void* device, std::size_t size_bytes) override;
  void copy(void* to, const void* from, std::size_t size_bytes) override;
  void fill_zero(void* device, std::size_t size_bytes) override;
  void synchronize() override {}
  std::unique_ptr<CapturedWork> capture(std::function<void()> enqueue) override;

  // input and convolution
  void take_step_inputs(const StepInputs* steps, std::int64_t* taken, StepInputs* inputs) override;
  void augment(const AugmentArgs& args) override;
  std::size_t conv2d_scratch_bytes(const ConvGeometry& geometry, const ConvPasses& passes) override {
    planned_.add(geometry, passes);
    return 0;
  }
  void conv2d_forward(const ConvGeometry& geometry, const void* input, const void* weight, void* output,
                      void* scratch) override;
  void conv2d_backward_data(const ConvGeometry& geometry, const void* d_output, const void* weight, void* d_input,
                            GradMode mode, void* scratch) override;
  void conv2d_backward_weight(const ConvGeometry& geometry, const void* input, const void* d_output, float* d_weight,
                              void* scratch) override;

  // batch norm, shortcut, activation, quantizer
  std::size_t norm_act_scratch_bytes(const NormActGeometry&) override { return 0; }
  void norm_act_forward(const NormActForwardArgs& args) override;
  void norm_act_backward(const NormActBackwardArgs& args) override;

  // head
  void average_pool_forward(const PoolGeometry& geometry, const void* input, TensorUnit unit, float* output) override;
  void average_pool_backward(const PoolGeometry& geometry, const float* d_output, TensorUnit unit,
                             void* d_input) override;
  void linear_forward(const LinearGeometry& geometry, const float* input, const float* weight, const float* bias,
                      float* output) override;
  void linear_backward(const LinearGeometry& geometry, const float* d_output, const float* input, const float* weight,
                       float* d_input, float* d_weight, float* d_bias) override;
  void softmax_cross_entropy(int batch, int classes, const float* logits, const std::int32_t* labels, float* d_logits,
                             const StepInputs* inputs, StepMetrics* metrics) override;

  // weights
  void weights_from_planes(const PlanesForwardArgs& args) override;
  void planes_step(const PlanesStepArgs& args) override;
  std::size_t planes_scratch_bytes(const DeviceTable<PlaneTensor>&) override { return 0; }
  void weights_from_fixed(const FixedForwardArgs& args) override;
  void fixed_step(const FixedStepArgs& args) override;
  std::size_t fixed_scratch_bytes(const DeviceTable<FixedTensor>&) override { return 0; }
  void count_planes(const PlaneCountArgs& args) override;
  void count_fixed(const FixedCountArgs& args) override;
  void round_to_bf16(std::int64_t numel, const float* values, void* rounded) override;
  void sgd_step(std::int64_t numel, const SgdRule& rule, const StepInputs* inputs, const float* gradient,
                float* parameter, float* momentum) override;

 private:
  PlannedPasses planned_;
};

std::unique_ptr<Backend> make_reference_backend();

}  // namespace bsq
