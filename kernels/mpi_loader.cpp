// dlopen of libbsq_mpi.so in ../lib beside the program. Global, because Open MPI opens plug-ins of its own, which look
// for its symbols.
#include "kernels/mpi_loader.h"

#include "kernels/error.h"
#include "kernels/mpi/plugin.h"
#include "kernels/plugin_library.h"

#include <dlfcn.h>

#include <filesystem>

namespace bsq {
namespace {

/// Throws Error(device) with the reason alone. Never unloaded: MPI's own libraries cannot be.
const mpi::Plugin& load_plugin() {
  const std::filesystem::path path = plugin_path(mpi::kPluginFile);
  if (!std::filesystem::exists(path))
    fail(ErrorKind::device, "this bsq is built without MPI (install libopenmpi-dev and build it anew)");
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) fail(ErrorKind::device, "{}; is MPI installed?", last_library_error());
  const auto* plugin = plugin_table<mpi::Plugin>(library, mpi::kPluginSymbol);
  if (plugin == nullptr || plugin->abi != mpi::kPluginAbi)
    fail(ErrorKind::device, "{} is of another version of bsq; build it anew", path.string());
  return *plugin;
}

}  // namespace

std::string describe_mpi() {
  try {
    return load_plugin().describe();
  } catch (const Error& error) {
    return error.what();
  }
}

std::unique_ptr<Communicator> make_mpi_communicator(const Launch& launch) {
  try {
    return load_plugin().make_communicator();
  } catch (const Error& error) {
    fail(ErrorKind::device, "{} = {}: a launcher has started several processes, and they cannot train together: {}",
         launch.world_variable, launch.place.world, error.what());
  }
}

}  // namespace bsq
