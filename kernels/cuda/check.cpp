#include "kernels/cuda/check.h"

#include "kernels/base/error.h"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

namespace bsq::cuda {
namespace {

/// Compilers are given absolute paths; a message shows paths from the root of the project.
std::string_view from_root(std::string_view file) {
  const std::size_t root = file.rfind("/kernels/cuda/");
  return root == std::string_view::npos ? file : file.substr(root + 1);
}

std::string advice(cudaError_t status, const char* otherwise) {
  switch (status) {
    case cudaErrorNoDevice:
      return "is a GPU visible to this process (nvidia-smi, CUDA_VISIBLE_DEVICES)? or set device: cpu";
    case cudaErrorInsufficientDriver: return "update the NVIDIA driver, or set device: cpu";
    case cudaErrorDevicesUnavailable: return "end the program that holds the GPU (nvidia-smi), or set device: cpu";
    case cudaErrorMemoryAllocation:
      return "try a smaller data.batch_size, or end what else uses the GPU's memory (nvidia-smi)";
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorUnsupportedPtxVersion: return "build bsq for this GPU (CMAKE_CUDA_ARCHITECTURES), or set device: cpu";
    case cudaErrorSystemNotReady:
    case cudaErrorSystemDriverMismatch:
      return "restart the machine, or install the NVIDIA driver anew, or set device: cpu";
    case cudaErrorIllegalAddress:  // known only when the next call is made
    case cudaErrorMisalignedAddress:
    case cudaErrorIllegalInstruction:
    case cudaErrorLaunchFailure:
      return std::string("it is an earlier kernel that went wrong, compute-sanitizer says which; ") + kReportIt;
    default: return otherwise;
  }
}

std::string kernel_name(const void* kernel) {
  const char* mangled = nullptr;
  if (cudaFuncGetName(&mangled, kernel) != cudaSuccess || mangled == nullptr) return "a kernel";
  int failed = 0;
  const std::unique_ptr<char, void (*)(void*)> readable(abi::__cxa_demangle(mangled, nullptr, nullptr, &failed),
                                                        std::free);
  return failed == 0 ? readable.get() : mangled;
}

/// Clears the error that the runtime remembers: the next launch would report it once more.
void forget_error() {
  static_cast<void>(cudaGetLastError());
}

}  // namespace

std::string explain(cudaError_t status, const char* otherwise) {
  return fmt::format("{} ({}); {}", cudaGetErrorName(status), cudaGetErrorString(status), advice(status, otherwise));
}

void fail_cuda(cudaError_t status, const char* what, const char* file, int line) {
  forget_error();
  fail(ErrorKind::device, "{}:{}: {}: {}", from_root(file), line, what, explain(status));
}

void fail_library(const char* status, bool is_out_of_memory, const char* what, const char* file, int line) {
  // The library has a runtime of its own, or none: only the device itself knows.
  const cudaError_t beneath = cudaDeviceSynchronize();
  forget_error();
  // The question is refused while a capture is under way, which says nothing about the device.
  if (beneath == cudaSuccess || beneath == cudaErrorStreamCaptureUnsupported)
    fail(ErrorKind::device, "{}:{}: {}: {}; {}", from_root(file), line, what, status,
         advice(is_out_of_memory ? cudaErrorMemoryAllocation : cudaErrorUnknown, kReportIt));
  fail(ErrorKind::device, "{}:{}: {}: {}, after {}", from_root(file), line, what, status, explain(beneath));
}

void fail_launch(cudaError_t status, const LaunchRequest& request) {
  const std::string name = kernel_name(request.kernel);
  forget_error();
  fail(ErrorKind::device, "{}:{}: launch of {}, grid ({}, {}, {}), block ({}, {}, {}), {} bytes of shared memory: {}",
       from_root(request.file), request.line, name, request.grid.x, request.grid.y, request.grid.z, request.block.x,
       request.block.y, request.block.z, request.shared_bytes, explain(status));
}

void fail_tensor_count(std::size_t tensors, std::size_t most) {
  fail(ErrorKind::device, "device: cuda: a network of {} quantized tensors; {} at most, or set device: cpu", tensors,
       most);
}

void fail_empty_tensor() {
  fail(ErrorKind::internal, "a tensor of bit planes without weights");
}

}  // namespace bsq::cuda
