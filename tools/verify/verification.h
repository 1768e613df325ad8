// Whether a run is what its log says: some of its epochs are repeated, each from the nearest earlier state that is
// kept, by the same code as the run itself, and what they come to is compared with the log. The run's folder is read.
#pragma once

#include "engine/run/console.h"
#include "kernels/ranks/communicator.h"
#include "tools/verify/replay_starts.h"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace bsq {

struct VerifyOptions {
  std::filesystem::path run;
  std::vector<std::string> overrides;
  std::optional<int> epochs = 3;  // nothing: all
  std::optional<int> seed;        // of the choice; nothing: another one each time
  std::optional<int> within;      // the most epochs to be repeated for one; nothing: as many as it takes
};

struct CheckedEpoch {
  RunPlace place;
  std::string from;   // the start of its repetition
  int repeated = 0;   // epochs, itself among them
  std::string hash;   // of its state, in the log
  std::string fault;  // empty: it is what the log says
};

/// Epochs of a stage, one behind the other, that could not be chosen.
struct PassedOver {
  std::string stage;
  int first = 0;
  int last = 0;
  std::string why;
};

struct Verification {
  std::filesystem::path run;
  int seed = 0;
  int epochs = 0;                     // that the run has
  std::vector<CheckedEpoch> checked;  // in the order of the run
  std::vector<PassedOver> passed_over;
  std::vector<std::string> kept;        // files that are as the log says
  std::vector<std::string> faults;      // each beginning with its place in the run
  std::vector<std::string> other_here;  // in what version, machine and ranks are others than those of the run

  bool is_verified() const { return faults.empty(); }
};

/// All ranks call it together. Throws Error(usage) if the run is going on, Error(data) if its images are not here,
/// Error(verification) if none of its epochs can be repeated.
Verification verify_run(const VerifyOptions& options, Console& console, Communicator& ranks);

}  // namespace bsq
