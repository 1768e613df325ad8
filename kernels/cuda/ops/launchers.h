// The launchers of the CUDA kernels, one an operation of kernels/backend.h, whose contracts hold here. Each enqueues on
// `stream` and returns; all pointers are device memory. A launch that is refused throws Error(device).
#pragma once

#include "kernels/operation_args.h"

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace bsq::cuda {

/// What the blocks of one kernel tell each other through. Kernels that use it run one after the other.
struct GridMemory {
  static constexpr std::size_t kCounters = 4096;
  static constexpr std::size_t kSumBytes = 16384;
  static constexpr std::size_t kMostTensors = 2048;  // that planes_step and fixed_step take: a counter and a sum each

  unsigned* counters = nullptr;  // [kCounters], 0 between kernels: how many blocks have arrived
  void* sums = nullptr;          // kSumBytes that hold nothing between kernels
  int multiprocessors = 1;

  /// For all blocks of a grid; the counters before it are for parts of one.
  constexpr unsigned* last_counter() const { return counters + kCounters - 1; }
};

// ---- input (step_inputs.cu, augment.cu) -----------------------------------------------------------------------------
void take_step_inputs(const StepInputs* steps, std::int64_t* taken, StepInputs* inputs, cudaStream_t stream);
void augment(const AugmentArgs& args, cudaStream_t stream);

// ---- around a convolution (convolution.cu): all pointers are 16-byte aligned ----------------------------------------
void round_to_bf16(std::int64_t numel, const float* values, void* rounded, cudaStream_t stream);
/// values [numel] float32 = rounded [numel] bf16.
void widen_bf16(std::int64_t numel, const void* rounded, float* values, cudaStream_t stream);
/// sum += addend, both [numel] of `dtype`.
void add(DType dtype, std::int64_t numel, const void* addend, void* sum, cudaStream_t stream);

// ---- convolution where the vendor has no engine (convolution.cu) ----------------------------------------------------
void direct_conv2d_forward(const ConvGeometry& geometry, const void* input, const void* weight, void* output,
                           cudaStream_t stream);
void direct_conv2d_backward_data(const ConvGeometry& geometry, const void* d_output, const void* weight, void* d_input,
                                 GradMode mode, cudaStream_t stream);
void direct_conv2d_backward_weight(const ConvGeometry& geometry, const void* input, const void* d_output,
                                   float* d_weight, cudaStream_t stream);

// ---- batch norm + shortcut + activation + quantizer (norm_act_forward.cu, norm_act_backward.cu) ---------------------
/// Of forward and backward.
std::size_t norm_act_scratch_bytes(const NormActGeometry& geometry, const GridMemory& memory);
void norm_act_forward(const NormActForwardArgs& args, const GridMemory& memory, cudaStream_t stream);
void norm_act_backward(const NormActBackwardArgs& args, const GridMemory& memory, cudaStream_t stream);

// ---- head (head.cu) -------------------------------------------------------------------------------------------------
void average_pool_forward(const PoolGeometry& geometry, const void* input, TensorUnit unit, float* output,
                          cudaStream_t stream);
void average_pool_backward(const PoolGeometry& geometry, const float* d_output, TensorUnit unit, void* d_input,
                           cudaStream_t stream);
/// Whether the two below serve a classifier: their threads hold the weights of a whole network's head, but no more.
bool is_small(const LinearGeometry& geometry);
void linear_forward(const LinearGeometry& geometry, const float* input, const float* weight, const float* bias,
                    float* output, cudaStream_t stream);
void linear_backward(const LinearGeometry& geometry, const float* d_output, const float* input, const float* weight,
                     float* d_input, float* d_weight, float* d_bias, cudaStream_t stream);
/// output [N, O]: every row becomes `bias`, for a matrix product to be added.
void fill_with_bias(const LinearGeometry& geometry, const float* bias, float* output, cudaStream_t stream);
/// d_bias [O] = column sums of d_output.
void bias_gradient(const LinearGeometry& geometry, const float* d_output, float* d_bias, cudaStream_t stream);
void softmax_cross_entropy(int batch, int classes, const float* logits, const std::int32_t* labels, float* d_logits,
                           const StepInputs* inputs, StepMetrics* metrics, const GridMemory& memory,
                           cudaStream_t stream);

// ---- bit planes (bit_planes.cu) -------------------------------------------------------------------------------------
std::size_t planes_scratch_bytes(std::span<const PlaneTensor> tensors);
void weights_from_planes(const PlanesForwardArgs& args, const GridMemory& memory, cudaStream_t stream);
void planes_step(const PlanesStepArgs& args, const GridMemory& memory, cudaStream_t stream);

// ---- fixed-point weights (fixed_point.cu) ---------------------------------------------------------------------------
std::size_t fixed_scratch_bytes(std::span<const FixedTensor> tensors);
void weights_from_fixed(const FixedForwardArgs& args, cudaStream_t stream);
void fixed_step(const FixedStepArgs& args, const GridMemory& memory, cudaStream_t stream);

// ---- what weights are made of (weight_counts.cu) --------------------------------------------------------------------
void count_planes(const PlaneCountArgs& args, cudaStream_t stream);
void count_fixed(const FixedCountArgs& args, cudaStream_t stream);

// ---- plain parameters (sgd.cu) --------------------------------------------------------------------------------------
void sgd_step(std::int64_t numel, const SgdRule& rule, const StepInputs* inputs, const float* gradient,
              float* parameter, float* momentum, cudaStream_t stream);

}  // namespace bsq::cuda
