// Instructions of the tensor cores and of the copy engine that C++ lacks. Each has a twin in the host emulation
// (tests/cuda_on_host/emulator/matrix.h) that checks what the device leaves undefined.
//
// Compute capability 8.0 or later. Layouts: "Matrix fragments for mma.m16n8k16" and "ldmatrix" of NVIDIA's PTX manual.
#pragma once

#include "kernels/cuda/device/port.h"

namespace bsq::cuda {

/// Four 8x8 matrices of bf16 from shared memory. Lane l names row l % 8 of matrix l / 8: 16 bytes, aligned to 16. Lane
/// l gets elements 2 (l % 4) and 2 (l % 4) + 1 of row l / 4 of each. All lanes of the warp take part.
__device__ inline void load_matrices(unsigned (&to)[4], const void* row) {
#if defined(__CUDACC__)
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(static_cast<unsigned>(__cvta_generic_to_shared(row)))
               : "memory");
#else
  cuda_on_host::load_matrices<4>(to, row, /*transposes=*/false);
#endif
}

/// As load_matrices, but each matrix is transposed on the way: lane l gets elements l / 4 of rows 2 (l % 4) and
/// 2 (l % 4) + 1.
__device__ inline void load_transposed(unsigned (&to)[4], const void* row) {
#if defined(__CUDACC__)
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(static_cast<unsigned>(__cvta_generic_to_shared(row)))
               : "memory");
#else
  cuda_on_host::load_matrices<4>(to, row, /*transposes=*/true);
#endif
}

/// The same for two matrices: lanes 0 to 15 name their rows, the others any row.
__device__ inline void load_transposed(unsigned (&to)[2], const void* row) {
#if defined(__CUDACC__)
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
               : "=r"(to[0]), "=r"(to[1])
               : "r"(static_cast<unsigned>(__cvta_generic_to_shared(row)))
               : "memory");
#else
  cuda_on_host::load_matrices<2>(to, row, /*transposes=*/true);
#endif
}

/// sum += a b on tensor cores: a is 16x16, b 16x8, both bf16, the sum 16x8 float32. With g = lane / 4 and t = lane % 4:
/// a = {(g, 2t), (g + 8, 2t), (g, 2t + 8), (g + 8, 2t + 8)}, two neighbouring columns in each;
/// b = {(2t, g), (2t + 8, g)}, two neighbouring rows in each; sum = {(g, 2t), (g, 2t + 1), (g + 8, 2t), (g + 8, 2t +
/// 1)}. Terms are rounded toward zero when they are aligned, so sums are exact only if nothing is lost: for integers
/// below 2^24.
__device__ inline void multiply_add(float (&sum)[4], const unsigned (&a)[4], unsigned b_low, unsigned b_high) {
#if defined(__CUDACC__)
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b_low), "r"(b_high));
#else
  cuda_on_host::multiply_add(sum, a, b_low, b_high);
#endif
}

/// sum += a b on tensor cores, exact in 32 bits: a is 16x32 bytes without a sign, b 32x8 with one. With g = lane / 4
/// and t = lane % 4: a = {(g, 4t), (g + 8, 4t), (g, 4t + 16), (g + 8, 4t + 16)}, four neighbouring columns in each; b =
/// {(4t, g), (4t + 16, g)}, four neighbouring rows in each; the sum lies as that of floats.
__device__ inline void multiply_add(int (&sum)[4], const unsigned (&a)[4], unsigned b_low, unsigned b_high) {
#if defined(__CUDACC__)
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+r"(sum[0]), "+r"(sum[1]), "+r"(sum[2]), "+r"(sum[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b_low), "r"(b_high));
#else
  cuda_on_host::multiply_add(sum, a, b_low, b_high);
#endif
}

/// sum + the products of four bytes without a sign and four with one.
__device__ inline int add_products(int sum, unsigned levels, unsigned weights) {
#if defined(__CUDACC__)
  asm("dp4a.u32.s32 %0, %1, %2, %0;" : "+r"(sum) : "r"(levels), "r"(weights));
  return sum;
#else
  return cuda_on_host::add_products(sum, levels, weights);
#endif
}

/// Begins to copy 16 bytes from global to shared memory, both aligned to 16; if `is_there` is false it writes zeros,
/// and `from` may be any valid address. This thread sees the bytes after wait_for_copies(), the others after a barrier
/// behind it.
__device__ inline void begin_copy(void* to_shared, const void* from, bool is_there) {
#if defined(__CUDACC__)
  asm volatile(
      "cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(static_cast<unsigned>(__cvta_generic_to_shared(to_shared))),
      "l"(from), "r"(is_there ? 16 : 0)
      : "memory");
#else
  cuda_on_host::begin_copy(to_shared, from, is_there);
#endif
}

/// The same through the cache of the multiprocessor, without zeros: for data that all blocks read. Hundreds of them
/// would otherwise wait for the same few lines of the L2 cache.
__device__ inline void begin_cached_copy(void* to_shared, const void* from) {
#if defined(__CUDACC__)
  asm volatile(
      "cp.async.ca.shared.global [%0], [%1], 16;" ::"r"(static_cast<unsigned>(__cvta_generic_to_shared(to_shared))),
      "l"(from)
      : "memory");
#else
  cuda_on_host::begin_copy(to_shared, from, /*is_there=*/true);
#endif
}

/// Makes a group of the copies that this thread has begun since the last call.
__device__ inline void end_copy_group() {
#if defined(__CUDACC__)
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  cuda_on_host::end_copy_group();
#endif
}

/// Waits until at most the latest `Pending` groups of this thread are still under way.
template <int Pending>
__device__ void wait_for_copies() {
#if defined(__CUDACC__)
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
#else
  cuda_on_host::wait_for_copies(Pending);
#endif
}

}  // namespace bsq::cuda
