// An experiment of a configuration with all that it stands on: data, network, device, the connection of its ranks. A
// run begins, goes on and is repeated with the same one.
#pragma once

#include "engine/training/experiment.h"
#include "tools/session/open_model.h"

#include <memory>
#include <optional>

namespace bsq {

struct ExperimentSource {
  const Config& config;
  const Config& opened;                   // the same, with the paths by which its files are found from here
  std::optional<OpenModel> init = {};     // what it begins with
  std::optional<OpenModel> teacher = {};  // what it learns from
  const TensorFile* trained = nullptr;    // a model of the run, which says the network whatever has become of its file
  bool is_planned = false;                // images may be blank
};

class OpenExperiment {
 public:
  /// Everything that can be checked is checked. All ranks read the same images, or Error(data) is thrown.
  OpenExperiment(ExperimentSource source, Console& console, Communicator& ranks);
  OpenExperiment(const OpenExperiment&) = delete;
  OpenExperiment& operator=(const OpenExperiment&) = delete;

  Experiment& experiment() { return *experiment_; }
  const Backend& backend() const { return *backend_; }

 private:
  DataSplits data_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Communicator> connected_;  // null if there is one rank
  std::optional<Experiment> experiment_;
};

}  // namespace bsq
