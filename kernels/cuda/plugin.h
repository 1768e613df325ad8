// What libbsq_cuda.so exports, and who loads it: one function that returns a table of functions.
//
// No CUDA header in here. Both sides are built from the same sources; `abi` catches a library left from another build.
#pragma once

#include "kernels/backend.h"

#include <cstdint>
#include <memory>
#include <string>

namespace bsq::cuda {

/// The number of the interface that is made by this header and all it includes: a hash, which the build makes
/// (cmake/InterfaceNumber.cmake). Plug-in and loader have one each.
extern const std::uint64_t kPluginAbi;

struct Plugin {
  std::uint64_t abi = kPluginAbi;
  /// The versions of the libraries, and a line about every device. Throws Error(device) if there is no device.
  std::string (*describe)() = nullptr;
  /// Throws Error(device).
  std::unique_ptr<Backend> (*make_backend)(const BackendOptions& options) = nullptr;
};

constexpr const char* kPluginFile = "libbsq_cuda.so";
constexpr const char* kPluginSymbol = "bsq_cuda_plugin";

}  // namespace bsq::cuda
