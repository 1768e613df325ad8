// What weights are made of, for logs: zeros, NaNs and the ones of each plane, rounded as in
// kernels/published_rounding.h, to the bit: no product is contracted with a sum.
//
// Once per epoch and off the critical path, so that one block per tensor is enough: its sums need no atomics and no
// order. Least bytes: 8 per weight and bit of planes, 4 per fixed-point weight.
#include "kernels/cuda/device/device.cuh"
#include "kernels/cuda/ops/launchers.h"
#include "kernels/published_rounding.h"

namespace bsq::cuda {
namespace {

constexpr int kThreads = 512;

/// The counts of a thread: ones by plane, then zeros, NaNs and even levels.
struct Seen {
  unsigned counts[kMaxBits + 3] = {};

  __device__ void add_weight(float level, float levels, float scale) {
    counts[kMaxBits] += __fmul_rn(level / levels, scale) == 0.0F ? 1 : 0;
    counts[kMaxBits + 1] += level != level ? 1 : 0;
    counts[kMaxBits + 2] += rintf(level * 0.5F) == level * 0.5F ? 1 : 0;
  }
};

/// The level of u, rounded half to even; a NaN stays one.
__device__ float clamped_level(float u, float levels) {
  const float clamped = u < -1.0F ? -1.0F : u > 1.0F ? 1.0F : u;
  return rintf(__fmul_rn(clamped, levels));
}

__device__ void write_sums(const Seen& seen, WeightCounts& counts) {
  BSQ_SHARED(long long, shared, [kThreads / kWarp]);
#pragma unroll
  for (int i = 0; i < kMaxBits + 3; ++i) {
    const long long sum = reduce_block(static_cast<long long>(seen.counts[i]), shared, Sum());
    if (threadIdx.x != 0) continue;
    if (i < kMaxBits)
      counts.ones.data()[i] = sum;
    else
      (i == kMaxBits ? counts.zeros : i == kMaxBits + 1 ? counts.nans : counts.evens) = sum;
  }
}

/// u of a weight, from p_b - n_b and c_b, in the order of published::summation_order; both are 0 beyond its bits.
__device__ float sum_of_planes(bool is_eight, const float (&difference)[kMaxBits],
                               const float (&coefficient)[kMaxBits]) {
  float product[kMaxBits];
#pragma unroll
  for (int plane = 0; plane < kMaxBits; ++plane) product[plane] = __fmul_rn(difference[plane], coefficient[plane]);
  float sum = product[0];
  if (is_eight) {
#pragma unroll
    for (int plane = 1; plane < kMaxBits; ++plane) sum = __fadd_rn(sum, product[plane]);
    return sum;
  }
#pragma unroll
  for (int plane = 4; plane < kMaxBits; ++plane) sum = __fadd_rn(sum, product[plane]);
#pragma unroll
  for (int plane = 1; plane < 4; ++plane) sum = __fadd_rn(sum, product[plane]);
  return sum;
}

// grid one block per tensor, block kThreads, one thread per weight at a time
__global__ void __launch_bounds__(kThreads) count_plane_tensor(PlaneCountArgs args) {
  wait_for_previous();
  const PlaneTensor tensor = args.tensors.device[blockIdx.x];
  const auto levels = static_cast<float>(published::max_level(tensor.bits));
  const float scale = args.scales[blockIdx.x];
  float coefficient[kMaxBits] = {};
#pragma unroll
  for (int plane = 0; plane < kMaxBits; ++plane)
    if (plane < tensor.bits) coefficient[plane] = published::coefficient(tensor.bits, plane);
  Seen seen;
  for (std::int64_t index = threadIdx.x; index < tensor.numel; index += kThreads) {
    const float* p = args.planes + tensor.plane_offset + index;
    const float* n = p + tensor.bits * tensor.numel;
    float difference[kMaxBits] = {};
#pragma unroll
    for (int plane = 0; plane < kMaxBits; ++plane) {
      if (plane >= tensor.bits) continue;
      const float positive = p[plane * tensor.numel];
      const float negative = n[plane * tensor.numel];
      difference[plane] = positive - negative;
      seen.counts[plane] += positive != negative ? 1 : 0;
    }
    const float u = sum_of_planes(tensor.bits == kMaxBits, difference, coefficient);
    seen.add_weight(clamped_level(u, levels), levels, scale);
  }
  write_sums(seen, args.counts[blockIdx.x]);
}

// grid one block per tensor, block kThreads, one thread per weight at a time
__global__ void __launch_bounds__(kThreads) count_fixed_tensor(FixedCountArgs args) {
  wait_for_previous();
  const FixedTensor tensor = args.tensors.device[blockIdx.x];
  const auto levels = static_cast<float>(published::max_level(tensor.bits));
  const float scale = args.scales[blockIdx.x];
  Seen seen;
  for (std::int64_t index = threadIdx.x; index < tensor.numel; index += kThreads) {
    if (tensor.bits == 0) {
      seen.counts[kMaxBits] += 1;
      seen.counts[kMaxBits + 2] += 1;
      continue;
    }
    const float level = clamped_level(args.u[tensor.weight_offset + index], levels);
    seen.add_weight(level, levels, scale);
    const int magnitude = level != level ? 0 : static_cast<int>(fabsf(level));
#pragma unroll
    for (int plane = 0; plane < kMaxBits; ++plane)
      seen.counts[plane] += plane < tensor.bits ? magnitude >> (tensor.bits - 1 - plane) & 1 : 0;
  }
  write_sums(seen, args.counts[blockIdx.x]);
}

}  // namespace

void count_planes(const PlaneCountArgs& args, const DeviceContext& on) {
  launch(count_plane_tensor, dim3(static_cast<unsigned>(args.tensors.host.size())), dim3(kThreads), 0, on.stream, args);
}

void count_fixed(const FixedCountArgs& args, const DeviceContext& on) {
  launch(count_fixed_tensor, dim3(static_cast<unsigned>(args.tensors.host.size())), dim3(kThreads), 0, on.stream, args);
}

}  // namespace bsq::cuda
