// Which epochs of a run are repeated, and from where.
#pragma once

#include "tools/verify/verification.h"

namespace bsq {

/// A repetition from a start up to an epoch, counted over all stages. One that repeats no epoch looks at its start.
struct Repetition {
  const ReplayStart* start = nullptr;
  int until = 0;
  std::vector<std::size_t> checked;  // which of EpochChoice::checked it decides
};

struct EpochChoice {
  std::vector<CheckedEpoch> checked;
  std::vector<PassedOver> passed_over;
  std::vector<Repetition> repetitions;
};

/// Chooses by `seed` among all epochs that have a hash in the log and a start before them. Every checkpoint is looked
/// at, also where no repetition begins with it. `kept` outlives the choice.
EpochChoice choose_epochs(const Config& config, const RunProofs& proofs, const KeptFiles& kept,
                          const VerifyOptions& options, int seed);

}  // namespace bsq
