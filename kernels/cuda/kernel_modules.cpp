#include "kernels/cuda/kernel_modules.h"

#include "kernels/cuda/check.h"

#include <cuda.h>
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <cstdlib>
#include <vector>

namespace bsq::cuda {
namespace {

std::vector<const void*>& kernels_of_modules() {
  static std::vector<const void*> kernels;
  return kernels;
}

/// A function of the driver, which is not linked. Null if the driver has none of that name.
template <typename Function>
void find(const char* name, Function*& function) {
  constexpr unsigned version = 12040;  // CUDA 12.4 has them all
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
  if (cudaGetDriverEntryPointByVersion(name, &found, version, cudaEnableDefault, &result) != cudaSuccess)
    found = nullptr;
  function = result == cudaDriverEntryPointSuccess ? reinterpret_cast<Function*>(found) : nullptr;
}

struct Driver {
  decltype(&cuFuncGetModule) module_of = nullptr;
  decltype(&cuModuleGetFunctionCount) count_functions = nullptr;
  decltype(&cuModuleEnumerateFunctions) list_functions = nullptr;
  decltype(&cuFuncLoad) load = nullptr;

  Driver() {
    find("cuFuncGetModule", module_of);
    find("cuModuleGetFunctionCount", count_functions);
    find("cuModuleEnumerateFunctions", list_functions);
    find("cuFuncLoad", load);
  }
  bool is_complete() const {
    return module_of != nullptr && count_functions != nullptr && list_functions != nullptr && load != nullptr;
  }

  CUresult load_module_of(const void* kernel) const {
    cudaFunction_t any = nullptr;
    if (const cudaError_t status = cudaGetFuncBySymbol(&any, kernel)) return static_cast<CUresult>(status);
    CUmodule module = nullptr;
    if (const CUresult status = module_of(&module, any)) return status;
    unsigned count = 0;
    if (const CUresult status = count_functions(&count, module)) return status;
    std::vector<CUfunction> functions(count);
    if (const CUresult status = list_functions(functions.data(), count, module)) return status;
    for (const CUfunction function : functions)
      if (const CUresult status = load(function)) return status;
    return CUDA_SUCCESS;
  }
};

}  // namespace

KernelModule::KernelModule(const void* any_kernel) {
  kernels_of_modules().push_back(any_kernel);
}

bool launches_overlap(const void* any_kernel) {
  static const bool overlap = [&] {
    cudaFuncAttributes attributes{};
    BSQ_CUDA_CHECK(cudaFuncGetAttributes(&attributes, any_kernel));
    return launches_overlap(attributes.ptxVersion, std::getenv("BSQ_PROGRAMMATIC_LAUNCH"));
  }();
  return overlap;
}

std::string load_kernels() {
  for (const void* kernel : kernels_of_modules()) {
    cudaFuncAttributes attributes{};
    BSQ_CUDA_CHECK(cudaFuncGetAttributes(&attributes, kernel));  // fails if the device cannot run the module
  }
  const Driver driver;
  if (!driver.is_complete()) return "the driver is older than CUDA 12.4";
  for (const void* kernel : kernels_of_modules()) {
    const CUresult status = driver.load_module_of(kernel);
    if (status == CUDA_SUCCESS) continue;
    static_cast<void>(cudaGetLastError());
    return cudaGetErrorName(static_cast<cudaError_t>(status));  // runtime and driver number errors alike
  }
  return {};
}

}  // namespace bsq::cuda
