// Barriers, warp operations and waits that not all the threads reach which should, or not together.
#include "kernels/cuda/device/ptx.cuh"
#include "tests/cuda_on_host/mistakes/mistakes.h"

namespace bsq::test {
namespace {

constexpr unsigned kFullMask = 0xFFFFFFFFU;

template <bool right>
__global__ void divergent_barrier(int* out) {
  cuda::wait_for_previous();
  if (right || threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  out[threadIdx.x] = 1;
}

template <bool right>
__global__ void exit_before_barrier(int* out) {
  cuda::wait_for_previous();
  if (!right && threadIdx.x == 3) return;
  out[threadIdx.x] = 1;
  __syncthreads();
}

template <bool right>
__global__ void mask_without_caller(int* out) {
  cuda::wait_for_previous();
  const unsigned mask = right ? kFullMask : 0x0000FFFFU;
  out[threadIdx.x] = __shfl_sync(mask, 1, 0);
}

template <bool right>
__global__ void different_masks(int* out) {
  cuda::wait_for_previous();
  const unsigned mask = right || threadIdx.x % 2 == 0 ? kFullMask : 0x7FFFFFFFU;
  if (right || threadIdx.x % 32 != 31) out[threadIdx.x] = __shfl_xor_sync(mask, 1, 1);
}

template <bool right>
__global__ void different_operations(int* out) {
  cuda::wait_for_previous();
  out[threadIdx.x] = right || threadIdx.x < 16 ? __shfl_down_sync(kFullMask, 1, 1) : __shfl_up_sync(kFullMask, 1, 1);
}

template <bool right>
__global__ void shuffle_not_all_reach(int* out) {
  cuda::wait_for_previous();
  int value = 1;
  if (right || threadIdx.x < 16) value = __shfl_xor_sync(kFullMask, 1, 1);
  __syncthreads();
  out[threadIdx.x] = value;
}

template <bool right>
__global__ void no_wait_for_previous(int* out) {
  if (right || threadIdx.x != 5) cuda::wait_for_previous();
  out[threadIdx.x] = 1;
}

template <bool right>
__global__ void too_much_shared_memory(int* out) {
  cuda::wait_for_previous();
  BSQ_SHARED(int, own, [256]);
  BSQ_DYNAMIC_SHARED(int, rest);
  own[threadIdx.x] = rest[threadIdx.x] = 1;
  out[threadIdx.x] = own[threadIdx.x] + rest[threadIdx.x];
}

template <bool right>
__global__ void copy_not_waited_for(int* out) {
  cuda::wait_for_previous();
  BSQ_SHARED(uint4, copied, [64]);
  cuda::begin_copy(copied + threadIdx.x, out, true);
  cuda::end_copy_group();
  if (right || threadIdx.x != 5) cuda::wait_for_copies<0>();
}

template <bool right>
__global__ void matrix_row_not_aligned(int* out) {
  cuda::wait_for_previous();
  BSQ_SHARED(uint4, rows, [64]);
  rows[threadIdx.x] = make_uint4(0, 0, 0, 0);
  __syncthreads();
  unsigned matrices[4];
  cuda::load_matrices(matrices, reinterpret_cast<int*>(rows) + threadIdx.x % 32 * (right ? 4 : 3));
  out[threadIdx.x] = static_cast<int>(matrices[0]);
}

template <void (*kernel)(int*), std::size_t shared_bytes = 0>
void run() {
  const DeviceArray<int> out(64);
  cuda::launch(kernel, 1, 64, shared_bytes, nullptr, out.data());
}

}  // namespace

std::vector<Mistake> execution_mistakes() {
  constexpr std::size_t most_shared = 227 * 1024;
  return {
      {"divergent_barrier", run<divergent_barrier<false>>, run<divergent_barrier<true>>},
      {"exit_before_barrier", run<exit_before_barrier<false>>, run<exit_before_barrier<true>>},
      {"mask_without_caller", run<mask_without_caller<false>>, run<mask_without_caller<true>>},
      {"different_masks", run<different_masks<false>>, run<different_masks<true>>},
      {"different_operations", run<different_operations<false>>, run<different_operations<true>>},
      {"shuffle_not_all_reach", run<shuffle_not_all_reach<false>>, run<shuffle_not_all_reach<true>>},
      {"copy_not_waited_for", run<copy_not_waited_for<false>>, run<copy_not_waited_for<true>>},
      {"matrix_row_not_aligned", run<matrix_row_not_aligned<false>>, run<matrix_row_not_aligned<true>>},
      {"no_wait_for_previous", run<no_wait_for_previous<false>>, run<no_wait_for_previous<true>>},
      {"too_much_shared_memory", run<too_much_shared_memory<false>, most_shared>,
       run<too_much_shared_memory<true>, most_shared - 1024>},
  };
}

}  // namespace bsq::test
