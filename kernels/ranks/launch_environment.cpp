// The variables of Open MPI, of MPICH and Slurm's PMI, of Slurm itself, and of torchrun and its like.
#include "kernels/ranks/launch_environment.h"

#include "kernels/base/error.h"

#include <charconv>
#include <cstring>

namespace bsq {
namespace {

struct LauncherVariables {
  const char* rank;
  const char* world;
  const char* local_rank;
};

// Slurm: SLURM_NTASKS is set in a batch script too, where one process runs; SLURM_STEP_NUM_TASKS by srun alone.
constexpr LauncherVariables kLaunchers[] = {
    {"RANK", "WORLD_SIZE", "LOCAL_RANK"},
    {"PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"},
    {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"},
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"},
};

int number_in(const char* variable, const char* text, int minimum) {
  int value = 0;
  const char* end = text + std::strlen(text);
  const auto [stop, code] = std::from_chars(text, end, value);
  if (code != std::errc() || stop != end || value < minimum)
    fail(ErrorKind::device, "{} = '{}': a launcher sets it to an integer >= {}; unset it to run a single process",
         variable, text, minimum);
  return value;
}

}  // namespace

std::optional<Launch> find_launch(const EnvironmentLookup& look_up) {
  for (const LauncherVariables& names : kLaunchers) {
    const char* rank = look_up(names.rank);
    const char* world = look_up(names.world);
    const char* local_rank = look_up(names.local_rank);
    if (rank == nullptr || world == nullptr) continue;
    Launch launch{{.rank = number_in(names.rank, rank, 0),
                   .world = number_in(names.world, world, 1),
                   .local_rank = local_rank == nullptr ? 0 : number_in(names.local_rank, local_rank, 0)},
                  names.world};
    if (launch.place.rank >= launch.place.world)
      fail(ErrorKind::device, "{} = {}, {} = {}: the ranks count from 0", names.rank, rank, names.world, world);
    return launch;
  }
  return std::nullopt;
}

}  // namespace bsq
