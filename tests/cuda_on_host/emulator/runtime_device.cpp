// Of the runtime's stand-in: what device there is, and what went wrong.
#include "tests/cuda_on_host/emulator/block.h"
#include "tests/cuda_on_host/emulator/runtime.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace bsq::cuda_on_host {
namespace {

constexpr int kMultiprocessors = 3;  // few and odd: loops over the grid come round more than once, and unevenly

struct ErrorText {
  cudaError_t status;
  const char* name;
  const char* text;
};
constexpr std::array kErrors = {
    ErrorText{cudaSuccess, "cudaSuccess", "no error"},
    ErrorText{cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    ErrorText{cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    ErrorText{cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
              "CUDA driver version is insufficient for CUDA runtime version"},
    ErrorText{cudaErrorDevicesUnavailable, "cudaErrorDevicesUnavailable",
              "CUDA-capable device(s) is/are busy or unavailable"},
    ErrorText{cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    ErrorText{cudaErrorNoKernelImageForDevice, "cudaErrorNoKernelImageForDevice",
              "no kernel image is available for execution on the device"},
    ErrorText{cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    ErrorText{cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    ErrorText{cudaErrorInvalidDeviceFunction, "cudaErrorInvalidDeviceFunction", "invalid device function"},
    ErrorText{cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    ErrorText{cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    ErrorText{cudaErrorIllegalState, "cudaErrorIllegalState", "the operation cannot be performed in the present state"},
    ErrorText{cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
              "operation not permitted when stream is capturing"},
    ErrorText{cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
              "operation failed due to a previous error during capture"},
    ErrorText{cudaErrorStreamCaptureImplicit, "cudaErrorStreamCaptureImplicit",
              "operation would make the legacy stream depend on a capturing blocking stream"},
    ErrorText{cudaErrorStreamCaptureUnjoined, "cudaErrorStreamCaptureUnjoined", "capturing stream has unjoined work"},
    ErrorText{cudaErrorStreamCaptureIsolation, "cudaErrorStreamCaptureIsolation",
              "dependency created on uncaptured work in another stream"},
    ErrorText{cudaErrorCapturedEvent, "cudaErrorCapturedEvent",
              "operation not permitted on an event last recorded in a capturing stream"},
};

const ErrorText& text_of(cudaError_t status) {
  static constexpr ErrorText unknown{cudaErrorUnknown, "unrecognized error code", "unrecognized error code"};
  const auto* found =
      std::find_if(kErrors.begin(), kErrors.end(), [&](const ErrorText& error) { return error.status == status; });
  return found == kErrors.end() ? unknown : *found;
}

thread_local cudaError_t last_error = cudaSuccess;

bool is_device(int index) {
  return index >= 0 && index < device().count;
}

}  // namespace

cudaError_t remember(cudaError_t status) {
  if (status != cudaSuccess) last_error = status;
  return status;
}

}  // namespace bsq::cuda_on_host

using namespace bsq::cuda_on_host;

extern "C" {

/// That of a lost device stays.
cudaError_t cudaGetLastError() {
  if (const cudaError_t lost = error_of_lost_device()) return lost;
  const cudaError_t status = last_error;
  last_error = cudaSuccess;
  return status;
}

const char* cudaGetErrorName(cudaError_t status) {
  return text_of(status).name;
}

const char* cudaGetErrorString(cudaError_t status) {
  return text_of(status).text;
}

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 0;
  if (const cudaError_t refused = refuse("cudaGetDeviceCount")) return refused;
  *count = device().count;
  return *count > 0 ? cudaSuccess : remember(cudaErrorNoDevice);
}

cudaError_t cudaDriverGetVersion(int* version) {
  constexpr int older = 12040;
  *version = device().error == cudaErrorInsufficientDriver ? older : CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int index) {
  if (const cudaError_t refused = refuse("cudaSetDevice")) return refused;
  return is_device(index) ? cudaSuccess : remember(cudaErrorInvalidDevice);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int index) {
  if (const cudaError_t refused = refuse("cudaGetDeviceProperties")) return refused;
  if (!is_device(index)) return remember(cudaErrorInvalidDevice);
  *properties = {};
  std::strcpy(properties->name, "CUDA on host");
  properties->uuid.bytes[0] = static_cast<char>(device().first_uuid + index);
  properties->major = device().capability / 10;
  properties->minor = device().capability % 10;
  properties->multiProcessorCount = kMultiprocessors;
  properties->warpSize = kWarpSize;
  properties->maxThreadsPerBlock = kMaxThreads;
  properties->sharedMemPerBlockOptin = kMaxSharedBytes;
  std::size_t free_bytes = 0;
  return cudaMemGetInfo(&free_bytes, &properties->totalGlobalMem);
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int index) {
  if (!is_device(index)) return remember(cudaErrorInvalidDevice);
  switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor: *value = device().capability / 10; return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor: *value = device().capability % 10; return cudaSuccess;
    case cudaDevAttrMultiProcessorCount: *value = kMultiprocessors; return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = static_cast<int>(kMaxSharedBytes); return cudaSuccess;
    default: return remember(cudaErrorInvalidValue);
  }
}

}  // extern "C"
