// The launchers of the CUDA operations. Each enqueues on the stream of its context and returns; all pointers are device
// memory. A launch that is refused throws Error(device).
#pragma once

#include "kernels/ops/operations.h"

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace bsq::cuda {

class DenseMath;

/// Memory through which the blocks of one kernel talk to each other. Kernels that use it run one after the other.
struct GridMemory {
  static constexpr std::size_t kCounters = 4096;
  static constexpr std::size_t kSumBytes = 16384;
  static constexpr std::size_t kMostTensors =
      2048;  // in planes_step, fixed_step, lsq_step, dorefa_step and msq_step: one counter and one sum per tensor

  unsigned* counters = nullptr;  // [kCounters], 0 between kernels: how many blocks have arrived
  void* sums = nullptr;          // kSumBytes that hold nothing between kernels
  int multiprocessors = 1;

  /// The counter for all blocks of a grid; those before it are for parts of one.
  constexpr unsigned* last_counter() const { return counters + kCounters - 1; }
};

/// What an operation runs on.
struct DeviceContext {
  cudaStream_t stream = nullptr;
  GridMemory memory = {};
  DenseMath* math = nullptr;  // convolutions and matrix products
};

// ---- the operations, each in the file of its family -----------------------------------------------------------------
#define BSQ_OPERATION(family, name, Args) void name(const Args& args, const DeviceContext& on);
#define BSQ_SCRATCH(family, name, Of) std::size_t name(const Of& of, const DeviceContext& on);
#include "kernels/ops/operations.def"
/// Backend::plan_linear().
void plan_linear(const LinearGeometry& geometry, bool backward, const DeviceContext& on);

// ---- around a convolution (convolution.cu): all pointers are 16-byte aligned ----------------------------------------
/// values [numel] float32 = rounded [numel] bf16.
void widen_bf16(std::int64_t numel, const void* rounded, float* values, cudaStream_t stream);
/// sum += addend, both [numel] of `dtype`.
void add(DType dtype, std::int64_t numel, const void* addend, void* sum, cudaStream_t stream);

// ---- convolutions that the vendor has no engine for (convolution.cu) ------------------------------------------------
void direct_conv2d_forward(const ConvForwardArgs& args, cudaStream_t stream);
void direct_conv2d_backward_data(const ConvBackwardDataArgs& args, cudaStream_t stream);
void direct_conv2d_backward_weight(const ConvBackwardWeightArgs& args, cudaStream_t stream);

// ---- filter gradients on tensor cores (filter_gradient.cu) ----------------------------------------------------------
/// Whether there is a kernel (own_geometries.h) and its strips fit in shared memory.
bool own_filter_gradient_serves(const ConvGeometry& geometry);
std::size_t own_filter_gradient_scratch_bytes(const ConvGeometry& geometry, int multiprocessors);
/// For a geometry that it serves.
void own_filter_gradient(const ConvBackwardWeightArgs& args, cudaStream_t stream, int multiprocessors);
/// Backend::sum_gradient_parts().
void sum_gradient_parts(std::span<const GradientParts> gradients, cudaStream_t stream);

// ---- convolutions of levels on tensor cores (levels_convolution.cu)
// ---------------------------------------------------
/// Whether rows of channels fill its accesses, and its sizes fit in a grid.
bool tensor_cores_serve(const ConvolveLevelsArgs& args);
void convolve_levels_on_tensor_cores(const ConvolveLevelsArgs& args, cudaStream_t stream);

// ---- our own convolutions on tensor cores, faster than the vendor's (own_convolution.cu): all pointers are 16-byte
// ---- aligned --------------------------------------------------------------------------------------------------------
/// Whether there is a kernel (own_geometries.h) and its sizes fit in a grid.
bool own_forward_serves(const ConvGeometry& geometry);
bool own_backward_data_serves(const ConvGeometry& geometry);
/// Needed where a norm is given.
std::size_t own_forward_scratch_bytes(const ConvGeometry& geometry);
std::size_t own_backward_data_scratch_bytes(const ConvGeometry& geometry);
/// DenseMath::leaves_statistics() and leaves_sums(). A norm for which this is false must not be given.
bool own_forward_leaves_statistics(const ConvGeometry& geometry, const NormActForwardArgs& norm);
bool own_backward_data_leaves_sums(const ConvGeometry& geometry, const NormActBackwardArgs& norm);
/// For a geometry that it serves.
void own_conv2d_forward(const ConvForwardArgs& args, const GridMemory& memory, cudaStream_t stream);
void own_conv2d_backward_data(const ConvBackwardDataArgs& args, const GridMemory& memory, cudaStream_t stream);

}  // namespace bsq::cuda
