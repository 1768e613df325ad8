// dlopen of the driver first (a millisecond, and it says most), then of libbsq_cuda.so in ../lib beside the program.
#include "kernels/cuda_loader.h"

#include "kernels/cuda/plugin.h"
#include "kernels/error.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>

namespace bsq {
namespace {

constexpr const char* kForceLoad = "BSQ_CUDA_FORCE_LOAD";

std::filesystem::path plugin_path() {
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe");
  return program.parent_path().parent_path() / "lib" / cuda::kPluginFile;
}

std::string last_dl_error() {
  const char* text = dlerror();
  return text == nullptr ? "unknown error" : text;
}

/// Loaded once; never unloaded, since CUDA's own libraries cannot be.
const cuda::Plugin& load_plugin() {
  static const cuda::Plugin* loaded = nullptr;
  if (loaded != nullptr) return *loaded;
  const std::filesystem::path path = plugin_path();
  if (!std::filesystem::exists(path))
    fail(ErrorKind::device, "device: cuda: this bsq is built without CUDA; set device: cpu");
  if (std::getenv(kForceLoad) == nullptr && dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL) == nullptr)
    fail(ErrorKind::device, "device: cuda: no NVIDIA driver ({}); install it, or set device: cpu", last_dl_error());
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr)
    fail(ErrorKind::device, "device: cuda: {}; is its library's folder in LD_LIBRARY_PATH? or set device: cpu",
         last_dl_error());
  const auto get = reinterpret_cast<cuda::PluginGetter>(dlsym(library, cuda::kPluginSymbol));
  const cuda::Plugin* plugin = get == nullptr ? nullptr : get();
  if (plugin == nullptr || plugin->abi != cuda::kPluginAbi)
    fail(ErrorKind::device, "device: cuda: {} is of another version of bsq; build it anew, or set device: cpu",
         path.string());
  loaded = plugin;
  return *loaded;
}

}  // namespace

CudaSearch find_cuda() {
  try {
    return {true, load_plugin().describe()};
  } catch (const Error& error) {
    return {false, error.what()};
  }
}

std::unique_ptr<Backend> make_cuda_backend(const BackendOptions& options) {
  return load_plugin().make_backend(options);
}

}  // namespace bsq
