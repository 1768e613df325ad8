// CpuBackend: memory, and every operation handed to oneDNN or to the loops in simd/.
#include "kernels/cpu/cpu_backend.h"

#include "kernels/base/error.h"
#include "kernels/host_memory.h"
#include "kernels/weight_counts.h"

#include <omp.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace bsq {
namespace {

class ReplayedCalls final : public CapturedWork {
 public:
  explicit ReplayedCalls(std::function<void()> enqueue) : enqueue_(std::move(enqueue)) {}
  void replay() override { enqueue_(); }

 private:
  std::function<void()> enqueue_;
};

/// How many logits beat the label's; with a NaN anywhere in the row no rank is good enough.
int rank_of_label(const float* logits, int classes, int label) {
  int rank = 0;
  for (int i = 0; i < classes; ++i) {
    if (std::isnan(logits[i])) return std::numeric_limits<int>::max();
    rank += logits[i] > logits[label] || (logits[i] == logits[label] && i < label);
  }
  return rank;
}

/// A tensor at a time on each thread.
template <typename Args>
void count_tensors(const Args& args, const float* masters) {
  const auto tensors = static_cast<std::int64_t>(args.tensors.host.size());
#pragma omp parallel for schedule(dynamic)
  for (std::int64_t t = 0; t < tensors; ++t)
    args.counts[t] = count_weights(args.tensors.device[t], masters, args.scales[t]);
}

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(const BackendOptions& options) {
  return std::make_unique<CpuBackend>(options);
}

CpuBackend::CpuBackend(const BackendOptions& options)
    : threads_(options.threads > 0 ? options.threads : omp_get_num_procs()), simd_(select_simd_kernels()) {
  omp_set_num_threads(threads_);
}

std::string CpuBackend::describe() const {
  return fmt::format("cpu, {} thread{}, {}, own loops for {}", threads_, threads_ == 1 ? "" : "s", describe_onednn(),
                     simd_.instruction_set);
}

bool CpuBackend::supports(Precision precision, std::string& why) const {
  if (precision == Precision::fp32 || (precision == Precision::bf16 && onednn_has_bf16())) return true;
  why = precision == Precision::bf16 ? "this CPU has no bf16 instructions (AVX512_BF16)"
                                     : "tf32 is a number format of GPUs";
  return false;
}

// ---- memory -----------------------------------------------------------------------------------------------------

void* CpuBackend::allocate(std::size_t size_bytes) {
  return allocate_host_memory(size_bytes);
}

void CpuBackend::release(void* data) noexcept {
  std::free(data);
}
void CpuBackend::upload(void* device, const void* host, std::size_t size_bytes) {
  std::memcpy(device, host, size_bytes);
}
void CpuBackend::download(void* host, const void* device, std::size_t size_bytes) {
  std::memcpy(host, device, size_bytes);
}
void CpuBackend::copy(void* to, const void* from, std::size_t size_bytes) {
  std::memcpy(to, from, size_bytes);
}
void CpuBackend::fill_zero(void* device, std::size_t size_bytes) {
  std::memset(device, 0, size_bytes);
}

std::unique_ptr<CapturedWork> CpuBackend::capture(std::function<void()> enqueue) {
  return std::make_unique<ReplayedCalls>(std::move(enqueue));
}

// ---- input ------------------------------------------------------------------------------------------------------

void CpuBackend::take_step_inputs(const StepInputs* steps, std::int64_t* taken, StepInputs* inputs) {
  *inputs = steps[(*taken)++];
}

void CpuBackend::augment(const AugmentArgs& args) {
  simd_.augment(args);
}

// ---- convolution --------------------------------------------------------------------------------------------------

std::size_t CpuBackend::conv2d_scratch_bytes(const ConvGeometry& geometry, const ConvPasses& passes) {
  return convolutions_.scratch_bytes(geometry, passes);
}

void CpuBackend::conv2d_forward(const ConvGeometry& geometry, const void* input, const void* weight, void* output,
                                void* scratch) {
  convolutions_.forward(geometry, input, weight, output, scratch);
}

void CpuBackend::conv2d_backward_data(const ConvGeometry& geometry, const void* d_output, const void* weight,
                                      void* d_input, GradMode mode, void* scratch) {
  if (mode == GradMode::overwrite) return convolutions_.backward_data(geometry, d_output, weight, d_input, scratch);
  // oneDNN cannot add to d_input here: the gradient goes to the room in the scratch and is added from there.
  void* addend = static_cast<std::byte*>(scratch) + convolutions_.room_offset(geometry);
  convolutions_.backward_data(geometry, d_output, weight, addend, scratch);
  simd_.accumulate(geometry.dtype, geometry.input_shape().numel(), addend, d_input);
}

void CpuBackend::conv2d_backward_weight(const ConvGeometry& geometry, const void* input, const void* d_output,
                                        float* d_weight, void* scratch) {
  convolutions_.backward_weight(geometry, input, d_output, d_weight, scratch);
}

// ---- batch norm, shortcut, activation, quantizer ------------------------------------------------------------------

std::size_t CpuBackend::norm_act_scratch_bytes(const NormActGeometry& geometry) {
  return simd_.norm_act_scratch_bytes(geometry);
}

void CpuBackend::norm_act_forward(const NormActForwardArgs& args) {
  simd_.norm_act_forward(args);
}

void CpuBackend::norm_act_backward(const NormActBackwardArgs& args) {
  simd_.norm_act_backward(args);
}

// ---- head ---------------------------------------------------------------------------------------------------------

void CpuBackend::average_pool_forward(const PoolGeometry& geometry, const void* input, TensorUnit unit, float* output) {
  simd_.average_pool_forward(geometry, input, unit.value(), output);
}

void CpuBackend::average_pool_backward(const PoolGeometry& geometry, const float* d_output, TensorUnit unit,
                                       void* d_input) {
  simd_.average_pool_backward(geometry, d_output, unit.value(), d_input);
}

void CpuBackend::linear_forward(const LinearGeometry& geometry, const float* input, const float* weight,
                                const float* bias, float* output) {
  const auto [batch, in_features, out_features] = geometry;
  gemm(false, true, batch, out_features, in_features, input, weight, output);
  for (int row = 0; row < batch; ++row)
    for (int column = 0; column < out_features; ++column) output[row * out_features + column] += bias[column];
}

void CpuBackend::linear_backward(const LinearGeometry& geometry, const float* d_output, const float* input,
                                 const float* weight, float* d_input, float* d_weight, float* d_bias) {
  const auto [batch, in_features, out_features] = geometry;
  gemm(false, false, batch, in_features, out_features, d_output, weight, d_input);
  gemm(true, false, out_features, in_features, batch, d_output, input, d_weight);
  for (int column = 0; column < out_features; ++column) {
    double sum = 0;
    for (int row = 0; row < batch; ++row) sum += static_cast<double>(d_output[row * out_features + column]);
    d_bias[column] = static_cast<float>(sum);
  }
}

void CpuBackend::softmax_cross_entropy(int batch, int classes, const float* logits, const std::int32_t* labels,
                                       float* d_logits, const StepInputs* inputs, StepMetrics* metrics) {
  StepMetrics& result = metrics[inputs->metrics_slot];
  result.loss_sum = 0;
  result.top1 = 0;
  result.top5 = 0;
  result.samples = batch;
  for (int row = 0; row < batch; ++row, logits += classes) {
    const int label = labels[row];
    float largest = logits[0];
    for (int i = 1; i < classes; ++i) largest = std::max(largest, logits[i]);
    double sum = 0;
    for (int i = 0; i < classes; ++i) sum += std::exp(static_cast<double>(logits[i] - largest));
    result.loss_sum += std::log(sum) - static_cast<double>(logits[label] - largest);
    const int rank = rank_of_label(logits, classes, label);
    result.top1 += rank < 1;
    result.top5 += rank < 5;
    if (d_logits == nullptr) continue;
    for (int i = 0; i < classes; ++i) {
      const double probability = std::exp(static_cast<double>(logits[i] - largest)) / sum;
      d_logits[row * classes + i] = static_cast<float>((probability - (i == label ? 1.0 : 0.0)) / batch);
    }
  }
}

// ---- weights --------------------------------------------------------------------------------------------------------

std::size_t CpuBackend::planes_scratch_bytes(const DeviceTable<PlaneTensor>& tensors) {
  return simd_.planes_scratch_bytes(tensors.host);
}

void CpuBackend::weights_from_planes(const PlanesForwardArgs& args) {
  simd_.weights_from_planes(args);
}

void CpuBackend::planes_step(const PlanesStepArgs& args) {
  simd_.planes_step(args);
}

std::size_t CpuBackend::fixed_scratch_bytes(const DeviceTable<FixedTensor>& tensors) {
  return simd_.fixed_scratch_bytes(tensors.host);
}

void CpuBackend::weights_from_fixed(const FixedForwardArgs& args) {
  simd_.weights_from_fixed(args);
}

void CpuBackend::fixed_step(const FixedStepArgs& args) {
  simd_.fixed_step(args);
}

void CpuBackend::count_planes(const PlaneCountArgs& args) {
  count_tensors(args, args.planes);
}

void CpuBackend::count_fixed(const FixedCountArgs& args) {
  count_tensors(args, args.u);
}

void CpuBackend::round_to_bf16(std::int64_t numel, const float* values, void* rounded) {
  simd_.round_to_bf16(numel, values, rounded);
}

void CpuBackend::sgd_step(std::int64_t numel, const SgdRule& rule, const StepInputs* inputs, const float* gradient,
                          float* parameter, float* momentum) {
  simd_.sgd_step(numel, rule, inputs->learning_rate, gradient, parameter, momentum);
}

}  // namespace bsq
