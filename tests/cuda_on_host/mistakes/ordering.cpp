// A missing barrier, fence or atomic: the values are right all the same in many an order of the threads.
//
// Blocks are small: some versions of ThreadSanitizer keep track of 255 threads.
#include "tests/cuda_on_host/mistakes/mistakes.h"

namespace bsq::test {
namespace {

constexpr int kThreads = 64;
constexpr int kBlocks = 5;

template <bool right>
__global__ void missing_syncthreads(int* out) {
  cuda::wait_for_previous();
  BSQ_SHARED(int, tile, [kThreads]);
  tile[threadIdx.x] = static_cast<int>(threadIdx.x);
  if (right) __syncthreads();
  out[blockIdx.x * kThreads + threadIdx.x] = tile[kThreads - 1 - threadIdx.x];
}

/// The barrier after the last use is missing, before the memory is written again.
template <bool right>
__global__ void missing_syncthreads_at_loop_end(int* out) {
  cuda::wait_for_previous();
  BSQ_SHARED(int, tile, [kThreads]);
  int sum = 0;
  for (int round = 0; round < 2; ++round) {
    tile[threadIdx.x] = round;
    __syncthreads();
    sum += tile[kThreads - 1 - threadIdx.x];
    if (right) __syncthreads();
  }
  out[blockIdx.x * kThreads + threadIdx.x] = sum;
}

template <bool right>
__global__ void missing_syncwarp(int* out) {
  cuda::wait_for_previous();
  BSQ_SHARED(int, tile, [kThreads]);
  tile[threadIdx.x] = static_cast<int>(threadIdx.x);
  if (right) __syncwarp();
  out[blockIdx.x * kThreads + threadIdx.x] = tile[threadIdx.x ^ 1];
}

/// A shuffle brings lanes together, but orders no memory.
template <bool right>
__global__ void shuffle_as_barrier(int* out) {
  cuda::wait_for_previous();
  BSQ_SHARED(int, tile, [kThreads]);
  tile[threadIdx.x] = static_cast<int>(threadIdx.x);
  const int zero = __shfl_xor_sync(0xFFFFFFFFU, 0, 1);
  if (right) __syncwarp();
  out[blockIdx.x * kThreads + threadIdx.x] = tile[threadIdx.x ^ 1] + zero;
}

template <bool right>
__global__ void sum_across_blocks_without_atomic(int* out) {
  cuda::wait_for_previous();
  if (threadIdx.x != 0) return;
  if (right) {
    atomicAdd(out, 1);
  } else {
    *out += 1;
  }
}

template <bool right>
__global__ void two_blocks_write_one_place(int* out) {
  cuda::wait_for_previous();
  if (threadIdx.x == 0) out[right ? blockIdx.x : blockIdx.x / 2] = 1;
}

/// out[0] is the counter, out[1] the sum, the partial sums lie behind.
template <bool right>
__global__ void last_block_without_fence(int* out) {
  cuda::wait_for_previous();
  if (threadIdx.x != 0) return;
  out[2 + blockIdx.x] = 1;
  if (right) __threadfence();
  const bool is_last = atomicAdd(&out[0], 1) == kBlocks - 1;
  if (right) __threadfence();
  if (!is_last) return;
  out[1] = 0;
  for (int b = 0; b < kBlocks; ++b) out[1] += out[2 + b];
}

template <void (*kernel)(int*)>
void run() {
  const DeviceArray<int> out(std::vector<int>(kBlocks * kThreads, 0));
  cuda::launch(kernel, kBlocks, kThreads, 0, nullptr, out.data());
}

}  // namespace

std::vector<Mistake> ordering_mistakes() {
  return {
      {"missing_syncthreads", run<missing_syncthreads<false>>, run<missing_syncthreads<true>>},
      {"missing_syncthreads_at_loop_end", run<missing_syncthreads_at_loop_end<false>>,
       run<missing_syncthreads_at_loop_end<true>>},
      {"missing_syncwarp", run<missing_syncwarp<false>>, run<missing_syncwarp<true>>},
      {"shuffle_as_barrier", run<shuffle_as_barrier<false>>, run<shuffle_as_barrier<true>>},
      {"sum_across_blocks_without_atomic", run<sum_across_blocks_without_atomic<false>>,
       run<sum_across_blocks_without_atomic<true>>},
      {"two_blocks_write_one_place", run<two_blocks_write_one_place<false>>, run<two_blocks_write_one_place<true>>},
      {"last_block_without_fence", run<last_block_without_fence<false>>, run<last_block_without_fence<true>>},
  };
}

}  // namespace bsq::test
