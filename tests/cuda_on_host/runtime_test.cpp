// The runtime's stand-in refuses what CUDA refuses, and captured graphs replay.
#include "kernels/cuda/port.h"
#include "tests/cuda_on_host/device_array.h"
#include "tests/support/catch.h"

namespace bsq::test {
namespace {

class Stream {
 public:
  Stream() { BSQ_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { cudaStreamDestroy(stream_); }
  operator cudaStream_t() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

__global__ void add(int* values, const int* increment) {
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

}  // namespace
}  // namespace bsq::test
