// What a run directory says about its run: read from its logs and checkpoints while it is going on or afterwards.
//
//     run_report.cpp      reading
//     start_model.cpp     the model that the run began with
//     report_tables.cpp   the tables
//     report_figures.cpp  the figures
//     report_files.cpp    the files: summary.json, every table as CSV, every figure as SVG, all of it as index.html
#pragma once

#include "engine/config/config.h"
#include "engine/model/bit_budget.h"
#include "engine/model/bit_summary.h"
#include "engine/model/layer_cost.h"
#include "engine/run/run_directory.h"
#include "engine/run/run_log.h"
#include "tools/report/level_counts.h"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bsq {

/// The result of a finished stage.
struct StageResult {
  double test_top1 = 0;  // percent, at its end
  double test_top5 = 0;
  double test_loss = 0;
  std::optional<double> best_top1;  // of the epochs since the last re-quantization
  int best_epoch = 0;
  std::optional<double> best_holdout_top1 = {};  // of that epoch, which was chosen by it; nothing: by the test set
  std::int64_t holdout_images = 0;
  double bits_per_parameter = 0;
  std::optional<double> stored_bits;  // per parameter; unknown of runs of older versions whose model is gone
  double compression = 0;
  double compression_without_empty = 0;
  double compression_everything = 0;
  double peak_resident_mib = 0;
};

/// How a stage under a budget of bits stood at the beginning of an epoch; bits are in the count of the budget.
struct BudgetRow {
  int epoch = 0;  // how many were over
  double bits_now = 0;
  double bits_planned = 0;
  std::optional<double> alpha;  // the strength of the penalty, if one comes to the budget by it
  bool is_met = false;
  int removed = 0;  // planes that went then
};

struct BudgetReport {
  double bits = 0;         // the budget
  std::string count = {};  // what it counts, `stored`; empty: an older version did not say
  std::string words = {};  // in which it was given; empty: in bits
  std::vector<BudgetRow> epochs;
  std::optional<double> bits_at_end;
  double bits_trained = 0;                                // at the end, before planes were removed
  std::vector<std::pair<std::string, int>> removed = {};  // planes, by tensor

  /// What its bits are called: `bits per weight`.
  std::string_view unit() const;
  /// `4 bits per weight`, and the words.
  std::string text() const;
};

struct StageReport {
  std::string name;
  int planned_epochs = 0;
  int epochs = 0;                        // done
  std::int64_t steps = 0;                // of these epochs
  double train_seconds = 0;              // likewise, without evaluation
  double train_images = 0;               // likewise
  std::string form;                      // the StoredWeights::form() of the weights that it trains; empty: not started
  std::int64_t quantizable_weights = 0;  // 0: no model can tell
  std::int64_t trainable_numbers = 0;
  std::int64_t planned_bytes = 0;
  std::optional<BudgetReport> budget;
  std::optional<StageResult> result;    // once it is done
  std::uintmax_t file_bytes = 0;        // of its model
  std::uintmax_t float_file_bytes = 0;  // what its network takes in float32

  bool is_float() const { return form == kFloatForm; }
  /// Time of a step without evaluation; nothing until an epoch is done.
  std::optional<double> seconds_per_step() const;
  /// What a step must move at least to make and update weights, in float32: 20 bytes per trainable number (each is read
  /// to make weights, read and written with its momentum), and 8 per quantizable weight, written once and read once as
  /// a gradient. Float weights are not made, but are what is trained: 20 bytes each. Nothing if the stage does not
  /// train, or if the network is not known.
  std::optional<double> weight_bytes_per_step() const;
};

/// What a model comes to in integers, on the test set.
struct DeployedAccuracy {
  double top1 = 0;  // percent
  double top5 = 0;
  double loss = 0;
  std::vector<std::string> rounded = {};  // filters of more levels than integers have
};

/// The accuracy of a float model, and where it is from.
struct FloatAccuracy {
  double top1 = 0;   // percent, the best
  std::string from;  // the stage of the run; or model.init
};

/// The model that a run began with.
struct StartModel {
  std::optional<double> float_top1 = {};  // percent, of the float model that it is or comes from
  std::string kind = {};                  // the same for models that differ in nothing but seeds; empty: not known
};

struct RunReport {
  std::filesystem::path path;
  Config config;
  RunStatus status;
  bool alive = false;  // a process is writing it now
  nlohmann::json environment;
  std::vector<StageReport> stages;  // one per stage that the configuration lists
  std::vector<EpochRow> epochs;
  std::vector<PrecisionRow> history;         // every tensor at every re-quantization
  std::optional<BitSummary> bit_summary;     // of the model to use
  std::string model;                         // its folder in checkpoints/
  std::optional<DeployedAccuracy> deployed;  // of that model
  std::uintmax_t model_bytes = 0;
  LevelCounts level_counts;              // of that model
  std::vector<LayerCost> layer_costs;    // likewise
  std::vector<std::string> class_names;  // likewise, if it has any
  StartModel start;                      // what model.init is, where its run is known
  std::string command;                   // one line per start or resume

  /// `done`, `running`, `interrupted (exit 143)`, `failed (exit 6)` or `crashed`.
  std::string state() const;
  /// The best accuracy of a stage, or the accuracy at its end if it does not train; nothing until it is done.
  std::optional<double> top1_of(const std::string& stage) const;
  /// The accuracy of the float model: the best one of the last finished stage that trains float weights, or that of
  /// the model that the run began with.
  std::optional<FloatAccuracy> float_accuracy() const;
  /// The last finished stage, or null.
  const StageReport* last_done() const;
};

/// What a run costs: means over all stages that train, the largest memory and count of numbers.
struct Cost {
  std::optional<double> seconds_per_epoch;
  std::optional<double> images_per_second;
  std::optional<double> peak_mib;
  std::int64_t trainable_numbers = 0;
};
Cost cost_of(const RunReport& report);

/// How many epochs the stages before this one have done.
int epochs_before(const RunReport& report, const std::string& stage);

/// What the logs of a run say, without its models and where it began. Throws like read_run_report().
RunReport read_run_logs(const std::filesystem::path& run);
/// Throws Error(usage) if there is no run, Error(checkpoint) if its files are damaged.
RunReport read_run_report(const std::filesystem::path& run);

/// All tables of one run.
std::string report_text(const RunReport& report);
/// One row per run.
std::string comparison_text(const std::vector<RunReport>& reports);

nlohmann::ordered_json report_json(const RunReport& report);
/// Writes all files of the report of one run; if one cannot be written, all stay as they were.
void write_report_files(const RunReport& report, const std::filesystem::path& folder);

}  // namespace bsq
