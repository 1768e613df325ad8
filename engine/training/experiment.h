// A whole experiment: the chain of stages of one configuration in one run directory, from the start or from its last
// checkpoint.
#pragma once

#include "engine/files/checkpoint_dir.h"
#include "engine/run/engine_notes.h"
#include "engine/training/experiment_data.h"
#include "engine/training/stage.h"
#include "engine/training/teacher.h"

#include <functional>
#include <memory>
#include <optional>
#include <set>

namespace bsq {

/// What an experiment is made of besides its configuration. References outlive it.
struct ExperimentParts {
  Backend& backend;
  const DataSplits& data;
  NetworkFactory make_network;
  ModelCard card;                            // network and data, for every model file
  std::optional<TensorFile> init;            // model.init, read and with normalized names
  std::optional<TeacherModel> teacher = {};  // distill.model, if a stage learns from it
  Communicator& communicator;                // of the ranks that train together; all make the same experiment
};

class Experiment {
 public:
  /// Reads the data that is kept. Throws Error(device) if the precision is not supported.
  Experiment(const Config& config, ExperimentParts parts);

  /// Runs every stage. The run directory holds all results; `resumed` is its last checkpoint, null at the start.
  StageOutcome run(RunDirectory& directory, RunLog& log, Console& console, const RequestPoll& poll,
                   const CheckpointFiles* resumed);
  const DataFingerprint& data() const { return context_.data; }
  /// What a user should know of how the images are read, a sentence each.
  const std::vector<std::string>& data_notes() const { return images_.notes(); }
  /// Of the teacher; empty if nobody teaches.
  const std::string& teacher_hash() const { return context_.teacher_hash; }
  /// The communicator of its ranks.
  Communicator& communicator() const { return parts_.communicator; }
  /// Plans the memory of every stage, takes one step of the first that trains, writes nothing. `say` gets the
  /// lines to print as they are known: a network may need more memory in its next stage than there is.
  void dry_run(const std::function<void(const std::string& line)>& say);

 private:
  void start_stage(Stage& stage, StageOutput& output);
  /// Bytes of images and of the teacher, which all stages have.
  std::size_t shared_bytes() const { return data_memory_.total_bytes() + teacher_memory_.total_bytes(); }
  void say_teacher(const Stage& stage, const StageOutput& output) const;
  /// Names the layers whose sums of integers may be rounded, each once.
  void note_inexact_sums(Stage& stage, const StageOutput& output);
  /// Evaluates and saves what the stage hands on.
  TensorFile finish_stage(Stage& stage, Progress& progress, StageOutput& output);
  /// The checkpoints at the end of a stage. `next`: where a run goes on from there.
  void write_stage_end(const std::string& stage, const TensorFile& model, const Progress& next,
                       const nlohmann::ordered_json& summary, const std::filesystem::path& checkpoints) const;

  const Config& config_;
  ExperimentParts parts_;
  DeviceMemory data_memory_;
  DeviceMemory teacher_memory_;
  std::optional<FrozenNetwork> teacher_;
  ExperimentData images_;
  StageContext context_;
  EngineTeller teller_;
  std::set<std::string> noted_;  // nodes
};

/// How many ranks wrote a checkpoint.
int world_size_of(const CheckpointFiles& files);
/// How the images of a set become batches under this config.
InputOptions input_options(const Config& config, const DatasetInfo& images);
/// The config's precision. Throws Error(device) if the backend does not have it.
Precision checked_precision(const Config& config, const Backend& backend);
/// The progress in the state.json of a checkpoint.
Progress progress_of(const CheckpointFiles& files, const std::string& where);

/// The same, of a checkpoint which a run of this configuration goes on from. Throws Error(checkpoint) too if the place
/// that state.json says is none of the run's.
Progress progress_of(const CheckpointFiles& files, const Config& config, const std::string& where);

}  // namespace bsq
