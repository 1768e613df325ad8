// dlopen of libbsq_onnx.so in ../lib beside the program.
#include "tools/export/onnx/onnx_file.h"

#include "kernels/base/error.h"
#include "kernels/base/plugin_library.h"
#include "tools/export/onnx/plugin/plugin.h"

namespace bsq {
namespace {

const onnx_plugin::Plugin& onnx_library() {
  return load_plugin<onnx_plugin::Plugin>({.kind = ErrorKind::usage,
                                           .file = onnx_plugin::kPluginFile,
                                           .symbol = onnx_plugin::kPluginSymbol,
                                           .scope = RTLD_LOCAL,
                                           .feature = "ONNX",
                                           .packages = "libonnx-dev libprotobuf-dev",
                                           .question = "are libonnx and protobuf installed?"},
                                          onnx_plugin::kPluginAbi);
}

}  // namespace

std::string describe_onnx() {
  try {
    return onnx_library().describe();
  } catch (const Error& error) {
    return error.what();
  }
}

void require_onnx() {
  onnx_library();
}

std::string onnx_bytes(const OnnxModel& model) {
  return onnx_library().write(model);
}

OnnxModel parse_onnx(const std::string& bytes) {
  return onnx_library().read(bytes);
}

}  // namespace bsq
