// One stage of an experiment: its model on the device, its epochs, and what its method does between them. The table in
// engine/methods/methods.cpp says which method that is.
#pragma once

#include "engine/base/background.h"
#include "engine/config/config.h"
#include "engine/deployed/deployment_plan.h"
#include "engine/methods/method.h"
#include "engine/model/bit_summary.h"
#include "engine/model/model_snapshot.h"
#include "engine/run/console.h"
#include "engine/run/progress.h"
#include "engine/run/request.h"
#include "engine/run/run_directory.h"
#include "engine/training/calibrator.h"
#include "engine/training/lsq_ceilings.h"
#include "engine/training/data_fingerprint.h"
#include "engine/training/evaluator.h"
#include "engine/training/training_step.h"
#include "engine/training/weight_average.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <functional>

namespace bsq {

/// A network whose blocks have this activation, quantized to act_bits (0: not).
using NetworkFactory = std::function<Network(Activation activation, int act_bits)>;

/// What every stage of an experiment shares. References outlive the stages.
struct StageContext {
  const Config& config;
  Backend& backend;
  DType dtype = DType::f32;
  NetworkFactory make_network;
  BatchSource& train;
  BatchSource& test;
  BatchSource* holdout;      // what the best epoch is chosen on; null: the test set
  BatchSource* calibration;  // the training set once more, if activation scales are calibrated; else null
  InputOptions input;
  DataFingerprint data;          // for every checkpoint
  const FrozenNetwork* teacher;  // of the stages that learn from one; null: nobody teaches
  std::string teacher_hash;      // for every checkpoint; empty: nobody teaches
  ModelCard card;                // of every model file
  Communicator& communicator;
};

/// Where a stage writes. Rank 0 alone writes: what the other ranks have here drops everything. A dry run has none.
struct StageOutput {
  RunDirectory& directory;
  RunLog& log;
  Console& console;
  RequestPoll poll;
};

/// What a checkpoint in the middle of a stage holds beside the model; null at the start of a stage, and what it does
/// not have.
struct ResumedFiles {
  const TensorFile* momentum = nullptr;
  const TensorFile* average = nullptr;
};

enum class StageOutcome { done, stopped };

class Stage {
 public:
  /// `start`: the model to begin with, in any form, or null for start values. Plans all memory.
  Stage(const StageContext& context, const std::string& name, int index, const TensorFile* start);

  const std::string& name() const { return name_; }
  bool trains() const { return settings_ != nullptr; }
  Model& model() { return model_; }
  const DeviceMemory& memory() const { return memory_; }
  BitSummary bit_summary() const;
  /// By slot, the most bits that it comes to in this stage.
  std::vector<int> largest_bits() const;
  /// The model as this stage hands it on, in the form of its method's results.
  TensorFile save_result() const;
  /// Evaluates the weights as they are, once until they change, or the average of them where the stage has one; and
  /// then the weights too. If the configuration wants calibrated activation scales, they are found first; if it wants
  /// the arithmetic of deployment, what is float is put on its integers.
  EvalResult evaluate();
  /// Whether activation scales are calibrated here, so that the maximum of each batch would give another result.
  bool calibrates() const { return calibrator_ != nullptr; }
  EvalResult evaluate_by_batch_max() { return evaluator_.run(ActScale::batch_max); }
  /// Whether it learns from a teacher beside the labels.
  bool distills() const { return step_ != nullptr && step_->teacher() != nullptr; }
  /// Whether a moving average of its weights is evaluated and handed on.
  bool has_average() const { return average_ != nullptr; }
  /// What a rank hands over in every step.
  ReducedBytes reduced_bytes() const { return step_ == nullptr ? ReducedBytes{} : step_->reduced_bytes(); }
  /// One step on the first batch, for dry runs; returns its metrics.
  StepMetrics try_step();

  /// Goes on from `progress` and `resumed` to the end or until stopped; then a checkpoint has been written. Checkpoints
  /// on the way are written from snapshots, by a thread, while training goes on, one at a time; what goes wrong there
  /// is thrown from here, at the latest before the next one or the end.
  StageOutcome run(Progress& progress, const ResumedFiles& resumed, StageOutput& output);

 private:
  EvalResult measure();
  void load(const ResumedFiles& resumed, const StageOutput& output);
  /// Whether the average stands beside the weights, which training moves on.
  bool averages() const { return average_ != nullptr && !is_average_; }
  /// The average takes the place of the weights for good: the stage hands it on.
  void take_average();
  StageOutcome train_epoch(Progress& progress, StageOutput& output);
  std::vector<std::int32_t> order_of(int epoch) const;
  /// The order that was drawn ahead for this epoch, or else order_of(epoch).
  std::vector<std::int32_t> take_order(int epoch);
  /// Plans the rest of the epoch, from the step that it has come to.
  void plan_steps(const Progress& progress);
  /// Where a window of steps ended whose metrics are still to be read.
  struct Window {
    std::int64_t end = 0;
    std::unique_ptr<Marker> marker;
  };
  void read_finished_metrics(Window& window, Progress& progress, const StageOutput& output);
  void collect_metrics(std::int64_t end, const Marker* marker, Progress& progress, const StageOutput& output);
  /// Notes what the model has come to after so many epochs.
  void log_state(int epochs_over, const StageOutput& output) const;
  void finish_epoch(Progress& progress, StageOutput& output);
  /// Puts the method where it was when the checkpoint was written that the run goes on from.
  void calibrate();
  void restore_method(const Progress& progress, const StageOutput& output);
  /// What the method does and says before the steps of an epoch.
  void start_epoch(Progress& progress, StageOutput& output);
  void adjust(Progress& progress, StageOutput& output, bool is_end);
  void write_note(const Progress& progress, StageOutput& output) const;
  /// Whether the model is the best so far: then it is to be written.
  void keep_best(Progress& progress);
  /// Begins to write the place in the run to its status.
  void begin_status(const Progress& progress, StageOutput& output);
  /// Waits for what threads write; throws what went wrong there.
  void wait_for_files();
  /// Begins to write a new best model, if there is one, and a checkpoint, if it is wanted.
  void write_files(Progress& progress, StageOutput& output, bool with_checkpoint);
  /// Writing of a snapshot, on the thread that writes: it reads nothing that training changes.
  void write_best(const ModelState& state, const nlohmann::json& description,
                  const std::filesystem::path& checkpoints) const;
  void write_checkpoint(const ModelState& state, const ModelState* average, const Progress& progress,
                        const std::filesystem::path& checkpoints) const;
  void log_weights(int epoch, const StageOutput& output) const;
  void log_holdout(int epoch, const StageOutput& output) const;
  std::string accuracy_text(const Progress& progress, const EvalResult& result) const;
  ActScale act_scale() const { return calibrates() ? ActScale::calibrated : ActScale::batch_max; }
  [[noreturn]] void report_divergence(const Progress& progress, const StageOutput& output, std::int64_t step,
                                      double loss);
  /// Throws Error(device) unless all ranks hold the same model.
  void check_ranks(const Progress& progress, std::string_view after) const;
  /// The card of this stage's model files.
  ModelCard card() const;
  TensorFile save_result(const ModelState& state) const;

  const StageContext& context_;
  std::string name_;
  int index_;
  const StageConfig* settings_;  // null if the stage does not train
  std::unique_ptr<Method> method_;
  int act_bits_;
  Activation activation_;
  DeviceMemory memory_;
  Model model_;
  Batches batches_;                         // of an epoch
  std::unique_ptr<WeightAverage> average_;  // null if the stage has none
  bool is_average_ = false;                 // the model is the average
  std::unique_ptr<TrainingStep> step_;      // null if the stage does not train
  Evaluator evaluator_;
  std::unique_ptr<Evaluator> holdout_evaluator_;  // null: nothing is held out, or nothing is trained
  std::vector<ParameterId> missing_ceilings_;     // that the model to start from does not have
  std::unique_ptr<Calibrator> calibrator_;        // null if scales are those of each batch
  std::optional<DeploymentPlan> deployment_;      // of a stage under the arithmetic of deployment
  std::optional<EvalResult> latest_result_;
  std::optional<EvalResult> holdout_result_;  // likewise, on the images held out
  std::optional<EvalResult> weights_result_;  // of the weights beside the average
  /// The order of the next epoch, drawn while the device is still at work on this one.
  struct DrawnOrder {
    int epoch = 0;
    std::vector<std::int32_t> order;
  };
  std::optional<DrawnOrder> drawn_;
  double waited_before_ = 0;                         // seconds for images, when this epoch began
  std::optional<nlohmann::json> new_best_;           // its state.json; the model is to be written
  std::unique_ptr<ModelSnapshot> snapshot_;          // null if the stage does not train, and on ranks that do not write
  std::unique_ptr<ModelSnapshot> average_snapshot_;  // null too if the stage has no average
  Background status_;                                // of the run, written by a thread as well
  Background writer_;                                // last: it ends before what it reads
};

/// The state.json of a checkpoint that a run can go on from.
nlohmann::json resumable_state(const StageContext& context, const std::string& stage, const Progress& progress);
/// How many epochs the stages before the one of this index have.
int epochs_before(const Config& config, int stage);
/// The activation of this name. Throws Error(usage) if there is none.
Activation activation_from_name(const std::string& name);

/// How the images of a batch become the input of a network in training: normalised, with the crops and flips of the
/// stage at this place of the chain.
AugmentRule training_input(const Config& config, const InputOptions& input, int stage);

}  // namespace bsq
