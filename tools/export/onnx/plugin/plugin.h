// What libbsq_onnx.so exports, and who loads it: one function that returns a table of functions.
//
// No protobuf header in here. Both sides are built from the same sources; `abi` catches a library left from another
// build. It is a plug-in so that whoever exports nothing neither needs nor starts protobuf.
#pragma once

#include "tools/export/onnx/graph.h"

#include <cstdint>
#include <string>

namespace bsq::onnx_plugin {

/// The number of the interface that is made by this header and all it includes: a hash, which the build makes
/// (cmake/InterfaceNumber.cmake). Plug-in and loader have one each.
extern const std::uint64_t kPluginAbi;

struct Plugin {
  std::uint64_t abi = kPluginAbi;
  /// `protobuf 3.21.12`.
  std::string (*describe)() = nullptr;
  /// The bytes of a file; the same for the same model.
  std::string (*write)(const OnnxModel& model) = nullptr;
  /// Throws Error(verification) if the bytes are no ONNX model, or one that bsq would not write.
  OnnxModel (*read)(const std::string& bytes) = nullptr;
};

constexpr const char* kPluginFile = "libbsq_onnx.so";
constexpr const char* kPluginSymbol = "bsq_onnx_plugin";

}  // namespace bsq::onnx_plugin
