// Accesses just past an end, or not aligned to what they read.
#include "tests/cuda_on_host/mistakes/mistakes.h"

namespace bsq::test {
namespace {

constexpr int kThreads = 64;

template <bool right>
__global__ void read_past_end(float* values) {
  cuda::wait_for_previous();
  if (threadIdx.x + 1 == kThreads && right) return;
  if (values[threadIdx.x + 1] == 1) values[threadIdx.x] = 1;  // never: it is NaN, or whatever lies behind
}

template <bool right>
__global__ void write_past_end(float* values) {
  cuda::wait_for_previous();
  if (threadIdx.x + 1 < kThreads || !right) values[threadIdx.x + 1] = 1;
}

template <bool right>
__global__ void shared_array_past_end(float* values) {
  cuda::wait_for_previous();
  BSQ_SHARED(float, tile, [kThreads]);
  float* const end = tile + kThreads;  // through a pointer: the compiler knows the bounds of the array
  end[right ? -1 - static_cast<int>(threadIdx.x) : static_cast<int>(threadIdx.x)] = 1;
  values[threadIdx.x] = 1;
}

template <bool right>
__global__ void shared_row_past_end(float* values) {
  cuda::wait_for_previous();
  BSQ_SHARED(float, tile, [2][kThreads]);
  tile[0][threadIdx.x + (right ? 0 : 1)] = 1;  // the last one is in the next row
  values[threadIdx.x] = 1;
}

template <bool right>
__global__ void dynamic_shared_past_end(float* values) {
  cuda::wait_for_previous();
  BSQ_DYNAMIC_SHARED(float, tile);
  tile[threadIdx.x + (right ? 0 : 1)] = 1;
  values[threadIdx.x] = 1;
}

template <bool right>
__global__ void misaligned_vector(float* values) {
  cuda::wait_for_previous();
  if (threadIdx.x > 0) return;
  const float4 vector = *reinterpret_cast<const float4*>(values + (right ? 4 : 1));
  values[0] = vector.x;
}

template <void (*kernel)(float*)>
void run() {
  const DeviceArray<float> values(kThreads);
  cuda::launch(kernel, 1, kThreads, kThreads * sizeof(float), nullptr, values.data());
}

}  // namespace

std::vector<Mistake> memory_mistakes() {
  return {
      {"read_past_end", run<read_past_end<false>>, run<read_past_end<true>>},
      {"write_past_end", run<write_past_end<false>>, run<write_past_end<true>>},
      {"shared_array_past_end", run<shared_array_past_end<false>>, run<shared_array_past_end<true>>},
      {"shared_row_past_end", run<shared_row_past_end<false>>, run<shared_row_past_end<true>>},
      {"dynamic_shared_past_end", run<dynamic_shared_past_end<false>>, run<dynamic_shared_past_end<true>>},
      {"misaligned_vector", run<misaligned_vector<false>>, run<misaligned_vector<true>>},
  };
}

}  // namespace bsq::test
