// An experiment of a configuration with all that it stands on: data, network, device, the connection of its ranks. A
// run begins, goes on and is repeated with the same one.
#pragma once

#include "engine/training/experiment.h"
#include "tools/session/open_model.h"

#include <memory>
#include <optional>
#include <set>
#include <string>

namespace bsq {

struct ExperimentSource {
  const Config& config;
  const Config& opened;                   // the same, with the paths by which its files are found from here
  std::optional<OpenModel> init = {};     // what it begins with
  std::optional<OpenModel> teacher = {};  // what it learns from
  const TensorFile* trained = nullptr;    // a model of the run, which says the network whatever has become of its file
  bool is_planned = false;                // images may be blank
};

/// Throws Error(data) if the images of a run that goes on are not those which it was trained with; `may_differ`: says
/// so instead. Says as well where that cannot be told.
void check_same_data(const DataFingerprint& then, const DataFingerprint& now, const DataConfig& data, bool may_differ,
                     Console& console);

class OpenExperiment {
 public:
  /// Everything that can be checked is checked. All ranks read the same images, or Error(data) is thrown.
  OpenExperiment(ExperimentSource source, Console& console, Communicator& ranks);
  OpenExperiment(const OpenExperiment&) = delete;
  OpenExperiment& operator=(const OpenExperiment&) = delete;

  Experiment& experiment() { return *experiment_; }
  const Backend& backend() const { return *backend_; }
  /// What the images that were read since have brought to light.
  void say_new_notes(Console& console);

 private:
  DataSplits data_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Communicator> connected_;  // null if there is one rank
  std::optional<Experiment> experiment_;
  std::set<std::string> said_;  // notes
};

}  // namespace bsq
