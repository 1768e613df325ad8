// dlopen of libbsq_onnx.so in ../lib beside the program.
#include "tools/onnx/onnx_file.h"

#include "kernels/error.h"
#include "kernels/plugin_library.h"
#include "tools/onnx/plugin/plugin.h"

#include <dlfcn.h>

#include <filesystem>

namespace bsq {
namespace {

/// Throws Error(usage) with the reason. Never unloaded: protobuf keeps what it has registered.
const onnx_plugin::Plugin& load_plugin() {
  const std::filesystem::path path = plugin_path(onnx_plugin::kPluginFile);
  if (!std::filesystem::exists(path))
    fail(ErrorKind::usage, "this bsq is built without ONNX (install libonnx-dev libprotobuf-dev and build it anew)");
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) fail(ErrorKind::usage, "{}; are libonnx and protobuf installed?", last_library_error());
  const auto* plugin = plugin_table<onnx_plugin::Plugin>(library, onnx_plugin::kPluginSymbol);
  if (plugin == nullptr || plugin->abi != onnx_plugin::kPluginAbi)
    fail(ErrorKind::usage, "{} is of another version of bsq; build it anew", path.string());
  return *plugin;
}

}  // namespace

std::string describe_onnx() {
  try {
    return load_plugin().describe();
  } catch (const Error& error) {
    return error.what();
  }
}

void require_onnx() {
  load_plugin();
}

std::string onnx_bytes(const OnnxModel& model) {
  return load_plugin().write(model);
}

OnnxModel parse_onnx(const std::string& bytes) {
  return load_plugin().read(bytes);
}

}  // namespace bsq
