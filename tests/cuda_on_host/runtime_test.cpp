// The runtime's stand-in refuses what CUDA refuses, and captured graphs replay.
#include "kernels/cuda/device/port.h"
#include "kernels/cuda/stream.h"
#include "tests/cuda_on_host/device_array.h"
#include "tests/support/catch.h"

namespace bsq::test {
namespace {

/// For calls of CUDA.
struct Stream : cuda::Stream {
  operator cudaStream_t() const { return get(); }
};

__global__ void add(int* values, const int* increment) {
  cuda::wait_for_previous();
  values[threadIdx.x] += *increment;
}

TEST_CASE("device memory is aligned to 256 bytes, counted, and limited") {
  std::size_t free_before = 0;
  std::size_t total = 0;
  REQUIRE(cudaMemGetInfo(&free_before, &total) == cudaSuccess);
  {
    const DeviceArray<char> array(1001);
    CHECK(reinterpret_cast<std::uintptr_t>(array.data()) % 256 == 0);
    std::size_t free_now = 0;
    REQUIRE(cudaMemGetInfo(&free_now, &total) == cudaSuccess);
    CHECK(free_now == free_before - 1001);
  }
  void* data = &total;
  CHECK(cudaMalloc(&data, total + 1) == cudaErrorMemoryAllocation);
  CHECK(data == nullptr);
  CHECK(cudaGetLastError() == cudaErrorMemoryAllocation);
  CHECK(cudaGetLastError() == cudaSuccess);
}

TEST_CASE("a copy or a fill that leaves its allocation, or goes the other way, is refused") {
  const DeviceArray<char> array(100);
  std::vector<char> host(200);
  char* const device = array.data();
  const auto copy = [](void* target, const void* source, std::size_t size, cudaMemcpyKind kind) {
    return cudaMemcpyAsync(target, source, size, kind, nullptr);
  };
  CHECK(copy(device, host.data(), 100, cudaMemcpyHostToDevice) == cudaSuccess);
  CHECK(copy(device, host.data(), 101, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK(copy(device + 60, host.data(), 41, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK(copy(device, host.data(), 10, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
  CHECK(copy(host.data(), host.data() + 100, 10, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
  CHECK(copy(device + 50, device, 50, cudaMemcpyDeviceToDevice) == cudaSuccess);
  CHECK(copy(device + 50, device, 51, cudaMemcpyDeviceToDevice) == cudaErrorInvalidValue);
  CHECK(cudaMemsetAsync(device + 1, 0, 99, nullptr) == cudaSuccess);
  CHECK(cudaMemsetAsync(device + 1, 0, 100, nullptr) == cudaErrorInvalidValue);
  CHECK(cudaMemsetAsync(host.data(), 0, 1, nullptr) == cudaErrorInvalidValue);
  CHECK(cudaGetLastError() == cudaErrorInvalidValue);
}

TEST_CASE("pinned memory is host memory") {
  void* pinned = nullptr;
  REQUIRE(cudaHostAlloc(&pinned, 8, cudaHostAllocDefault) == cudaSuccess);
  const DeviceArray<char> array(std::vector<char>(8, 'x'));
  CHECK(cudaMemcpyAsync(pinned, array.data(), 8, cudaMemcpyDeviceToHost, nullptr) == cudaSuccess);
  CHECK(static_cast<char*>(pinned)[7] == 'x');
  CHECK(cudaFreeHost(pinned) == cudaSuccess);
}

TEST_CASE("events measure the time between them") {
  const Stream stream;
  cudaEvent_t begin = nullptr;
  cudaEvent_t end = nullptr;
  REQUIRE(cudaEventCreateWithFlags(&begin, cudaEventDefault) == cudaSuccess);
  REQUIRE(cudaEventCreateWithFlags(&end, cudaEventDefault) == cudaSuccess);
  float milliseconds = -1;
  REQUIRE(cudaEventRecord(begin, stream) == cudaSuccess);
  CHECK(cudaEventElapsedTime(&milliseconds, begin, end) == cudaErrorInvalidResourceHandle);
  const DeviceArray<int> values(std::vector<int>(512, 0));
  const DeviceArray<int> increment(std::vector<int>{1});
  cuda::launch(add, 1, 512, 0, stream, values.data(), increment.data());
  REQUIRE(cudaEventRecord(end, stream) == cudaSuccess);
  REQUIRE(cudaEventSynchronize(end) == cudaSuccess);
  REQUIRE(cudaEventElapsedTime(&milliseconds, begin, end) == cudaSuccess);
  CHECK(milliseconds > 0);
  CHECK(cudaEventDestroy(begin) == cudaSuccess);
  CHECK(cudaEventDestroy(end) == cudaSuccess);
  CHECK(cudaGetLastError() == cudaErrorInvalidResourceHandle);
}

TEST_CASE("a captured graph does nothing until it is launched, and then reads memory as it is by then") {
  const Stream stream;
  const DeviceArray<int> values(std::vector<int>(40, 100));
  const DeviceArray<int> increment(std::vector<int>{1});
  const DeviceArray<int> copy(40);
  REQUIRE(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
  cuda::launch(add, 1, 40, 0, stream, values.data(), increment.data());
  cuda::launch(add, 1, 20, 0, stream, values.data(), increment.data());
  REQUIRE(cudaMemcpyAsync(copy.data(), values.data(), 160, cudaMemcpyDeviceToDevice, stream) == cudaSuccess);
  REQUIRE(cudaMemsetAsync(values.data(), 0, 4, stream) == cudaSuccess);
  cudaGraph_t graph = nullptr;
  REQUIRE(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
  CHECK(values.get() == std::vector<int>(40, 100));

  cudaGraphExec_t executable = nullptr;
  REQUIRE(cudaGraphInstantiate(&executable, graph, 0) == cudaSuccess);
  REQUIRE(cudaGraphDestroy(graph) == cudaSuccess);
  CHECK(values.get() == std::vector<int>(40, 100));
  REQUIRE(cudaGraphLaunch(executable, stream) == cudaSuccess);
  const int large = 1000;
  REQUIRE(cudaMemcpyAsync(increment.data(), &large, sizeof large, cudaMemcpyHostToDevice, stream) == cudaSuccess);
  REQUIRE(cudaGraphLaunch(executable, stream) == cudaSuccess);
  std::vector<int> expected(40, 1101);
  for (std::size_t i = 0; i < 20; ++i) expected[i] = 2102;
  expected[0] = 2000;  // from the 0 the first launch left
  CHECK(copy.get() == expected);
  expected[0] = 0;
  CHECK(values.get() == expected);
  REQUIRE(cudaGraphExecDestroy(executable) == cudaSuccess);
}

TEST_CASE("a call that a capture does not allow fails, and the capture with it") {
  const Stream stream;
  const DeviceArray<int> values(4);
  const auto calls = std::vector<std::pair<std::string, std::function<cudaError_t()>>>{
      {"cudaStreamSynchronize", [&] { return cudaStreamSynchronize(stream); }},
      {"cudaMalloc",
       [] {
         void* data = nullptr;
         const cudaError_t status = cudaMalloc(&data, 16);
         if (status == cudaSuccess) BSQ_CUDA_CHECK(cudaFree(data));
         return status;
       }},
      {"cudaFree", [&] { return cudaFree(nullptr); }},
      {"work on the default stream", [&] { return cudaMemsetAsync(values.data(), 0, 4, nullptr); }}};
  for (const auto& [name, call] : calls) {
    INFO(name);
    REQUIRE(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
    CHECK(call() != cudaSuccess);
    CHECK(cudaMemsetAsync(values.data(), 0, 4, stream) == cudaErrorStreamCaptureInvalidated);
    cudaGraph_t graph = nullptr;
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureInvalidated);
    CHECK(graph == nullptr);
    CHECK(call() == cudaSuccess);  // afterwards
  }
  cudaGraph_t graph = nullptr;
  CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorIllegalState);  // none has begun
  CHECK(cudaGetLastError() == cudaErrorIllegalState);
}

TEST_CASE("a stream that waits for a captured one is captured with it, and must be waited for") {
  const Stream stream;
  const Stream aside;
  const cuda::Event fork(cudaEventDisableTiming);
  const cuda::Event join(cudaEventDisableTiming);
  const DeviceArray<int> values(std::vector<int>(1, 0));
  const DeviceArray<int> copy(1);
  const DeviceArray<int> increment(std::vector<int>{1});
  const auto copy_aside = [&](cudaStream_t on) {
    return cudaMemcpyAsync(copy.data(), values.data(), sizeof(int), cudaMemcpyDeviceToDevice, on);
  };
  cudaGraph_t graph = nullptr;
  for (const bool joins : {false, true}) {
    INFO(joins);
    REQUIRE(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
    cuda::launch(add, 1, 1, 0, stream, values.data(), increment.data());
    REQUIRE(cudaEventRecord(fork.get(), stream) == cudaSuccess);
    REQUIRE(cudaStreamWaitEvent(aside, fork.get(), 0) == cudaSuccess);
    REQUIRE(copy_aside(aside) == cudaSuccess);
    if (joins) {
      REQUIRE(cudaEventRecord(join.get(), aside) == cudaSuccess);
      REQUIRE(cudaStreamWaitEvent(stream, join.get(), 0) == cudaSuccess);
    }
    cuda::launch(add, 1, 1, 0, stream, values.data(), increment.data());
    CHECK(cudaStreamEndCapture(stream, &graph) == (joins ? cudaSuccess : cudaErrorStreamCaptureUnjoined));
  }
  cudaGraphExec_t executable = nullptr;
  REQUIRE(cudaGraphInstantiate(&executable, graph, 0) == cudaSuccess);
  REQUIRE(cudaGraphDestroy(graph) == cudaSuccess);
  for (const int first : {1, 3}) {
    REQUIRE(cudaGraphLaunch(executable, stream) == cudaSuccess);
    CHECK(copy.get() == std::vector<int>{first});
    CHECK(values.get() == std::vector<int>{first + 1});
  }
  REQUIRE(cudaGraphExecDestroy(executable) == cudaSuccess);
  CHECK(copy_aside(aside) == cudaSuccess);  // no longer captured
  CHECK(copy.get() == values.get());
  CHECK(cudaStreamWaitEvent(stream, join.get(), 0) == cudaErrorCapturedEvent);
  CHECK(cudaGetLastError() == cudaErrorCapturedEvent);
}

TEST_CASE("work that a captured graph does not wait for comes late or early, as tests want it") {
  const Stream stream;
  const Stream aside;
  const cuda::Event fork(cudaEventDisableTiming);
  const cuda::Event join(cudaEventDisableTiming);
  for (const bool aside_first : {false, true}) {
    INFO(aside_first);
    cuda_on_host::set_device({.aside_first = aside_first});
    const DeviceArray<int> values(std::vector<int>(1, 0));
    const DeviceArray<int> copy(1);
    const DeviceArray<int> increment(std::vector<int>{1});
    REQUIRE(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
    REQUIRE(cudaEventRecord(fork.get(), stream) == cudaSuccess);
    REQUIRE(cudaStreamWaitEvent(aside, fork.get(), 0) == cudaSuccess);
    cuda::launch(add, 1, 1, 0, stream, values.data(), increment.data());
    REQUIRE(cudaMemcpyAsync(copy.data(), values.data(), sizeof(int), cudaMemcpyDeviceToDevice, aside) == cudaSuccess);
    REQUIRE(cudaEventRecord(join.get(), aside) == cudaSuccess);
    REQUIRE(cudaStreamWaitEvent(stream, join.get(), 0) == cudaSuccess);
    cudaGraph_t graph = nullptr;
    REQUIRE(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
    cudaGraphExec_t executable = nullptr;
    REQUIRE(cudaGraphInstantiate(&executable, graph, 0) == cudaSuccess);
    REQUIRE(cudaGraphDestroy(graph) == cudaSuccess);
    REQUIRE(cudaGraphLaunch(executable, stream) == cudaSuccess);
    CHECK(copy.get() == std::vector<int>{aside_first ? 0 : 1});
    REQUIRE(cudaGraphExecDestroy(executable) == cudaSuccess);
  }
  cuda_on_host::set_device({});
}

TEST_CASE("a captured stream does not wait for what lies outside of the capture") {
  const Stream stream;
  const Stream aside;
  const cuda::Event outside(cudaEventDisableTiming);
  REQUIRE(cudaEventRecord(outside.get(), aside) == cudaSuccess);
  REQUIRE(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal) == cudaSuccess);
  CHECK(cudaStreamWaitEvent(stream, outside.get(), 0) == cudaErrorStreamCaptureIsolation);
  cudaGraph_t graph = nullptr;
  CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureInvalidated);
  CHECK(cudaGetLastError() == cudaErrorStreamCaptureInvalidated);
}

}  // namespace
}  // namespace bsq::test
