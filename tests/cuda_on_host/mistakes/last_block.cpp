// The last block of a grid to arrive finishes a sum: every block writes its part, a counter tells which is the last
// one, and that one adds up all parts in a fixed order. Every step of it can be forgotten.
#include "tests/cuda_on_host/mistakes/mistakes.h"

#include <cstdio>
#include <cstdlib>

namespace bsq::test {
namespace {

constexpr unsigned kThreads = 64;
constexpr unsigned kBlocks = 5;

/// A kernel's arguments: the parts of all threads of all blocks, the counter, and a sum for each thread.
struct Sums {
  int* parts = nullptr;
  unsigned* counter = nullptr;
  int* sums = nullptr;
};

/// What the block does before and behind the counter, when nothing is forgotten.
struct Steps {
  bool fence_of_all = true;
  bool fence_of_first = false;        // of thread 0 alone, before the barrier
  bool fence_behind_barrier = false;  // of thread 0 alone, which serves as well
  bool barrier = true;
  bool reset = true;
  bool last_fence = true;
};

__device__ void sum_in_last_block(Steps steps, Sums to) {
  BSQ_SHARED(bool, is_last, );
  to.parts[blockIdx.x * kThreads + threadIdx.x] = static_cast<int>(blockIdx.x + threadIdx.x);
  if (steps.fence_of_all || (steps.fence_of_first && threadIdx.x == 0)) __threadfence();
  if (steps.barrier) __syncthreads();
  if (threadIdx.x == 0) {
    if (steps.fence_behind_barrier) __threadfence();
    const unsigned arrived = steps.reset ? atomicInc(to.counter, kBlocks - 1) : atomicAdd(to.counter, 1);
    is_last = arrived == kBlocks - 1;
  }
  __syncthreads();
  if (!is_last) return;
  if (steps.last_fence) __threadfence();
  int sum = 0;
  for (unsigned b = 0; b < kBlocks; ++b) sum += to.parts[b * kThreads + threadIdx.x];
  to.sums[threadIdx.x] = sum;
}

template <bool right>
__global__ void no_fence_before_counter(Sums to) {
  cuda::wait_for_previous();
  sum_in_last_block({.fence_of_all = right}, to);
}
template <bool right>
__global__ void fence_of_one_thread_before_barrier(Sums to) {
  cuda::wait_for_previous();
  sum_in_last_block({.fence_of_all = false, .fence_of_first = !right, .fence_behind_barrier = right}, to);
}
template <bool right>
__global__ void no_barrier_before_counter(Sums to) {
  cuda::wait_for_previous();
  sum_in_last_block({.barrier = right}, to);
}
template <bool right>
__global__ void no_fence_in_last_block(Sums to) {
  cuda::wait_for_previous();
  sum_in_last_block({.last_fence = right}, to);
}
template <bool right>
__global__ void counter_not_reset(Sums to) {
  cuda::wait_for_previous();
  sum_in_last_block({.reset = right}, to);
}

/// Two launches, the second on fresh memory but for the counter, which must be ready again.
template <void (*kernel)(Sums)>
void run() {
  const DeviceArray<unsigned> counter(std::vector<unsigned>{0});
  for (int launch = 1; launch <= 2; ++launch) {
    const DeviceArray<int> parts(kBlocks * kThreads);
    const DeviceArray<int> sums(std::vector<int>(kThreads, -1));
    cuda::launch(kernel, kBlocks, kThreads, 0, nullptr, Sums{parts.data(), counter.data(), sums.data()});
    for (unsigned t = 0; t < kThreads; ++t) {
      const int expected = static_cast<int>(kBlocks * t + kBlocks * (kBlocks - 1) / 2);
      const int sum = sums.get()[t];
      if (sum == expected) continue;
      std::fprintf(stderr, "launch %d: sum %u is %d and not %d\n", launch, t, sum, expected);
      std::exit(1);
    }
  }
}

}  // namespace

std::vector<Mistake> last_block_mistakes() {
  return {
      {"no_fence_before_counter", run<no_fence_before_counter<false>>, run<no_fence_before_counter<true>>},
      {"fence_of_one_thread_before_barrier", run<fence_of_one_thread_before_barrier<false>>,
       run<fence_of_one_thread_before_barrier<true>>},
      {"no_barrier_before_counter", run<no_barrier_before_counter<false>>, run<no_barrier_before_counter<true>>},
      {"no_fence_in_last_block", run<no_fence_in_last_block<false>>, run<no_fence_in_last_block<true>>},
      {"counter_not_reset", run<counter_not_reset<false>>, run<counter_not_reset<true>>},
  };
}

}  // namespace bsq::test
