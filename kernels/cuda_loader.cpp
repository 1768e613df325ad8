// dlopen of the driver first (it takes a millisecond and tells most causes), then of libbsq_cuda.so in ../lib beside
// the program.
#include "kernels/cuda_loader.h"

#include "kernels/base/error.h"
#include "kernels/base/plugin_library.h"
#include "kernels/cuda/plugin.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

namespace bsq {
namespace {

namespace fs = std::filesystem;

constexpr const char* kForceLoad = "BSQ_CUDA_FORCE_LOAD";

void* open_plugin(const fs::path& path) {
  if (void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) return library;
  const std::string reason = last_library_error();
  if (reason.starts_with(path.string()))  // the file itself; otherwise the reason begins with a library it needs
    fail(ErrorKind::device, "device: cuda: {}; build and install bsq anew, or set device: cpu", reason);
  fail(
      ErrorKind::device,
      "device: cuda: {}; install CUDA 13 and cuDNN 9, or name that library's folder in LD_LIBRARY_PATH, or set device: "
      "cpu",
      reason);
}

/// Loaded once; never unloaded, since CUDA's own libraries cannot be.
const cuda::Plugin& load_cuda_plugin() {
  static const cuda::Plugin* loaded = nullptr;
  if (loaded != nullptr) return *loaded;
  const fs::path path = plugin_path(cuda::kPluginFile);
  std::error_code unreadable;  // dlopen will give the reason
  if (!fs::exists(path, unreadable) && !unreadable)
    fail(ErrorKind::device,
         "device: cuda: this bsq is built without CUDA, {} is not there; build it with -DBSQ_CUDA=ON, or set device: "
         "cpu",
         path.string());
  if (std::getenv(kForceLoad) == nullptr && dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL) == nullptr)
    fail(ErrorKind::device, "device: cuda: no NVIDIA driver ({}); install it, or set device: cpu",
         last_library_error());
  const auto* plugin = plugin_table<cuda::Plugin>(open_plugin(path), cuda::kPluginSymbol);
  if (plugin == nullptr)
    fail(ErrorKind::device,
         "device: cuda: {} is not a part of bsq, it has no {}; build and install bsq anew, or set device: cpu",
         path.string(), cuda::kPluginSymbol);
  if (plugin->abi != cuda::kPluginAbi)
    fail(ErrorKind::device,
         "device: cuda: {} is of another version of bsq, its interface has number {:016x}, this bsq's {:016x}; build "
         "and install "
         "bsq anew, or set device: cpu",
         path.string(), plugin->abi, cuda::kPluginAbi);
  loaded = plugin;
  return *loaded;
}

}  // namespace

CudaSearch find_cuda(const BackendOptions& options) {
  try {
    std::unique_ptr<Backend> backend = make_cuda_backend(options);
    return {std::move(backend), load_cuda_plugin().describe()};
  } catch (const Error& error) {
    return {nullptr, error.what()};
  }
}

std::unique_ptr<Backend> make_cuda_backend(const BackendOptions& options) {
  return load_cuda_plugin().make_backend(options);
}

}  // namespace bsq
