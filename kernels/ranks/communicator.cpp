// Chooses a communicator: the only file that knows which ones there are.
#include "kernels/ranks/communicator.h"

#include "kernels/base/error.h"
#include "kernels/ranks/launch_environment.h"
#include "kernels/ranks/mpi_loader.h"

namespace bsq {

std::unique_ptr<Communicator> make_communicator() {
  const std::optional<Launch> launch = find_launch();
  if (!launch || launch->place.world == 1) return make_single_process();
  std::unique_ptr<Communicator> communicator = make_mpi_communicator(*launch);
  if (communicator->world() != launch->place.world)
    fail(ErrorKind::device,
         "{} = {}, but MPI knows of {} process{}: they would train alone; start bsq by the mpirun of the MPI it is "
         "built with, or by srun --mpi=pmix",
         launch->world_variable, launch->place.world, communicator->world(), communicator->world() == 1 ? "" : "es");
  return communicator;
}

}  // namespace bsq
