// What libbsq_mpi.so exports, and who loads it: one function that returns a table of functions.
//
// No MPI header in here. Both sides are built from the same sources; `abi` catches a library left from another build.
#pragma once

#include "kernels/ranks/communicator.h"

#include <memory>
#include <string>

namespace bsq::mpi {

/// Counted up whenever what passes between the two changes; tests/lint sees to it.
constexpr int kPluginAbi = 3;

struct Plugin {
  int abi = kPluginAbi;
  /// `Open MPI v4.1.4`.
  std::string (*describe)() = nullptr;
  /// Starts MPI. Throws Error(device).
  std::unique_ptr<Communicator> (*make_communicator)() = nullptr;
};

constexpr const char* kPluginFile = "libbsq_mpi.so";
constexpr const char* kPluginSymbol = "bsq_mpi_plugin";

}  // namespace bsq::mpi
