// Reading a run: events and rows of its logs, the model to use.
#include "tools/report/run_report.h"

#include "engine/files/json.h"
#include "engine/files/checkpoint_dir.h"
#include "engine/files/posix_file.h"
#include "kernels/base/error.h"
#include "tools/report/deployed_accuracy.h"
#include "tools/report/start_model.h"
#include "tools/session/config_schema.h"
#include "tools/session/open_model.h"
#include "tools/session/run_files.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <sstream>

namespace bsq {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Beyond any run; sums over all stages still fit.
constexpr int kMostEpochs = 100'000'000;
constexpr std::int64_t kMostSteps = std::int64_t{1} << 53;

/// Calls `read` with every whole line; the last may still be half written. A file that is not there has no lines.
void for_each_line(const fs::path& file, const std::function<void(const std::string&)>& read) {
  std::error_code ignored;
  if (!fs::exists(file, ignored)) return;
  const std::string text = read_text_file(file, ErrorKind::checkpoint);
  std::istringstream stream(text.substr(0, text.rfind('\n') + 1));
  int number = 0;
  for (std::string line; std::getline(stream, line);) {
    ++number;
    try {
      read(line);
    } catch (const std::exception& error) {
      fail(ErrorKind::checkpoint, "{}:{}: the log is damaged ({})", file.string(), number, error.what());
    }
  }
}

int epochs_of(const Config& config, const std::string& stage) {
  const StageConfig* settings = config.find_stage(stage);
  return settings == nullptr ? 0 : settings->epochs;
}

/// The number that a text is as a whole; NaN and infinity are texts in a log.
template <typename T>
T number_in(const std::string& text, const char* name) {
  T value{};
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size())
    throw JsonError(fmt::format("{} is '{}', which is no such number", name, text.substr(0, 40)));
  return value;
}

double number_of(const json& value, const char* name) {
  return value.is_string() ? number_in<double>(value.get<std::string>(), name) : value.get<double>();
}

StageResult result_of(const json& event) {
  const auto number = [&](const char* key) { return number_of(event.at(key), key); };
  StageResult result{.test_top1 = number("test_top1"),
                     .test_top5 = number("test_top5"),
                     .test_loss = number("test_loss"),
                     .best_top1 = {},
                     .best_epoch = event.contains("best_epoch") ? json_count(event.at("best_epoch")) : 0,
                     .bits_per_parameter = number("bits_per_parameter"),
                     .stored_bits = {},
                     .compression = number("compression"),
                     .compression_without_empty = number("compression_without_empty"),
                     .compression_everything = number("compression_on_disk"),
                     .peak_resident_mib = number("peak_resident_mib")};
  if (event.contains("stored_bits_per_parameter")) result.stored_bits = number("stored_bits_per_parameter");
  if (event.contains("best_top1")) result.best_top1 = number("best_top1");
  if (event.contains("best_holdout_top1")) {
    result.best_holdout_top1 = number("best_holdout_top1");
    result.holdout_images = json_count<std::int64_t>(event.at("holdout_images"));
  }
  return result;
}

/// A line of a stage under a budget: of an epoch, or of its end.
void read_budget(const json& event, BudgetReport& budget) {
  const auto number = [&](const char* key) { return number_of(event.at(key), key); };
  budget.bits = number("budget_bits");
  budget.count = event.value("budget_count", "");
  budget.words = event.value("budget_words", "");
  if (!event.contains("bits_trained")) {
    budget.epochs.push_back({.epoch = json_count(event.at("epoch"), kMostEpochs),
                             .bits_now = number("bits_now"),
                             .bits_planned = number("bits_planned"),
                             .alpha = event.contains("alpha") ? std::optional(number("alpha")) : std::nullopt,
                             .is_met = event.at("is_met")});
    if (!event.contains("removed_planes")) return;  // other methods, older versions
    for (const auto& [tensor, planes] : event.at("removed_planes").items())
      budget.epochs.back().removed += json_count(planes, kMaxBits);
    return;
  }
  budget.bits_at_end = number("bits_now");
  budget.bits_trained = number("bits_trained");
  for (const auto& [tensor, planes] : event.at("removed_planes").items())
    budget.removed.emplace_back(tensor, json_count(planes, kMaxBits));
}

StageReport* find_stage(RunReport& report, const std::string& name) {
  const auto found = std::find_if(report.stages.begin(), report.stages.end(),
                                  [&](const StageReport& stage) { return stage.name == name; });
  return found == report.stages.end() ? nullptr : &*found;
}

void read_events(RunReport& report) {
  for_each_line(report.path / "metrics.jsonl", [&](const std::string& line) {
    const json event = parse_json(line);
    StageReport* stage = find_stage(report, event.value("stage", ""));
    if (stage == nullptr) return;
    if (event.at("event") == "stage_start") {
      stage->form = event.at("form");
      stage->trainable_numbers = json_count<std::int64_t>(event.at("trainable_numbers"));
      stage->planned_bytes = json_count<std::int64_t>(event.at("planned_bytes"));
    }
    if (event.at("event") == "budget") {
      if (!stage->budget) stage->budget.emplace();
      read_budget(event, *stage->budget);
    }
    if (event.at("event") == "stage_end") stage->result = result_of(event);
  });
}

void read_epochs(RunReport& report) {
  std::vector<std::string> header;
  std::int64_t steps = 0;  // of the run
  for_each_line(report.path / "metrics.csv", [&](const std::string& line) {
    std::vector<std::string> cells;
    std::istringstream stream(line);
    for (std::string cell; std::getline(stream, cell, ',');) cells.push_back(cell);
    if (header.empty()) {
      header = cells;
      return;
    }
    const auto cell = [&](const char* name) {
      const auto column = static_cast<std::size_t>(std::find(header.begin(), header.end(), name) - header.begin());
      if (column >= cells.size()) throw JsonError(fmt::format("it has no cell {}", name));
      return cells[column];
    };
    const auto number = [&](const char* name) { return number_in<double>(cell(name), name); };
    const EpochRow row{.stage = cell("stage"),
                       .epoch = json_count(number_in<int>(cell("epoch"), "epoch"), kMostEpochs),
                       .step = json_count(number_in<std::int64_t>(cell("step"), "step"), kMostSteps),
                       .learning_rate = number("learning_rate"),
                       .train_loss = number("train_loss"),
                       .train_penalty = number("train_penalty"),
                       .train_top1 = number("train_top1"),
                       .test_loss = number("test_loss"),
                       .test_top1 = number("test_top1"),
                       .test_top5 = number("test_top5"),
                       .bits_per_parameter = number("bits_per_parameter"),
                       .compression = number("compression"),
                       .images_per_second = number("images_per_second"),
                       .seconds = number("seconds")};
    if (StageReport* stage = find_stage(report, row.stage)) {
      stage->epochs = row.epoch;
      stage->steps += std::max<std::int64_t>(row.step - steps, 0);
      stage->train_seconds += row.seconds;
      stage->train_images += row.images_per_second * row.seconds;
    }
    steps = row.step;
    report.epochs.push_back(row);
  });
}

void read_history(RunReport& report) {
  for_each_line(report.path / "precision.jsonl", [&](const std::string& line) {
    const json row = parse_json(line);
    report.history.push_back({.stage = row.at("stage"),
                              .epoch = json_count(row.at("epoch")),
                              .layer = row.at("layer"),
                              .bits_before = json_count(row.at("bits_before"), kMaxBits),
                              .bits_after = json_count(row.at("bits_after"), kMaxBits),
                              .scale = row.at("scale"),
                              .density = row.at("density")});
  });
}

/// Reads the model of the last finished stage: the best one if the stage trained.
void read_model_files(RunReport& report) {
  std::error_code ignored;
  for (StageReport& stage : report.stages) {
    if (!stage.result) continue;
    for (const std::string& name : {stage.name + "_best", stage.name}) {
      const fs::path file = report.path / "checkpoints" / name / "model.safetensors";
      if (!fs::exists(file, ignored)) continue;
      ModelFile read = describe_model(read_safetensors(file));
      const Quantizer quantizer = quantizer_of(read.card);
      const OpenModel model = open_model(std::move(read), quantizer);
      const BitSummary summary = summarize_bits(*model.weights, model.network);
      stage.file_bytes = fs::file_size(file);
      if (!stage.result->stored_bits) stage.result->stored_bits = summary.stored_bits_per_parameter();
      stage.float_file_bytes = static_cast<std::uintmax_t>(summary.float_bytes);
      report.bit_summary = summary;
      report.model = name;
      report.model_bytes = stage.file_bytes;
      report.level_counts = count_levels(model);
      report.class_names = model.card.class_names.value_or(std::vector<std::string>());
      report.layer_costs = layer_costs(summary, model.network);
      for (StageReport& any : report.stages) any.quantizable_weights = summary.parameters;
      break;
    }
  }
}

}  // namespace

std::string_view BudgetReport::unit() const {
  for (const BudgetCount known : {BudgetCount::bops, BudgetCount::file})
    if (count == BitBudget{.count = known}.count_name()) return unit_of(known);
  return unit_of(BudgetCount::published);
}

std::string BudgetReport::text() const {
  return fmt::format("{:g} {}{}", bits, unit(), words.empty() ? "" : fmt::format(" ({})", words));
}

std::optional<double> StageReport::seconds_per_step() const {
  if (steps == 0 || train_seconds <= 0) return std::nullopt;
  return train_seconds / static_cast<double>(steps);
}

std::optional<double> StageReport::weight_bytes_per_step() const {
  if (planned_epochs == 0 || form.empty() || quantizable_weights == 0) return std::nullopt;
  const double made = is_float() ? 0 : static_cast<double>(quantizable_weights);
  return 20 * static_cast<double>(trainable_numbers) + 8 * made;
}

std::string RunReport::state() const {
  const std::string name(name_of(status.state));
  if (status.state == RunState::done) return name;
  if (status.state == RunState::running) return alive ? name : "crashed";
  return fmt::format("{} (exit {})", name, status.exit_code);
}

std::optional<double> RunReport::top1_of(const std::string& name) const {
  for (const StageReport& stage : stages)
    if (stage.name == name && stage.result) return stage.result->best_top1.value_or(stage.result->test_top1);
  return std::nullopt;
}

std::optional<FloatAccuracy> RunReport::float_accuracy() const {
  std::optional<FloatAccuracy> found;
  for (const StageReport& stage : stages)
    if (stage.result && stage.is_float()) found = {*top1_of(stage.name), stage.name};
  if (!found && start.float_top1) found = {*start.float_top1, "model.init"};
  return found;
}

const StageReport* RunReport::last_done() const {
  const StageReport* last = nullptr;
  for (const StageReport& stage : stages)
    if (stage.result) last = &stage;
  return last;
}

Cost cost_of(const RunReport& report) {
  Cost cost;
  double seconds = 0, images = 0;
  int epochs = 0;
  for (const StageReport& stage : report.stages) {
    seconds += stage.train_seconds;
    images += stage.train_images;
    epochs += stage.epochs;
    if (stage.planned_epochs > 0) cost.trainable_numbers = std::max(cost.trainable_numbers, stage.trainable_numbers);
    if (stage.result) cost.peak_mib = std::max(cost.peak_mib.value_or(0), stage.result->peak_resident_mib);
  }
  if (epochs > 0 && seconds > 0) {
    cost.seconds_per_epoch = seconds / epochs;
    cost.images_per_second = images / seconds;
  }
  return cost;
}

int epochs_before(const RunReport& report, const std::string& name) {
  int epochs = 0;
  for (const StageReport& stage : report.stages) {
    if (stage.name == name) break;
    epochs += stage.epochs;
  }
  return epochs;
}

RunReport read_run_logs(const fs::path& run) {
  RunReport report;
  report.path = run;
  report.config = load_config(config_schema(), run / "config.yaml");
  report.status = read_run_status(run);
  report.alive = is_being_written(run).value_or(true);  // where nobody knows, the run's own word counts
  for (const std::string& name : report.config.stages) {
    StageReport stage;
    stage.name = name;
    stage.planned_epochs = epochs_of(report.config, name);
    report.stages.push_back(stage);
  }
  std::error_code ignored;
  if (fs::exists(run / "command.txt", ignored))
    report.command = read_text_file(run / "command.txt", ErrorKind::checkpoint);
  report.environment = parse_json_or_discard(read_text_file(run / "env.json", ErrorKind::checkpoint));
  read_events(report);
  read_epochs(report);
  read_history(report);
  return report;
}

RunReport read_run_report(const fs::path& run) {
  RunReport report = read_run_logs(run);
  read_model_files(report);
  report.start = start_of(report);
  report.deployed = read_deployed_accuracy(report);
  return report;
}

}  // namespace bsq
