// From where the epochs of a run can be repeated: its start, the results of its stages, and the checkpoints that it has
// kept.
#pragma once

#include "engine/training/experiment.h"
#include "tools/verify/run_proofs.h"

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace bsq {

struct ReplayStart {
  std::string name;              // `checkpoints/epoch_0003`, `the start of the run`
  std::filesystem::path folder;  // empty: the start of the run
  Progress progress;
  int epochs_done = 0;  // over all stages
  /// Whether its files hold all that a run goes on from; the result of a stage is a model alone.
  bool is_checkpoint = false;

  /// The files, as Experiment::run() goes on from them. Throws Error(checkpoint).
  CheckpointFiles load() const;
};

struct KeptFiles {
  std::vector<ReplayStart> starts;      // in the order of the run
  std::vector<std::string> faults;      // what is not as the log says, each beginning with its place
  std::vector<std::string> models;      // that stages have handed on, and which are what the log says
  std::optional<DataFingerprint> data;  // of the newest checkpoint
  std::string teacher;                  // likewise: its hash; empty: nobody teaches
  std::string no_start_of_run;          // why the run cannot be repeated from its start; empty if it can
};

/// Looks at all that is kept. `init`: the file of model.init by which it is found from here; empty if there is none.
KeptFiles find_kept_files(const std::filesystem::path& run, const Config& config, const std::filesystem::path& init,
                          const RunProofs& proofs);

/// How many epochs of all stages are over after these of the stage of this index.
int epoch_of_run(const Config& config, int stage, int epoch);

}  // namespace bsq
