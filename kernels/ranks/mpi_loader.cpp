// dlopen of libbsq_mpi.so in ../lib beside the program, with RTLD_GLOBAL: Open MPI opens plug-ins of its own, which
// look for its symbols.
#include "kernels/ranks/mpi_loader.h"

#include "kernels/base/error.h"
#include "kernels/base/plugin_library.h"
#include "kernels/ranks/mpi/plugin.h"

namespace bsq {
namespace {

const mpi::Plugin& plugin() {
  return load_plugin<mpi::Plugin>({.kind = ErrorKind::device,
                                   .file = mpi::kPluginFile,
                                   .symbol = mpi::kPluginSymbol,
                                   .scope = RTLD_GLOBAL,
                                   .feature = "MPI",
                                   .packages = "libopenmpi-dev",
                                   .question = "is MPI installed?"},
                                  mpi::kPluginAbi);
}

}  // namespace

std::string describe_mpi() {
  try {
    return plugin().describe();
  } catch (const Error& error) {
    return error.what();
  }
}

std::unique_ptr<Communicator> make_mpi_communicator(const Launch& launch) {
  try {
    return plugin().make_communicator();
  } catch (const Error& error) {
    fail(ErrorKind::device, "{} = {}: a launcher has started several processes, and they cannot train together: {}",
         launch.world_variable, launch.place.world, error.what());
  }
}

}  // namespace bsq
