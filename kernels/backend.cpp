// Chooses a backend by name: the only file that knows which ones are built in.
#include "kernels/backend.h"

#include "kernels/cpu/cpu_backend.h"
#include "kernels/error.h"
#include "kernels/reference.h"

namespace bsq {

std::unique_ptr<Backend> make_backend(const std::string& device, const BackendOptions& options) {
  if (device == "cpu" || device == "auto") return make_cpu_backend(options);
  if (device == "reference") return make_reference_backend();
  if (device == "cuda") fail(ErrorKind::device, "device: cuda: this bsq is built without CUDA; set device: cpu");
  fail(ErrorKind::device, "device: unknown device '{}'; use cpu or reference", device);
}

}  // namespace bsq
