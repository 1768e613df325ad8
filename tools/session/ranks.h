// A command that several processes run together (mpirun -np N bsq train ...): rank 0 alone speaks and writes, and the
// failure of any rank ends all.
#pragma once

#include "engine/config/config.h"
#include "engine/run/console.h"
#include "kernels/base/error.h"
#include "kernels/ranks/communicator.h"
#include "tools/cli/arguments.h"

#include <functional>
#include <string>
#include <string_view>

namespace bsq {

/// Runs `command` on this rank, together with the other ranks that a launcher has started, if any. The stdout of ranks
/// other than 0 is dropped. An exception on one of several ranks ends the processes of all: on rank 0 as it would end a
/// single process; elsewhere with a message that names the rank, and exit code 5, unless rank 0 has failed as well, as
/// a rule for the same reason.
int run_on_ranks(const std::function<int(Communicator&)>& command);

/// Throws Error(usage) if a launcher has started several processes, for a command that is for one.
void refuse_ranks(const std::string& command);

/// The console of this rank. Ranks other than 0 are silent, since rank 0 says whatever they would say.
Console console_of(const ConsoleFlags& flags, const Communicator& ranks);

/// CPU threads of this rank, as configured. If `threads` is 0 and there are several ranks, each takes its part of the
/// cores that the ranks of this machine may use together, so that they do not share cores if the launcher has not bound
/// them; fewer where default_threads() would be.
int threads_of(const Config& config, Communicator& ranks);

/// Throws on every rank unless all have the text of rank 0. `what` ends the sentence that begins with a rank.
void check_same_text(Communicator& ranks, const std::string& own, ErrorKind kind, std::string_view what);

/// The largest `own` of all ranks, on every rank.
int largest_of(Communicator& ranks, int own);

}  // namespace bsq
