// The MPI communicator, loaded if a launcher has started several processes (why: kernels/ranks/communicator.h).
#pragma once

#include "kernels/ranks/communicator.h"
#include "kernels/ranks/launch_environment.h"

namespace bsq {

/// One line about the library: its version, or why there is none. Does not start MPI.
std::string describe_mpi();

/// Starts MPI; to be called once. Throws Error(device), saying what is missing.
std::unique_ptr<Communicator> make_mpi_communicator(const Launch& launch);

}  // namespace bsq
