// What a log says of a run that another machine can repeat: the state after every epoch, its row of numbers, and the
// result of every stage. Whatever a clock has measured is no part of it.
#pragma once

#include "engine/run/run_log.h"

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bsq {

/// Of an epoch, or of the end of a stage.
struct RunPlace {
  std::string stage;
  int epoch = 0;  // how many of the stage are over
  bool is_end = false;

  /// `epoch 2 of bsq`, `the end of bsq, after epoch 3`.
  std::string text() const;
};

using LogFields = std::map<std::string, std::string>;  // by name, as the log writes them

struct EpochProof {
  std::string stage;
  int epoch = 0;  // from 1
  std::int64_t steps = 0;
  LogFields cells;
};

struct RunProofs {
  std::vector<EpochProof> epochs;                             // in their order
  std::map<std::pair<std::string, int>, std::string> states;  // hashes, by stage and epochs that are over
  std::map<std::string, LogFields> ends;                      // of stages

  /// Empty: the log has none.
  std::string state_after(const std::string& stage, int epoch) const;
  /// `name` of the end of a stage; empty: the log has none.
  std::string at_end(const std::string& stage, const std::string& name) const;
};

/// The lines of a run's logs. A file that is not there has none; the last line may still be half written.
LogLines read_log_lines(const std::filesystem::path& run);
/// Throws Error(checkpoint) naming `where` if a line is damaged.
RunProofs proofs_of(const LogLines& lines, const std::string& where);

struct ProofDifference {
  RunPlace place;
  std::string what;
};

/// The first thing in which the same part of a run, repeated, has become another one; nothing if there is none. What
/// the log does not say differs from nothing.
std::optional<ProofDifference> first_difference(const RunProofs& logged, const RunProofs& repeated);

}  // namespace bsq
