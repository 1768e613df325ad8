// SIGINT and SIGTERM ask a run to stop at its next step, SIGUSR1 to write a checkpoint; a second SIGINT or SIGTERM ends
// the process at once.
#pragma once

#include "engine/run/request.h"

namespace bsq {

/// A process that a signal has ended has this and its number for its exit code, as shells have it.
inline constexpr int kSignalExit = 128;

/// From here on signals are noted instead of obeyed.
void catch_signals();

/// From here on the process goes on if the reader of its stderr is gone.
void outlive_readers();

/// What has been asked since the last call; a stop stays asked for.
Request take_request();

/// 130 after SIGINT, 143 after SIGTERM; 0 while no stop has been asked for.
int stop_exit_code();

}  // namespace bsq
