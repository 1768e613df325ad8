// A command that several processes run together (mpirun -np N bsq train ...): rank 0 alone speaks and writes, and the
// failure of any rank ends all.
#pragma once

#include "engine/config/config.h"
#include "engine/run/console.h"
#include "kernels/ranks/communicator.h"
#include "tools/cli/arguments.h"

#include <functional>

namespace bsq {

/// Runs `command` on this rank among the others that a launcher has started; by itself if it has started none. The
/// stdout of ranks other than 0 leads nowhere. An exception on one of several ranks ends the processes of all: on rank
/// 0 as it would end a single process; elsewhere with a message that names the rank, and exit code 5, unless rank 0 has
/// failed as well, of the same thing as a rule.
int run_on_ranks(const std::function<int(Communicator&)>& command);

/// Throws Error(usage) if a launcher has started several processes, for a command that is for one.
void refuse_ranks(const std::string& command);

/// The console of rank 0; that of other ranks is mute, since whatever they would say rank 0 says as well.
Console console_of(const ConsoleFlags& flags, const Communicator& ranks);

/// CPU threads of this rank: as configured; if that is left open on several ranks, its part of the cores that the
/// ranks of this machine may use together, so that they do not get in each other's way if the launcher has not bound
/// them to cores.
int threads_of(const Config& config, Communicator& ranks);

/// The largest of what the ranks ask for, the same on all.
int largest_of(Communicator& ranks, int own);

}  // namespace bsq
