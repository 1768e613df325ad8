// The emulator's counts of launches, and the names of kernels.
#include "kernels/cuda/device/port.h"
#include "kernels/cuda/stream.h"
#include "tests/cuda_on_host/device_array.h"
#include "tests/cuda_on_host/emulator/launches.h"
#include "tests/support/catch.h"

#include <algorithm>

namespace bsq::test {
namespace {

using cuda_on_host::launch_counts;
using cuda_on_host::LaunchCount;

__global__ void count_up(int* values) {
  cuda::wait_for_previous();
  ++values[threadIdx.x];
}
template <typename T, int factor>
__global__ void multiply(T* values) {
  cuda::wait_for_previous();
  values[threadIdx.x] *= factor;
}

const void* address_of(void (*kernel)(int*)) {
  return reinterpret_cast<const void*>(kernel);
}

TEST_CASE("kernels overlap where their code waits for each other and somebody asks for it") {
  CHECK(cuda::launches_overlap(90, "1"));
  CHECK(cuda::launches_overlap(100, "1"));
  CHECK_FALSE(cuda::launches_overlap(90, nullptr));
  CHECK_FALSE(cuda::launches_overlap(90, ""));
  CHECK_FALSE(cuda::launches_overlap(90, "0"));
  CHECK_FALSE(cuda::launches_overlap(89, "1"));
}

TEST_CASE("a kernel goes by its name in the source, with its template arguments") {
  CHECK(cuda_on_host::name_of_kernel(address_of(count_up)) == "count_up");
  CHECK(cuda_on_host::name_of_kernel(address_of(multiply<int, 3>)) == "multiply<int, 3>");
  const char* name = nullptr;
  REQUIRE(cudaFuncGetName(&name, address_of(count_up)) == cudaSuccess);
  CHECK_THAT(name, Catch::Contains("count_up"));
  const int no_kernel = 0;
  CHECK(cuda_on_host::name_of_kernel(&no_kernel) == "a kernel without a name");
  CHECK(cudaFuncGetName(&name, &no_kernel) == cudaErrorInvalidDeviceFunction);
  CHECK(cudaGetLastError() == cudaErrorInvalidDeviceFunction);
}

void check_count(const std::string& name, bool is_kernel, std::int64_t by_themselves, std::int64_t in_graphs) {
  INFO(name);
  const std::vector<LaunchCount> counts = launch_counts();
  const auto found = std::find_if(counts.begin(), counts.end(), [&](const auto& count) { return count.name == name; });
  REQUIRE(found != counts.end());
  CHECK((found->kernel != nullptr) == is_kernel);
  CHECK(found->by_themselves == by_themselves);
  CHECK(found->in_graphs == in_graphs);
}

TEST_CASE("launches are counted by kernel, those that are nodes of a graph apart, and so is other work by its call") {
  const cuda::Stream stream;
  const DeviceArray<int> values(std::vector<int>(8, 1));
  cuda_on_host::reset_launch_counts();
  REQUIRE(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeGlobal) == cudaSuccess);
  cuda::launch(count_up, 1, 8, 0, stream.get(), values.data());
  cuda::launch(count_up, 1, 8, 0, stream.get(), values.data());
  REQUIRE(cudaMemsetAsync(values.data(), 0, 4, stream.get()) == cudaSuccess);
  cudaGraph_t graph = nullptr;
  REQUIRE(cudaStreamEndCapture(stream.get(), &graph) == cudaSuccess);
  cudaGraphExec_t executable = nullptr;
  REQUIRE(cudaGraphInstantiate(&executable, graph, 0) == cudaSuccess);
  CHECK(launch_counts().empty());  // nothing has run

  for (int i = 0; i < 3; ++i) REQUIRE(cudaGraphLaunch(executable, stream.get()) == cudaSuccess);
  cuda::launch(count_up, 1, 8, 0, stream.get(), values.data());
  cuda::launch(multiply<int, 2>, 1, 8, 0, stream.get(), values.data());
  check_count("count_up", true, 1, 6);
  check_count("multiply<int, 2>", true, 1, 0);
  check_count("cudaMemsetAsync", false, 0, 3);
  check_count("cudaGraphLaunch", false, 3, 0);
  CHECK(launch_counts().size() == 4);
  cuda_on_host::reset_launch_counts();
  CHECK(launch_counts().empty());
  REQUIRE(cudaGraphDestroy(graph) == cudaSuccess);
  REQUIRE(cudaGraphExecDestroy(executable) == cudaSuccess);
}

}  // namespace
}  // namespace bsq::test
