#include "kernels/devices.h"

#include "kernels/base/error.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cuda_loader.h"
#include "kernels/reference/reference_backend.h"

#include <utility>

namespace bsq {

std::unique_ptr<Backend> make_backend(const std::string& device, const BackendOptions& options,
                                      std::string* why_no_gpu) {
  if (device == "auto") {
    CudaSearch cuda = find_cuda(options);
    if (cuda.backend != nullptr) return std::move(cuda.backend);
    if (why_no_gpu != nullptr) *why_no_gpu = cuda.text;
    return make_cpu_backend(options);
  }
  if (device == "cuda") return make_cuda_backend(options);
  if (device == "cpu") return make_cpu_backend(options);
  if (device == "reference") return make_reference_backend();
  fail(ErrorKind::device, "device: unknown device '{}'; use auto, cpu, cuda or reference", device);
}

}  // namespace bsq
