// A run that takes over the past of another one, up to a checkpoint, and goes on from there with other settings: what
// the two have in common is trained once.
#pragma once

#include "engine/config/config.h"
#include "engine/files/checkpoint_dir.h"
#include "engine/run/progress.h"
#include "engine/run/run_directory.h"

#include <filesystem>
#include <string>

namespace bsq {

struct ForkPoint {
  std::filesystem::path run;
  std::string checkpoint;  // its folder in checkpoints/
  CheckpointFiles files;
  Config config;  // of that run
  Progress progress;

  /// How many stages have begun there.
  std::size_t stages_begun() const;
};

/// `RUN@STAGE` (the end of a stage), `RUN@EPOCH` (of all stages together, as checkpoints are numbered), or `RUN`, which
/// is its last checkpoint. Throws Error(usage) if there is no such run, Error(checkpoint) if it has no such checkpoint,
/// naming those that it has.
ForkPoint find_fork(const std::string& text);
/// Whether another run can go on from this checkpoint folder: it is there, and says how. What is damaged counts, and is
/// an error later.
bool can_be_forked(const std::filesystem::path& checkpoint);
/// Throws Error(usage) with a line for every key by which the past would have been another one.
void check_same_past(const ForkPoint& fork, const Config& now);
/// Copies logs and checkpoints of the past into a fresh run of the configuration `now`, which can be resumed afterwards
/// and is then what it would be if it had trained all itself.
void copy_past(const ForkPoint& fork, const RunDirectory& to, const Config& now);

/// How many stages at their beginning two configurations train in the very same way: all but the last one at most.
std::size_t shared_stages(const Config& a, const Config& b);

}  // namespace bsq
