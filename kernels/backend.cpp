// Chooses a backend by name: the only file that knows which ones are built in.
#include "kernels/backend.h"

#include "kernels/cpu/cpu_backend.h"
#include "kernels/cuda_loader.h"
#include "kernels/error.h"
#include "kernels/reference.h"

namespace bsq {

std::unique_ptr<Backend> make_backend(const std::string& device, const BackendOptions& options) {
  if (device == "cuda" || (device == "auto" && find_cuda().found)) return make_cuda_backend(options);
  if (device == "cpu" || device == "auto") return make_cpu_backend(options);
  if (device == "reference") return make_reference_backend();
  fail(ErrorKind::device, "device: unknown device '{}'; use auto, cpu, cuda or reference", device);
}

}  // namespace bsq
