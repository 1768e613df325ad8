// See primitive_kernels.h.
#include "tests/cuda_on_host/primitive_kernels.h"

#include "kernels/cuda/device/ptx.cuh"
#include "kernels/random.h"

namespace bsq::test {
namespace {

constexpr unsigned kFullMask = 0xFFFFFFFFU;
constexpr int kWarp = 32;
constexpr int kSumThreads = 64;

__device__ int rank_in_block() {
  return static_cast<int>(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z));
}

// any grid, any block, one thread per result
__global__ void write_indices_kernel(uint4* out) {
  cuda::wait_for_previous();
  const unsigned rank_of_block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  const unsigned threads = blockDim.x * blockDim.y * blockDim.z;
  out[rank_of_block * threads + static_cast<unsigned>(rank_in_block())] =
      make_uint4(threadIdx.x, threadIdx.y, threadIdx.z, blockIdx.x + 10 * blockIdx.y);
}

// grid 1, any block, one thread per predicate
__global__ void vote_in_block_kernel(const int* predicates, int* out) {
  cuda::wait_for_previous();
  const int t = static_cast<int>(threadIdx.x);
  out[3 * t] = __syncthreads_count(predicates[t]);
  out[3 * t + 1] = __syncthreads_or(predicates[t]);
  out[3 * t + 2] = __syncthreads_and(predicates[t]);
}

// grid 1, block 32, one thread per lane
__global__ void shuffle_in_warp_kernel(int* out) {
  cuda::wait_for_previous();
  const int lane = static_cast<int>(threadIdx.x);
  const int value = lane * 10;
  int* result = out + lane * kShuffleResults;
  result[0] = __shfl_sync(kFullMask, value, 5);
  result[1] = __shfl_up_sync(kFullMask, value, 3);
  result[2] = __shfl_down_sync(kFullMask, value, 3);
  result[3] = __shfl_xor_sync(kFullMask, value, 9);
  result[4] = __shfl_sync(kFullMask, value, 5, 8);
  result[5] = __shfl_up_sync(kFullMask, value, 3, 8);
  result[6] = __shfl_down_sync(kFullMask, value, 3, 8);
  result[7] = __shfl_xor_sync(kFullMask, value, 3, 8);
}

// grid 1, block of at most 32, one thread per lane
__global__ void vote_in_warp_kernel(int num_masks, const unsigned* masks, unsigned chosen, unsigned* out) {
  cuda::wait_for_previous();
  const unsigned lane = threadIdx.x;
  const int is_chosen = static_cast<int>(chosen >> lane & 1);
  for (int m = 0; m < num_masks; ++m) {
    const unsigned mask = masks[m];
    if ((mask >> lane & 1) == 0) continue;
    unsigned* result = out + (static_cast<unsigned>(m) * blockDim.x + lane) * 3;
    result[0] = __ballot_sync(mask, is_chosen);
    result[1] = static_cast<unsigned>(__any_sync(mask, is_chosen));
    result[2] = static_cast<unsigned>(__all_sync(mask, is_chosen));
  }
}

// grid 1, block a multiple of 32, one thread per element
__global__ void reverse_warps_kernel(const int* in, int* out) {
  cuda::wait_for_previous();
  BSQ_SHARED(int, rows, [8][kWarp]);
  const unsigned warp = threadIdx.x / kWarp;
  const unsigned lane = threadIdx.x % kWarp;
  rows[warp][lane] = in[threadIdx.x];
  __syncwarp();
  out[threadIdx.x] = rows[warp][kWarp - 1 - lane];
}

// any grid, block kSumThreads, one thread per element of a grid-stride loop
__global__ void sum_by_last_block_kernel(int count, const int* in, int* partial, unsigned* counter, int* sum) {
  cuda::wait_for_previous();
  BSQ_SHARED(int, warp_sums, [kSumThreads / kWarp]);
  BSQ_SHARED(bool, is_last, );
  int own = 0;
  const unsigned stride = gridDim.x * kSumThreads;
  for (unsigned i = blockIdx.x * kSumThreads + threadIdx.x; i < static_cast<unsigned>(count); i += stride) own += in[i];
  for (int offset = kWarp / 2; offset > 0; offset /= 2) own += __shfl_xor_sync(kFullMask, own, offset);
  if (threadIdx.x % kWarp == 0) warp_sums[threadIdx.x / kWarp] = own;
  __syncthreads();
  if (threadIdx.x == 0) {
    int block_sum = 0;
    for (const int warp_sum : warp_sums) block_sum += warp_sum;
    partial[blockIdx.x] = block_sum;
    __threadfence();
    is_last = atomicInc(counter, gridDim.x - 1) == gridDim.x - 1;
    __threadfence();
  }
  __syncthreads();
  if (!is_last || threadIdx.x != 0) return;
  int total = 0;
  for (unsigned b = 0; b < gridDim.x; ++b) total += partial[b];
  *sum = total;
}

// any grid, any block, one thread per value
__global__ void count_atomically_kernel(const int* values, unsigned long long* out, int* max) {
  cuda::wait_for_previous();
  const unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
  atomicAdd(&out[0], 1ULL);
  atomicAdd(&out[1], static_cast<unsigned long long>(i));
  atomicMax(max, values[i]);
}

// grid 1, any block, threads stride over the elements
__global__ void transpose_in_shared_kernel(int rows, int columns, const float* in, float* out) {
  cuda::wait_for_previous();
  BSQ_DYNAMIC_SHARED(float, tile);
  const int count = rows * columns;
  for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) tile[i] = in[i];
  __syncthreads();
  for (int i = static_cast<int>(threadIdx.x); i < count; i += static_cast<int>(blockDim.x)) {
    out[i] = tile[i % rows * columns + i / rows];
  }
}

// grid 1, block one warp
__global__ void multiply_matrices_kernel(bool transposes, int rows, const std::uint16_t* a, const std::uint16_t* b,
                                         float* c) {
  cuda::wait_for_previous();
  BSQ_SHARED(uint4, shared_a, [16][2]);
  BSQ_SHARED(uint4, shared_b, [16][2]);
  const int lane = static_cast<int>(threadIdx.x);
  const int row = lane / 2;
  const int half = lane % 2;
  cuda::begin_cached_copy(&shared_a[row][half], a + lane * 8);
  cuda::end_copy_group();
  cuda::begin_copy(&shared_b[row][half], b + lane * 8, row < rows);
  cuda::end_copy_group();
  cuda::wait_for_copies<1>();
  __syncwarp();
  unsigned of_a[4];
  if (transposes) {
    cuda::load_transposed(of_a, &shared_a[lane % 8 + lane / 16 * 8][lane / 8 % 2]);
  } else {
    cuda::load_matrices(of_a, &shared_a[lane % 16][lane / 16]);
  }
  cuda::wait_for_copies<0>();
  __syncwarp();
  unsigned of_b[4];
  cuda::load_transposed(of_b, &shared_b[lane % 16][lane / 16]);
  unsigned right_half[2];  // the same once more, two matrices at a time
  cuda::load_transposed(right_half, &shared_b[lane % 16][1]);
  float left[4] = {};
  float right[4] = {};
  cuda::multiply_add(left, of_a, of_b[0], of_b[1]);
  cuda::multiply_add(right, of_a, right_half[0], right_half[1]);
  for (int i = 0; i < 4; ++i) {
    float* const to = c + (lane / 4 + i / 2 * 8) * 16 + lane % 4 * 2 + i % 2;
    to[0] = left[i];
    to[8] = right[i];
  }
}

// grid 1, block one warp
__global__ void multiply_bytes_kernel(const std::uint8_t* a, const std::int8_t* b, int* c, int* dots) {
  cuda::wait_for_previous();
  BSQ_SHARED(uint4, shared_a, [16][2]);
  BSQ_SHARED(uint4, shared_b, [8][2]);
  const int lane = static_cast<int>(threadIdx.x);
  cuda::begin_copy(&shared_a[lane / 2][lane % 2], a + lane * 16, true);
  if (lane < 16) cuda::begin_copy(&shared_b[lane / 2][lane % 2], b + lane * 16, true);
  cuda::end_copy_group();
  cuda::wait_for_copies<0>();
  __syncwarp();
  unsigned of_a[4];
  unsigned of_b[4];  // the first half of its rows, and the second; then both once more
  cuda::load_matrices(of_a, &shared_a[lane % 16][lane / 16]);
  cuda::load_matrices(of_b, &shared_b[lane % 8][lane / 8 % 2]);
  int sums[4] = {1, 2, 3, 4};
  cuda::multiply_add(sums, of_a, of_b[0], of_b[1]);
  for (int i = 0; i < 4; ++i) c[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = sums[i] - i - 1;
  dots[lane] = cuda::add_products(1000, *reinterpret_cast<const unsigned*>(a + 4 * lane),
                                  *reinterpret_cast<const unsigned*>(b + 4 * lane));
}

// grid 1, one thread per element
__global__ void apply_float_functions_kernel(const float* in, float* out) {
  cuda::wait_for_previous();
  const float value = in[threadIdx.x];
  float* result = out + threadIdx.x * kFloatResults;
  result[0] = rintf(value);
  result[1] = rsqrtf(value);
  result[2] = fmaf(value, 3.0F, 1.0F);
  result[3] = copysignf(2.0F, value);
  result[4] = static_cast<float>(__float2int_rn(value));
  result[5] = __fmul_rn(value, value);
  result[6] = __fadd_rn(value, 1e6F);
}

// grid 1, one thread per element
__global__ void apply_bit_functions_kernel(const int* in, int* out) {
  cuda::wait_for_previous();
  const int value = in[threadIdx.x];
  int* result = out + threadIdx.x * kBitResults;
  result[0] = __popc(static_cast<unsigned>(value));
  result[1] = __clz(value);
  result[2] = __ffs(value);
  result[3] = min(value, 7);
  result[4] = max(value, 7);
  result[5] = __float_as_int(__int_as_float(__float_as_int(static_cast<float>(value))));
  result[6] = static_cast<int>(__float_as_uint(__uint_as_float(__float_as_uint(static_cast<float>(value)))));
}

// grid 1, one thread per pair
__global__ void round_to_bfloat16_kernel(const float* in, std::uint32_t* bits, float* out) {
  cuda::wait_for_previous();
  const unsigned i = threadIdx.x;
  const __nv_bfloat162 pair = __floats2bfloat162_rn(in[2 * i], in[2 * i + 1]);
  reinterpret_cast<__nv_bfloat162*>(bits)[i] = pair;
  out[2 * i] = __low2float(pair);
  out[2 * i + 1] = __bfloat162float(__float2bfloat16(in[2 * i + 1]));
}

// grid 1, one thread per 4 elements
__global__ void copy_vectors_kernel(const float* in, float* out) {
  cuda::wait_for_previous();
  const float4 value = __ldg(reinterpret_cast<const float4*>(in) + threadIdx.x);
  reinterpret_cast<float4*>(out)[threadIdx.x] = make_float4(value.x, value.y, value.z, value.w);
}

// grid 1, one thread per draw
__global__ void draw_philox_kernel(std::uint64_t key, std::uint32_t* out) {
  cuda::wait_for_previous();
  const PhiloxCounter bits = philox4x32({threadIdx.x, 1, 2, 3}, key);
  for (unsigned word = 0; word < 4; ++word) out[4 * threadIdx.x + word] = bits[word];
}

}  // namespace

using cuda::launch;

void write_indices(dim3 grid, dim3 block, uint4* out) {
  launch(write_indices_kernel, grid, block, 0, nullptr, out);
}

void vote_in_block(int threads, const int* predicates, int* out) {
  launch(vote_in_block_kernel, 1, threads, 0, nullptr, predicates, out);
}

void shuffle_in_warp(int* out) {
  launch(shuffle_in_warp_kernel, 1, kWarp, 0, nullptr, out);
}

void vote_in_warp(int lanes, int num_masks, const unsigned* masks, unsigned chosen, unsigned* out) {
  launch(vote_in_warp_kernel, 1, lanes, 0, nullptr, num_masks, masks, chosen, out);
}

void reverse_warps(int warps, const int* in, int* out) {
  launch(reverse_warps_kernel, 1, warps * kWarp, 0, nullptr, in, out);
}

void sum_by_last_block(int blocks, int count, const int* in, int* partial, unsigned* counter, int* sum) {
  launch(sum_by_last_block_kernel, blocks, kSumThreads, 0, nullptr, count, in, partial, counter, sum);
}

void count_atomically(int blocks, int threads, const int* values, unsigned long long* out, int* max) {
  launch(count_atomically_kernel, blocks, threads, 0, nullptr, values, out, max);
}

void transpose_in_shared(int rows, int columns, const float* in, float* out) {
  const std::size_t shared_bytes = static_cast<std::size_t>(rows) * columns * sizeof(float);
  launch(transpose_in_shared_kernel, 1, 96, shared_bytes, nullptr, rows, columns, in, out);
}

void multiply_matrices(bool transposes, int rows, const std::uint16_t* a, const std::uint16_t* b, float* c) {
  launch(multiply_matrices_kernel, 1, kWarp, 0, nullptr, transposes, rows, a, b, c);
}

void multiply_bytes(const std::uint8_t* a, const std::int8_t* b, int* c, int* dots) {
  launch(multiply_bytes_kernel, 1, kWarp, 0, nullptr, a, b, c, dots);
}

void apply_float_functions(int count, const float* in, float* out) {
  launch(apply_float_functions_kernel, 1, count, 0, nullptr, in, out);
}

void apply_bit_functions(int count, const int* in, int* out) {
  launch(apply_bit_functions_kernel, 1, count, 0, nullptr, in, out);
}

void round_to_bfloat16(int count, const float* in, std::uint32_t* bits, float* out) {
  launch(round_to_bfloat16_kernel, 1, count / 2, 0, nullptr, in, bits, out);
}

void copy_vectors(int count, const float* in, float* out) {
  launch(copy_vectors_kernel, 1, count / 4, 0, nullptr, in, out);
}

void draw_philox(int count, std::uint64_t key, std::uint32_t* out) {
  launch(draw_philox_kernel, 1, count, 0, nullptr, key, out);
}

}  // namespace bsq::test
