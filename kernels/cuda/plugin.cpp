// The one symbol of libbsq_cuda.so.
#include "kernels/cuda/plugin.h"

#include "kernels/cuda/check.h"
#include "kernels/cuda/cublas.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/cudnn.h"
#include "kernels/error.h"

namespace bsq::cuda {
namespace {

/// How many devices there are: at least one.
int count_devices() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status != cudaSuccess || count == 0)
    fail(ErrorKind::device, "no CUDA device can be used: {} ({}); set device: cpu", cudaGetErrorName(status),
         status == cudaSuccess ? "the driver lists none" : cudaGetErrorString(status));
  return count;
}

std::string describe() {
  const int count = count_devices();
  int driver = 0;
  BSQ_CUDA_CHECK(cudaDriverGetVersion(&driver));
  constexpr int major = 1000;
  constexpr int minor = 10;
  std::string text = fmt::format("driver for CUDA {}.{}, cuDNN {}, cuBLAS {}", driver / major, driver % major / minor,
                                 cudnn_version(), cublas_version());
  for (int device = 0; device < count; ++device) {
    cudaDeviceProp properties{};
    BSQ_CUDA_CHECK(cudaGetDeviceProperties(&properties, device));
    text += fmt::format("\n{}: {}, {:.1f} GiB, compute capability {}.{}", device, properties.name,
                        static_cast<double>(properties.totalGlobalMem) / (1 << 30), properties.major, properties.minor);
  }
  return text;
}

std::unique_ptr<Backend> make_cuda_backend(const BackendOptions& /*options*/) {
  count_devices();
  return std::make_unique<CudaBackend>(
      /*device=*/0, [](cudaStream_t stream) { return make_vendor_math(stream, /*allow_tf32=*/false); });
}

}  // namespace
}  // namespace bsq::cuda

extern "C" __attribute__((visibility("default"))) const bsq::cuda::Plugin* bsq_cuda_plugin() {
  static const bsq::cuda::Plugin plugin{bsq::cuda::kPluginAbi, bsq::cuda::describe, bsq::cuda::make_cuda_backend};
  return &plugin;
}
