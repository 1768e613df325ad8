// See device.h: `auto` must not keep from a person that a GPU could not be used.
#include "tools/device.h"

#include "tools/ranks.h"

namespace bsq {

std::unique_ptr<Backend> open_device(const Config& config, Console& console, Communicator& ranks) {
  std::string why_no_gpu;
  std::unique_ptr<Backend> backend = make_backend(
      config.device, {.threads = threads_of(config, ranks), .allow_tf32 = config.precision == name_of(Precision::tf32)},
      &why_no_gpu);
  if (!why_no_gpu.empty()) console.info("no GPU is used: " + why_no_gpu);
  console.info("device: " + backend->describe());
  check_reaches(ranks, *backend);
  return backend;
}

}  // namespace bsq
