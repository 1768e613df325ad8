#include "tests/cuda_on_host/counts/layout_kernels.h"

#include "kernels/cuda/device/port.h"

namespace bsq::test {
namespace {

constexpr int kLanes = 32;
constexpr int kMostWords = 32 * kLanes;

__global__ void broadcast(float* out) {
  cuda::wait_for_previous();
  BSQ_SHARED(float, words, [kLanes]);
  out[threadIdx.x] = words[7];
}

template <typename T>
__global__ void strided(int stride, int lanes, float* out) {
  cuda::wait_for_previous();
  BSQ_SHARED(T, numbers, [kMostWords]);
  if (static_cast<int>(threadIdx.x) < lanes) out[threadIdx.x] = static_cast<float>(numbers[threadIdx.x * stride]);
}

__global__ void strided_dynamic(int stride, float* out) {
  cuda::wait_for_previous();
  BSQ_DYNAMIC_SHARED(float, words);
  out[threadIdx.x] = words[static_cast<int>(threadIdx.x) * stride];
}

/// 16 bytes: as kernels read them, whole.
template <typename Vector>
__global__ void strided_vectors(int stride, float* out) {
  cuda::wait_for_previous();
  BSQ_SHARED(Vector, vectors, [4 * kLanes]);
  const Vector vector = vectors[threadIdx.x * stride];
  out[threadIdx.x] = static_cast<float>(vector.x) + static_cast<float>(vector.y) + static_cast<float>(vector.z) +
                     static_cast<float>(vector.w);
}

struct ThreeDoubles {
  double values[3];
};

__global__ void structs(float* out) {
  cuda::wait_for_previous();
  BSQ_SHARED(ThreeDoubles, numbers, [kLanes]);
  const ThreeDoubles own = numbers[threadIdx.x];
  out[threadIdx.x] = static_cast<float>(own.values[threadIdx.x % 3]);
}

template <bool all_one>
__global__ void counters(float* out) {
  cuda::wait_for_previous();
  BSQ_SHARED(unsigned, counts, [kLanes]);
  out[threadIdx.x] = static_cast<float>(atomicAdd(&counts[all_one ? 0 : threadIdx.x], 1U));
}

__global__ void in_turns(float* out) {
  cuda::wait_for_previous();
  BSQ_SHARED(float, words, [kLanes]);
  for (unsigned round = 0; round < kLanes; ++round)
    if (threadIdx.x == round) out[round] = words[round];
}

__global__ void across_barrier(float* out) {
  cuda::wait_for_previous();
  BSQ_SHARED(float, words, [2 * kLanes]);
  const unsigned odd = threadIdx.x % 2;
  for (unsigned round = 0; round < 2; ++round) {
    for (unsigned i = 0; i < (odd != 0 ? 2U : round); ++i) out[threadIdx.x] = words[threadIdx.x];
    __syncthreads();
  }
}

__global__ void early(float* out) {
  BSQ_SHARED(float, words, [kLanes]);
  words[threadIdx.x] = out[threadIdx.x];
  if (threadIdx.x < 3) out[threadIdx.x] = 1.0F;
  cuda::wait_for_previous();
  out[threadIdx.x] += words[threadIdx.x];
}

template <bool transposed>
__global__ void sum_columns(float* out) {
  cuda::wait_for_previous();
  BSQ_SHARED(float, shared, [kThreads * kValues]);
  constexpr int step = transposed ? kThreads : 1;        // from a value of a thread to its next
  constexpr int thread_step = transposed ? 1 : kValues;  // from a thread to its neighbour
  float* own = shared + static_cast<int>(threadIdx.x) * thread_step;
  for (int i = 0; i < kValues; ++i) own[i * step] = 1.0F;
  __syncthreads();
  for (int live = kThreads / 2; live >= kColumns; live /= 2) {
    const float* other = own + live * thread_step;
    if (static_cast<int>(threadIdx.x) < live)
      for (int i = 0; i < kValues; ++i) own[i * step] += other[i * step];
    __syncthreads();
  }
  if (threadIdx.x < kColumns)
    for (int i = 0; i < kValues; ++i) out[static_cast<int>(threadIdx.x) * kValues + i] = own[i * step];
}

template <typename... Parameters, typename... Arguments>
void run(void (*kernel)(Parameters...), Arguments... arguments) {
  cuda::launch(kernel, 1, kLanes, 0, nullptr, arguments...);
}

}  // namespace

void read_broadcast(float* out) {
  run(broadcast, out);
}
void read_words(int stride, int lanes, float* out) {
  run(strided<float>, stride, lanes, out);
}
void read_dynamic_words(int stride, float* out) {
  cuda::launch(strided_dynamic, 1, kLanes, kMostWords * sizeof(float), nullptr, stride, out);
}
void read_bytes(float* out) {
  run(strided<unsigned char>, 1, kLanes, out);
}
void read_shorts(float* out) {
  run(strided<short>, 1, kLanes, out);
}
void read_doubles(int stride, float* out) {
  run(strided<double>, stride, kLanes, out);
}
void read_float4s(int stride, float* out) {
  run(strided_vectors<float4>, stride, out);
}
void read_uint4s(int stride, float* out) {
  run(strided_vectors<uint4>, stride, out);
}
void read_structs(float* out) {
  run(structs, out);
}
void add_to_one_counter(float* out) {
  run(counters<true>, out);
}
void add_to_own_counters(float* out) {
  run(counters<false>, out);
}
void read_in_turns(float* out) {
  run(in_turns, out);
}
void read_across_barrier(float* out) {
  run(across_barrier, out);
}

void access_early(float* out) {
  run(early, out);
}

void sum_side_by_side(float* out) {
  cuda::launch(sum_columns<false>, 1, kThreads, 0, nullptr, out);
}
void sum_transposed(float* out) {
  cuda::launch(sum_columns<true>, 1, kThreads, 0, nullptr, out);
}

}  // namespace bsq::test
