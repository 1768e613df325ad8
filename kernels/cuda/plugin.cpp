// The one symbol of libbsq_cuda.so.
#include "kernels/cuda/plugin.h"

#include "kernels/base/error.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/nccl/nccl.h"

namespace bsq::cuda {
namespace {

/// "13.0" for 13000.
std::string version_text(int version) {
  constexpr int major = 1000;
  constexpr int minor = 10;
  return fmt::format("{}.{}", version / major, version % major / minor);
}

/// The CUDA version that the driver serves; 0 if there is no driver.
int driver_version() {
  int driver = 0;
  BSQ_CUDA_CHECK(cudaDriverGetVersion(&driver));
  return driver;
}

/// How many devices there are: at least one.
int count_devices() {
  int count = 0;
  cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count > 0) return count;
  if (status == cudaSuccess) status = cudaErrorNoDevice;
  if (status == cudaErrorInsufficientDriver && driver_version() > 0)
    fail(ErrorKind::device, "device: cuda: the driver serves CUDA {}, bsq needs {}: {}", version_text(driver_version()),
         version_text(CUDART_VERSION), explain(status));
  fail(ErrorKind::device, "device: cuda: {}", explain(status, "see what nvidia-smi says, or set device: cpu"));
}

/// "NCCL 2.28.9", or why there is none.
std::string describe_nccl() {
  try {
    return "NCCL " + nccl_version();
  } catch (const Error& error) {
    return fmt::format("no NCCL, which several ranks need: {}", error.what());
  }
}

std::string describe() {
  const int count = count_devices();
  std::string text =
      fmt::format("driver for CUDA {}, {}\n{}", version_text(driver_version()), vendor_versions(), describe_nccl());
  for (int device = 0; device < count; ++device) {
    cudaDeviceProp properties{};
    BSQ_CUDA_CHECK(cudaGetDeviceProperties(&properties, device));
    text += fmt::format("\n{}: {}, {:.1f} GiB, compute capability {}.{}", device, properties.name,
                        static_cast<double>(properties.totalGlobalMem) / (1 << 30), properties.major, properties.minor);
  }
  return text;
}

std::unique_ptr<Backend> make_cuda_backend(const BackendOptions& options) {
  return std::make_unique<CudaBackend>(options.local_rank % count_devices(), [&](cudaStream_t stream) {
    return make_vendor_math(stream, options.allow_tf32);
  });
}

}  // namespace
}  // namespace bsq::cuda

extern "C" __attribute__((visibility("default"))) const bsq::cuda::Plugin* bsq_cuda_plugin() {
  static const bsq::cuda::Plugin plugin{bsq::cuda::kPluginAbi, bsq::cuda::describe, bsq::cuda::make_cuda_backend};
  return &plugin;
}
