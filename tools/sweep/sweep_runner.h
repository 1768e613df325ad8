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
  std::string error;  // the first line of a failed run's error
};

struct SweepOptions {
  int jobs = 1;
  std::filesystem::path start_folder;  // where the runs are started; empty: here
  ConsoleFlags console;
};

/// Stages that several runs have in common are trained by one of them, whose checkpoint the others go on from.
/// Starts the runs that are missing, resumes those that were interrupted, leaves those that are done. One result per
/// run. If one fails, the others still run. A signal that stops a run stops all with checkpoints, and no more are
/// started.
std::vector<SweepResult> run_sweep(const std::filesystem::path& folder, const std::vector<SweepRun>& runs,
                                   const SweepOptions& options);

}  // namespace bsq
