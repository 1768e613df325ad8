// The one symbol of libbsq_mpi.so.
#include "kernels/ranks/mpi/plugin.h"

#include "kernels/ranks/mpi/mpi_communicator.h"

extern "C" __attribute__((visibility("default"))) const bsq::mpi::Plugin* bsq_mpi_plugin() {
  static const bsq::mpi::Plugin plugin{bsq::mpi::kPluginAbi, bsq::mpi::library_version,
                                       bsq::mpi::make_mpi_communicator};
  return &plugin;
}
