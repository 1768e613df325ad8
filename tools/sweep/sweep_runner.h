// Runs the runs of a sweep, several at a time, each as a process of its own.
#pragma once

#include "tools/cli/arguments.h"
#include "tools/sweep/sweep_plan.h"

#include <filesystem>
#include <string>
#include <vector>

namespace bsq {

enum class SweepState { done, failed, stopped, missing };

struct SweepResult {
  SweepState state = SweepState::missing;
  int exit_code = 0;
  std::string error;  // of one that failed, its first line
};

struct SweepOptions {
  int jobs = 1;
  ConsoleFlags console;
};

/// Starts what is missing, goes on with what was interrupted, leaves what is done. One result per run. A failing run
/// does not keep the others from running. SIGINT and SIGTERM stop all with checkpoints, and none is started any more.
std::vector<SweepResult> run_sweep(const std::filesystem::path& folder, const std::vector<SweepRun>& runs,
                                   const SweepOptions& options);

}  // namespace bsq
