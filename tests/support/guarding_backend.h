// A backend between guards: every allocation of another backend gets a frame that no operation may touch. For tests of
// whole networks, where the engine and not the test allocates. Everything else is passed on.
#pragma once

#include "kernels/backend.h"

#include <cstddef>
#include <map>
#include <vector>

namespace bsq::test {

class GuardingBackend : public Backend {
 public:
  explicit GuardingBackend(Backend& inner) : inner_(inner) {}

  /// Whether the frame of every live allocation is as it was made.
  bool guards_intact() const {
    for (const auto& [data, size_bytes] : blocks_) {
      std::vector<std::byte> frame(kGuardBytes);
      for (const std::byte* guard : {data - kGuardBytes, data + size_bytes}) {
        inner_.download(frame.data(), guard, kGuardBytes);
        if (frame != pattern()) return false;
      }
    }
    return true;
  }

  void* allocate(std::size_t size_bytes) override {
    std::byte* data = static_cast<std::byte*>(inner_.allocate(size_bytes + 2 * kGuardBytes)) + kGuardBytes;
    for (std::byte* guard : {data - kGuardBytes, data + size_bytes}) {
      inner_.upload(guard, pattern().data(), kGuardBytes);
    }
    blocks_[data] = size_bytes;
    return data;
  }
  void release(void* data) noexcept override {
    blocks_.erase(static_cast<std::byte*>(data));
    inner_.release(static_cast<std::byte*>(data) - kGuardBytes);
  }

  std::string name() const override { return inner_.name(); }
  std::string describe() const override { return inner_.describe(); }
  std::vector<std::string> notes() const override { return inner_.notes(); }
  std::vector<EngineNote> engines() const override { return inner_.engines(); }
  bool supports(Precision precision, std::string& why) const override { return inner_.supports(precision, why); }
  void upload(void* device, const void* host, std::size_t size) override { inner_.upload(device, host, size); }
  void download(void* host, const void* device, std::size_t size) override { inner_.download(host, device, size); }
  std::unique_ptr<Milestone> milestone() override { return inner_.milestone(); }
  void download_after(const Milestone& milestone, void* host, const void* device, std::size_t size) override {
    inner_.download_after(milestone, host, device, size);
  }
  void download_aside(const Milestone* milestone, void* host, const void* device, std::size_t size) override {
    inner_.download_aside(milestone, host, device, size);
  }
  void copy(void* to, const void* from, std::size_t size) override { inner_.copy(to, from, size); }
  void fill_zero(void* device, std::size_t size) override { inner_.fill_zero(device, size); }
  void synchronize() override { inner_.synchronize(); }
  std::unique_ptr<CapturedWork> capture(std::function<void()> enqueue) override { return inner_.capture(enqueue); }
  double device_seconds(const std::function<void()>& enqueue) override { return inner_.device_seconds(enqueue); }

  void begin_range(const char* name) override { inner_.begin_range(name); }
  void end_range() noexcept override { inner_.end_range(); }

  void take_step_inputs(const StepInputs* steps, std::int64_t* taken, StepInputs* inputs) override {
    inner_.take_step_inputs(steps, taken, inputs);
  }
  void augment(const AugmentArgs& args) override { inner_.augment(args); }
  void plan_convolutions(std::span<const ConvRequest> requests) override { inner_.plan_convolutions(requests); }
  std::size_t conv2d_scratch_bytes(const ConvGeometry& geometry, const ConvPasses& passes) override {
    return inner_.conv2d_scratch_bytes(geometry, passes);
  }
  void conv2d_forward(const ConvGeometry& geometry, const void* input, const void* weight, void* output,
                      void* scratch) override {
    inner_.conv2d_forward(geometry, input, weight, output, scratch);
  }
  void conv2d_backward_data(const ConvGeometry& geometry, const void* d_output, const void* weight, void* d_input,
                            GradMode mode, void* scratch) override {
    inner_.conv2d_backward_data(geometry, d_output, weight, d_input, mode, scratch);
  }
  void conv2d_backward_weight(const ConvGeometry& geometry, const void* input, const void* d_output, float* d_weight,
                              void* scratch) override {
    inner_.conv2d_backward_weight(geometry, input, d_output, d_weight, scratch);
  }
  std::size_t norm_act_scratch_bytes(const NormActGeometry& geometry) override {
    return inner_.norm_act_scratch_bytes(geometry);
  }
  void norm_act_forward(const NormActForwardArgs& args) override { inner_.norm_act_forward(args); }
  void norm_act_backward(const NormActBackwardArgs& args) override { inner_.norm_act_backward(args); }
  void average_pool_forward(const PoolGeometry& geometry, const void* input, TensorUnit unit, float* output) override {
    inner_.average_pool_forward(geometry, input, unit, output);
  }
  void average_pool_backward(const PoolGeometry& geometry, const float* d_output, TensorUnit unit,
                             void* d_input) override {
    inner_.average_pool_backward(geometry, d_output, unit, d_input);
  }
  void plan_linear(const LinearGeometry& geometry, bool backward) override { inner_.plan_linear(geometry, backward); }
  void linear_forward(const LinearGeometry& geometry, const float* input, const float* weight, const float* bias,
                      float* output) override {
    inner_.linear_forward(geometry, input, weight, bias, output);
  }
  void linear_backward(const LinearGeometry& geometry, const float* d_output, const float* input, const float* weight,
                       float* d_input, float* d_weight, float* d_bias) override {
    inner_.linear_backward(geometry, d_output, input, weight, d_input, d_weight, d_bias);
  }
  void softmax_cross_entropy(int batch, int classes, const float* logits, const std::int32_t* labels, float* d_logits,
                             const StepInputs* inputs, StepMetrics* metrics) override {
    inner_.softmax_cross_entropy(batch, classes, logits, labels, d_logits, inputs, metrics);
  }
  void weights_from_planes(const PlanesForwardArgs& args) override { inner_.weights_from_planes(args); }
  void planes_step(const PlanesStepArgs& args) override { inner_.planes_step(args); }
  std::size_t planes_scratch_bytes(const DeviceTable<PlaneTensor>& tensors) override {
    return inner_.planes_scratch_bytes(tensors);
  }
  void weights_from_fixed(const FixedForwardArgs& args) override { inner_.weights_from_fixed(args); }
  void fixed_step(const FixedStepArgs& args) override { inner_.fixed_step(args); }
  std::size_t fixed_scratch_bytes(const DeviceTable<FixedTensor>& tensors) override {
    return inner_.fixed_scratch_bytes(tensors);
  }
  void round_to_bf16(std::int64_t numel, const float* values, void* rounded) override {
    inner_.round_to_bf16(numel, values, rounded);
  }
  void count_planes(const PlaneCountArgs& args) override { inner_.count_planes(args); }
  void count_fixed(const FixedCountArgs& args) override { inner_.count_fixed(args); }
  void sgd_step(std::int64_t numel, const SgdRule& rule, const StepInputs* inputs, const float* gradient,
                float* parameter, float* momentum) override {
    inner_.sgd_step(numel, rule, inputs, gradient, parameter, momentum);
  }

 private:
  static constexpr std::size_t kGuardBytes = 256;

  static const std::vector<std::byte>& pattern() {
    static const std::vector<std::byte> bytes = [] {
      std::vector<std::byte> made(kGuardBytes);
      for (std::size_t i = 0; i < kGuardBytes; ++i) made[i] = std::byte(0x40 + i % 61);  // no two neighbours alike
      return made;
    }();
    return bytes;
  }

  Backend& inner_;
  std::map<std::byte*, std::size_t> blocks_;
};

}  // namespace bsq::test
