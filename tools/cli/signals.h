// SIGINT, SIGTERM, and what terminals and job schedulers send before they kill (SIGHUP, SIGUSR2, SIGXCPU), ask a run to
// stop at its next step, SIGUSR1 to write a checkpoint. A second SIGINT or SIGTERM ends the process at once; the others
// never do, since they come several times: from the terminal and its shell, or every second.
#pragma once

#include "engine/run/request.h"

namespace bsq {

/// A process that a signal has ended has this and its number for its exit code, as shells have it.
inline constexpr int kSignalExit = 128;

/// From here on signals are noted instead of obeyed. SIGHUP, SIGUSR2 and SIGXCPU stay ignored where they are.
void catch_signals();

/// From here on the process goes on if the reader of its stderr is gone.
void outlive_readers();

/// What has been asked since the last call; a stop stays asked for.
Request take_request();

/// 128 and the number of the first signal that asked for a stop: 130 after SIGINT, 143 after SIGTERM; 0 while no stop
/// has been asked for.
int stop_exit_code();

}  // namespace bsq
