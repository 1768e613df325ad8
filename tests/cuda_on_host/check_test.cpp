// Errors of the CUDA runtime become Error(device), with a message that says where and what.
#include "kernels/cuda/device/port.h"
#include "tests/cuda_on_host/message_of.h"

namespace bsq::test {
namespace {

__global__ void do_nothing(int*, double) {
  cuda::wait_for_previous();
}

TEST_CASE("a failed call is reported with its text, file, line, and the name and text of the error") {
  int not_allocated = 0;
  const int line = __LINE__ + 1;
  const std::string message = message_of([&] { BSQ_CUDA_CHECK(cudaFree(&not_allocated)); });
  CHECK_THAT(message, Catch::Contains("check_test.cpp:" + std::to_string(line) + ": cudaFree(&not_allocated): "));
  CHECK_THAT(message, Catch::EndsWith(std::string("cudaErrorInvalidValue (invalid argument); ") + cuda::kReportIt));
  CHECK(cudaGetLastError() == cudaSuccess);  // it is not reported twice
  BSQ_CUDA_CHECK(cudaFree(nullptr));
}

TEST_CASE("a file of the project is named from its root") {
  const std::string message =
      message_of([] { cuda::fail_cuda(cudaErrorMemoryAllocation, "cudaMalloc", "/a/kernels/cuda/b.cu", 7); });
  CHECK(message ==
        "kernels/cuda/b.cu:7: cudaMalloc: cudaErrorMemoryAllocation (out of memory); try a smaller data.batch_size, or "
        "end what else uses the GPU's memory (nvidia-smi)");
}

TEST_CASE("a launch that no device takes is refused, with what was asked for and where") {
  const auto launch = [](dim3 grid, dim3 block, std::size_t shared_bytes) {
    cuda::launch(do_nothing, grid, block, shared_bytes, nullptr, nullptr, 1);
  };
  launch(dim3(2, 65535, 1), dim3(1, 1, 1), 0);
  launch(1, dim3(16, 1, 64), 227 * 1024);
  launch(1, dim3(1, 1024, 1), 0);
  for (const auto& [grid, block, shared_bytes] :
       {std::tuple{dim3(0), dim3(1), 0}, std::tuple{dim3(1, 65536), dim3(1), 0},
        std::tuple{dim3(1, 1, 65536), dim3(1), 0}, std::tuple{dim3(1), dim3(0), 0}, std::tuple{dim3(1), dim3(1025), 0},
        std::tuple{dim3(1), dim3(64, 32), 0}, std::tuple{dim3(1), dim3(1, 1, 65), 0},
        std::tuple{dim3(1), dim3(1), 227 * 1024 + 1}}) {
    INFO("grid " << grid.x << " " << grid.y << " " << grid.z << ", block " << block.x << " " << block.y << " "
                 << block.z << ", " << shared_bytes << " bytes");
    CHECK_THROWS_AS(launch(grid, block, static_cast<std::size_t>(shared_bytes)), Error);
  }
  const int line = __LINE__ + 1;
  const std::string message = message_of([] { cuda::launch(do_nothing, 5, 2048, 64, nullptr, nullptr, 1); });
  CHECK_THAT(message, Catch::Contains("check_test.cpp:" + std::to_string(line) + ": launch of "));
  CHECK_THAT(message,
             Catch::Contains("do_nothing(int*, double), grid (5, 1, 1), block (2048, 1, 1), 64 bytes of shared memory: "
                             "cudaErrorInvalidConfiguration (invalid configuration argument); "));
}

}  // namespace
}  // namespace bsq::test
