#include "kernels/cuda/vendor/nvrtc.h"

#include <cuda_runtime_api.h>
#include <cudnn.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <link.h>

#include <filesystem>
#include <string>

namespace bsq::cuda {
namespace {

namespace fs = std::filesystem;

/// The file that a function of a loaded library comes from.
fs::path file_of(void* function) {
  Dl_info info{};
  if (dladdr(function, &info) == 0 || info.dli_fname == nullptr) return {};
  std::error_code failed;
  return fs::weakly_canonical(info.dli_fname, failed);
}

void* open_nvrtc() {
  const std::string name = fmt::format("libnvrtc.so.{}", CUDART_VERSION / 1000);
  if (void* found = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL)) return found;
  // Beside cuDNN, as the toolkit has it, or where cuDNN's own package expects it.
  const fs::path cudnn = file_of(reinterpret_cast<void*>(&cudnnGetVersion)).parent_path();
  for (const fs::path& folder :
       {cudnn, cudnn / fmt::format("../../cu{}/lib", CUDART_VERSION / 1000), cudnn / "../../cuda_nvrtc/lib"})
    if (void* found = dlopen((folder / name).c_str(), RTLD_NOW | RTLD_LOCAL)) return found;
  return nullptr;
}

}  // namespace

void load_nvrtc() {
  static const bool once = [] {
    void* nvrtc = open_nvrtc();
    if (nvrtc == nullptr) return false;
    using Version = int (*)(int* major, int* minor);
    const auto version = reinterpret_cast<Version>(dlsym(nvrtc, "nvrtcVersion"));
    int major = 0;
    int minor = 0;
    if (version == nullptr || version(&major, &minor) != 0) return false;
    const fs::path folder = file_of(reinterpret_cast<void*>(version)).parent_path();
    const std::string builtins = (folder / fmt::format("libnvrtc-builtins.so.{}.{}", major, minor)).string();
    return dlopen(builtins.c_str(), RTLD_NOW | RTLD_LOCAL) != nullptr;
  }();
  static_cast<void>(once);
}

}  // namespace bsq::cuda
