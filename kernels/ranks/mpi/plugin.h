// What libbsq_mpi.so exports, and who loads it: one function that returns a table of functions.
//
// No MPI header in here. Both sides are built from the same sources; `abi` catches a library left from another build.
#pragma once

#include "kernels/ranks/communicator.h"

#include <cstdint>
#include <memory>
#include <string>

namespace bsq::mpi {

/// The number of the interface that is made by this header and all it includes: a hash, which the build makes
/// (cmake/InterfaceNumber.cmake). Plug-in and loader have one each.
extern const std::uint64_t kPluginAbi;

struct Plugin {
  std::uint64_t abi = kPluginAbi;
  /// `Open MPI v4.1.4`.
  std::string (*describe)() = nullptr;
  /// Starts MPI. Throws Error(device).
  std::unique_ptr<Communicator> (*make_communicator)() = nullptr;
};

constexpr const char* kPluginFile = "libbsq_mpi.so";
constexpr const char* kPluginSymbol = "bsq_mpi_plugin";

}  // namespace bsq::mpi
