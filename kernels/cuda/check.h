// What happens when the CUDA runtime reports an error: Error(device), which ends bsq with exit code 5.
//
// For kernel files and host code alike, hence without fmt, which nvcc does not compile in C++20.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <string>

namespace bsq::cuda {

constexpr const char* kReportIt =
    "please report it with `bsq info`; `bsq train --resume RUN` goes on from the last checkpoint, on the CPU with "
    "device=cpu";
/// "<name of the error> (<its text>); <what to do>"; `otherwise` is what to do if nothing better is known.
std::string explain(cudaError_t status, const char* otherwise = kReportIt);

/// Throws "<file>:<line>: <what>: " and what explain() says.
[[noreturn]] void fail_cuda(cudaError_t status, const char* what, const char* file, int line);
/// As fail_cuda, for a library on top of CUDA, whose own text for the error is `status`. If an error of CUDA is the
/// cause, it is named, since it came first.
[[noreturn]] void fail_library(const char* status, bool is_out_of_memory, const char* what, const char* file, int line);

struct LaunchRequest {
  const void* kernel = nullptr;
  dim3 grid, block;
  std::size_t shared_bytes = 0;
  const char* file = nullptr;  // where the launch is written
  int line = 0;
};
/// As fail_cuda, for a kernel launch: names the kernel and what was asked for.
[[noreturn]] void fail_launch(cudaError_t status, const LaunchRequest& request);

/// Throws Error(device): a network has more quantized tensors than kernels take that visit all of them at once.
[[noreturn]] void fail_tensor_count(std::size_t tensors, std::size_t most);
/// Throws Error(internal): a tensor of bit planes without weights.
[[noreturn]] void fail_empty_tensor();

}  // namespace bsq::cuda

/// For host code: BSQ_CUDA_CHECK(cudaMemsetAsync(...)) throws unless the call succeeds.
#define BSQ_CUDA_CHECK(...)                                                                                        \
  do {                                                                                                             \
    const cudaError_t bsq_cuda_status = (__VA_ARGS__);                                                             \
    if (bsq_cuda_status != cudaSuccess) ::bsq::cuda::fail_cuda(bsq_cuda_status, #__VA_ARGS__, __FILE__, __LINE__); \
  } while (false)
