// The machine-readable logs of a run, append-only, each line written at once:
//
//     metrics.jsonl    one object per event: {["schema":1,] "event":..., fields..., "t":"2026-01-31T12:00:00.000Z"}
//       stage_start    stage, form (StoredWeights::form() of what it trains), parameters, trainable_numbers,
//                      planned_bytes, ranks, gradient_bytes_per_step, statistics_bytes_per_step (what a rank hands
//                      over; 0 if it is alone)
//                      Of a stage that learns from a teacher also teacher (its path), teacher_hash, teacher_weight and
//                      temperature; of one with an average of the weights ema
//       step           stage, epoch (from 1), step (from 1, of the epoch), loss (mean of the batch, as in EpochRow),
//                      penalty (R, without alpha); every log.every_steps steps
//       weights        of a stage with an average of the weights, after an epoch: stage, epoch, test_loss, test_top1,
//                      test_top5 of the weights themselves
//       holdout        with data.holdout, after an epoch: stage, epoch, holdout_loss, holdout_top1, holdout_top5,
//                      holdout_images (how many are held out)
//       state          stage, epoch (how many are over), state_hash: 64 bits over weights, momentum, running
//                      statistics, activation scales, the average and the state of the method after the epoch
//       requant        stage, epoch (how many are over), bits_before and bits_after (per quantizable parameter),
//                      compression
//       budget         of a stage under a budget of bits, at the beginning of an epoch: stage, epoch (how many are
//                      over), budget_bits, budget_count (what they are, as in the configuration, or file), budget_words
//                      (if it was given as a ratio or in bytes), bits_now (that the weights have, or a re-quantization
//                      would give), bits_planned (for the end of the epoch), is_met; of bsq error and integral (of the
//                      controller, METHOD 15), alpha and removed_planes (now, by tensor), of lsq sensitivities (of the
//                      epoch that is over, by tensor) and taken_bits (now, by tensor; METHOD 13). At the end of the
//                      stage (lsq: if it was not met): stage, epoch, the three of the budget, bits_now, bits_trained
//                      (before planes were removed), removed_planes (by tensor), is_met (before)
//       stage_end      stage, test_top1, test_top5 (percent), test_loss, test_images, best_top1 and best_epoch (of the
//                      epochs since the last re-quantization; with data.holdout the one of best_holdout_top1, of
//                      holdout_images images), bits_per_parameter, stored_bits_per_parameter (sign and
//                      scale counted, an empty layer as 0 bits), compression (the paper's rule),
//                      compression_without_empty (empty layers at 0 bits), compression_on_disk (all counted),
//                      trainable_numbers, model_hash (64 bits over the tensors that it hands on), planned_bytes,
//                      peak_resident_mib, seconds (of its epochs)
//     metrics.csv      one row per epoch, columns as in EpochRow
//     precision.jsonl  one JSON object per layer and re-quantization, fields as in PrecisionRow
//     tb/              event files for TensorBoard, if log.tensorboard is set: the configuration as a text, and of
//                      every epoch train/loss, train/reg (R), train/top1, val/loss, val/top1 (of the test set),
//                      optim/lr, quant/bits_per_parameter, quant/compression, perf/images_per_second; of every layer
//                      layers/<layer>/bits if log.tensorboard_layers is set. The step is the epoch, counted from 1
//                      over all stages.
//
// NaN and infinity are the strings "NaN", "Infinity", "-Infinity" in JSON. Everything measured with a clock stands last
// in its line, so that two runs compare by what comes before. A checkpoint stores position(); resuming cuts the files
// back to it, since a killed run may have written on beyond its last checkpoint. So what lies before it has to be on
// the disk, by sync(), before the checkpoint is complete.
#pragma once

#include "engine/files/posix_file.h"
#include "engine/files/tensorboard.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bsq {

struct LogPosition {
  std::int64_t metrics_bytes = 0;
  std::int64_t csv_bytes = 0;
  std::int64_t precision_bytes = 0;
  friend bool operator==(const LogPosition&, const LogPosition&) = default;
};

/// A row of metrics.csv; what was not measured in an epoch is an empty cell.
struct EpochRow {
  std::string stage;
  int epoch = 0;  // counts from 1 within the stage
  std::int64_t step = 0;
  double learning_rate = 0;
  double train_loss =
      0;  // mean of what is minimized: cross entropy, with label smoothing and a teacher's part if they are there
  double train_penalty = 0;         // R, the penalty of the method without its factor; 0 if it has none
  double train_top1 = 0;            // percent, as all accuracies
  std::optional<double> test_loss;  // of the average of the weights where the stage has one, as the other two
  std::optional<double> test_top1;
  std::optional<double> test_top5;
  std::optional<double> bits_per_parameter;
  std::optional<double> compression;
  double images_per_second = 0;
  double seconds = 0;

  // For TensorBoard alone.
  std::int64_t epoch_of_run = 0;                             // counts from 1 over all stages: the step axis
  std::vector<std::pair<std::string, int>> layer_bits = {};  // log.tensorboard_layers
};

/// A line of precision.jsonl: one tensor at one re-quantization.
struct PrecisionRow {
  std::string stage;
  int epoch = 0;
  std::string layer;
  int bits_before = 0;
  int bits_after = 0;
  double scale = 0;
  std::vector<double> density;  // percent of ones of each plane that is left, the most significant first
};

/// The lines of a log that is in no file.
struct LogLines {
  std::vector<std::string> metrics;
  std::vector<std::string> csv;  // the first is the header
  std::vector<std::string> precision;
};

class RunLog {
 public:
  /// Starts the three files in a fresh run directory. Throws Error(checkpoint) as all members do, naming the file.
  static RunLog create(const std::filesystem::path& folder);
  /// Cuts the files back to `position` and goes on; refuses files that are missing or shorter.
  static RunLog resume(const std::filesystem::path& folder, const LogPosition& position);
  /// Copies the files of another run up to a position into a fresh run directory, for resume().
  static void copy(const std::filesystem::path& from, const LogPosition& position, const std::filesystem::path& folder);
  /// The log of a rank that does not write: it drops everything.
  static RunLog nowhere() { return RunLog(); }
  /// The log of a run that is repeated for the sake of comparison: its lines go to `lines`, which outlives it.
  static RunLog in_memory(LogLines& lines);
  bool is_in_memory() const { return metrics_.lines != nullptr; }
  /// Whether nobody will ever read it.
  bool drops_all() const { return !metrics_.file && !is_in_memory(); }
  /// From now on epochs go to this board as well.
  void add(TensorBoard board) { board_ = std::move(board); }

  /// Adds `fields` (an object) under the name `event` ("epoch", "eval", "requant", ...).
  void event(std::string_view event, nlohmann::ordered_json fields = nlohmann::ordered_json::object());
  void epoch(const EpochRow& row);
  void precision(const PrecisionRow& row);

  /// The ends of the files.
  LogPosition position() const;
  /// Returns once everything written so far is on the disk. Another thread may wait for that while this one writes on.
  void sync();

 private:
  struct LogFile {
    std::optional<PosixFile> file;
    std::int64_t size_bytes = 0;
    std::vector<std::string>* lines = nullptr;  // in the place of a file
  };
  RunLog() = default;
  explicit RunLog(const std::filesystem::path& folder);
  static void append(LogFile& log, std::string_view line);

  LogFile metrics_;
  LogFile csv_;
  LogFile precision_;
  std::optional<TensorBoard> board_;
};

/// The JSON text of one line, non-finite numbers as strings, without the newline.
std::string json_line(nlohmann::ordered_json record);

}  // namespace bsq
