// What only the emulation does: orders of the threads, poison in fresh memory, and the device it claims to be.
#include "kernels/cuda/device/port.h"
#include "tests/cuda_on_host/device_array.h"
#include "tests/cuda_on_host/thread_orders.h"
#include "tests/support/catch.h"

#include <algorithm>
#include <cmath>

namespace bsq::test {
namespace {

using cuda_on_host::Order;

__global__ void note_arrival(int* arrivals, unsigned* count) {
  cuda::wait_for_previous();
  arrivals[atomicAdd(count, 1U)] = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
}

/// Three blocks of 70 threads, by the order in which they came to run.
std::vector<int> arrivals() {
  const DeviceArray<int> arrivals(210);
  const DeviceArray<unsigned> count(std::vector<unsigned>{0});
  cuda::launch(note_arrival, 3, 70, 0, nullptr, arrivals.data(), count.data());
  return arrivals.get();
}

std::vector<int> arrivals_in(cuda_on_host::Schedule schedule) {
  const ScopedSchedule scope(schedule);
  return arrivals();
}

TEST_CASE("threads run in the order asked for: forward, reverse, or random by a seed") {
  const std::vector<int> forward = arrivals_in({Order::forward, 1});
  CHECK(std::is_sorted(forward.begin(), forward.end()));
  std::vector<int> reverse = arrivals_in({Order::reverse, 1});
  std::reverse(reverse.begin(), reverse.end());
  CHECK(reverse == forward);
  std::vector<int> random = arrivals_in({Order::random, 1});
  CHECK(random == arrivals_in({Order::random, 1}));
  CHECK(random != arrivals_in({Order::random, 2}));
  CHECK(random != forward);
  std::sort(random.begin(), random.end());
  CHECK(random == forward);
}

TEST_CASE("in random order, one launch after another has an order of its own") {
  const ScopedSchedule scope({Order::random, 5});
  CHECK(arrivals() != arrivals());
}

__global__ void read_unwritten(float* out) {
  cuda::wait_for_previous();
  BSQ_SHARED(float, tile, [4]);
  BSQ_DYNAMIC_SHARED(float, rows);
  out[3 * blockIdx.x] = tile[3];
  out[3 * blockIdx.x + 1] = rows[1];
  for (int i = 0; i < 4; ++i) tile[i] = 1;  // for the next block not to find
  rows[1] = 1;
}

TEST_CASE("memory that nobody has written is NaN: fresh device memory, and shared memory in every block") {
  const DeviceArray<float> out(12);
  cuda::launch(read_unwritten, 4, 1, 2 * sizeof(float), nullptr, out.data());
  for (const float value : out.get()) CHECK(std::isnan(value));
}

__global__ void shuffle_from_absent_lane(float* out) {
  cuda::wait_for_previous();
  if (threadIdx.x < 8) out[threadIdx.x] = __shfl_sync(0xFFU, 1.0F, static_cast<int>(threadIdx.x) * 2);
}

TEST_CASE("a shuffle from a lane that takes no part gives NaN") {
  const DeviceArray<float> out(8);
  cuda::launch(shuffle_from_absent_lane, 1, 32, 0, nullptr, out.data());
  const std::vector<float> values = out.get();
  for (std::size_t lane = 0; lane < 8; ++lane) {
    if (lane * 2 < 8) {
      CHECK(values[lane] == 1.0F);
    } else {
      CHECK(std::isnan(values[lane]));
    }
  }
}

TEST_CASE("the device is like an H100, but for few multiprocessors") {
  int count = 0;
  REQUIRE(cudaGetDeviceCount(&count) == cudaSuccess);
  REQUIRE(count == 1);
  REQUIRE(cudaSetDevice(0) == cudaSuccess);
  CHECK(cudaSetDevice(1) == cudaErrorInvalidDevice);
  cudaDeviceProp properties;
  REQUIRE(cudaGetDeviceProperties(&properties, 0) == cudaSuccess);
  CHECK(properties.major == 9);
  CHECK(properties.maxThreadsPerBlock == 1024);
  const auto attribute = [](cudaDeviceAttr which) {
    int value = -1;
    REQUIRE(cudaDeviceGetAttribute(&value, which, 0) == cudaSuccess);
    return value;
  };
  CHECK(attribute(cudaDevAttrComputeCapabilityMajor) == properties.major);
  CHECK(attribute(cudaDevAttrComputeCapabilityMinor) == properties.minor);
  CHECK(attribute(cudaDevAttrMultiProcessorCount) == properties.multiProcessorCount);
  CHECK(attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin) == 227 * 1024);
  CHECK(cudaGetLastError() == cudaErrorInvalidDevice);  // of cudaSetDevice(1)
}

}  // namespace
}  // namespace bsq::test
