#include "kernels/cuda/check.h"

#include "kernels/error.h"

#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

namespace bsq::cuda {
namespace {

/// Compilers are given absolute paths; a message shows them from the root of the project.
std::string_view from_root(std::string_view file) {
  const std::size_t root = file.rfind("/kernels/cuda/");
  return root == std::string_view::npos ? file : file.substr(root + 1);
}

std::string describe(cudaError_t status) {
  return fmt::format("{} ({})", cudaGetErrorName(status), cudaGetErrorString(status));
}

std::string kernel_name(const void* kernel) {
  const char* mangled = nullptr;
  if (cudaFuncGetName(&mangled, kernel) != cudaSuccess || mangled == nullptr) return "a kernel";
  int failed = 0;
  const std::unique_ptr<char, void (*)(void*)> readable(abi::__cxa_demangle(mangled, nullptr, nullptr, &failed),
                                                        std::free);
  return failed == 0 ? readable.get() : mangled;
}

/// What the runtime remembers of an error would be reported once more by the next launch.
void forget_error() {
  static_cast<void>(cudaGetLastError());
}

}  // namespace

void fail_cuda(cudaError_t status, const char* what, const char* file, int line) {
  forget_error();
  fail(ErrorKind::device, "{}:{}: {}: {}", from_root(file), line, what, describe(status));
}

void fail_launch(cudaError_t status, const LaunchRequest& request) {
  const std::string name = kernel_name(request.kernel);
  forget_error();
  fail(ErrorKind::device, "{}:{}: launch of {}, grid ({}, {}, {}), block ({}, {}, {}), {} bytes of shared memory: {}",
       from_root(request.file), request.line, name, request.grid.x, request.grid.y, request.grid.z, request.block.x,
       request.block.y, request.block.z, request.shared_bytes, describe(status));
}

}  // namespace bsq::cuda
