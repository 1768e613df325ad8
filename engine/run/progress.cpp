// Progress to and from state.json; nlohmann's doubles come back bit for bit.
#include "engine/run/progress.h"

#include "engine/files/json.h"
#include "kernels/base/error.h"

namespace bsq {
namespace {

constexpr std::int64_t kMostCounted = std::int64_t{1} << 53;  // beyond any run, and sums of two of them still fit

}  // namespace

void EpochTotals::add(const StepMetrics& metrics) {
  loss_sum += metrics.loss_sum;
  penalty_sum += metrics.penalty;
  top1 += metrics.top1;
  samples += metrics.samples;
  ++steps;
}

nlohmann::json to_json(const Progress& progress) {
  const EpochTotals& totals = progress.totals;
  nlohmann::json json = {
      {"stage", progress.stage},
      {"epoch", progress.epoch},
      {"step", progress.step},
      {"total_steps", progress.total_steps},
      {"total_epochs", progress.total_epochs},
      {"totals",
       {{"loss_sum", totals.loss_sum},
        {"penalty_sum", totals.penalty_sum},
        {"top1", totals.top1},
        {"samples", totals.samples},
        {"steps", totals.steps},
        {"seconds", totals.seconds}}},
      {"best_epoch", progress.best_epoch},
      {"stage_seconds", progress.stage_seconds},
      {"logs",
       {{"metrics_bytes", progress.logs.metrics_bytes},
        {"csv_bytes", progress.logs.csv_bytes},
        {"precision_bytes", progress.logs.precision_bytes}}},
  };
  if (progress.best_top1) json["best_top1"] = *progress.best_top1;
  if (progress.best_holdout_top1) json["best_holdout_top1"] = *progress.best_holdout_top1;
  if (!progress.method.is_null()) json["method"] = progress.method;
  return json;
}

Progress progress_from_json(const nlohmann::json& json, const std::string& where) {
  Progress progress;
  try {
    progress.stage = json_count(json.at("stage"));
    progress.epoch = json_count(json.at("epoch"));
    progress.step = json_count(json.at("step"), kMostCounted);
    progress.total_steps = json_count(json.at("total_steps"), kMostCounted);
    progress.total_epochs = json_count(json.at("total_epochs"));
    const auto& totals = json.at("totals");
    totals.at("loss_sum").get_to(progress.totals.loss_sum);
    totals.at("penalty_sum").get_to(progress.totals.penalty_sum);
    progress.totals.samples = json_count(totals.at("samples"), kMostCounted);
    progress.totals.top1 = json_count(totals.at("top1"), progress.totals.samples);
    progress.totals.steps = json_count(totals.at("steps"), progress.step);
    progress.totals.seconds = json_measure(totals.at("seconds"));
    if (json.contains("best_top1")) progress.best_top1 = json_measure(json.at("best_top1"), 100);
    if (json.contains("best_holdout_top1"))
      progress.best_holdout_top1 = json_measure(json.at("best_holdout_top1"), 100);
    progress.best_epoch = json_count(json.at("best_epoch"));
    progress.stage_seconds = json_measure(json.at("stage_seconds"));
    if (json.contains("method")) progress.method = json.at("method");
    const auto& logs = json.at("logs");
    progress.logs.metrics_bytes = json_count(logs.at("metrics_bytes"), kMostCounted);
    progress.logs.csv_bytes = json_count(logs.at("csv_bytes"), kMostCounted);
    progress.logs.precision_bytes = json_count(logs.at("precision_bytes"), kMostCounted);
    if ((progress.totals.steps == 0) != (progress.totals.samples == 0)) throw JsonError("steps without images");
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::checkpoint, "{}: state.json is damaged ({}); take an older checkpoint", where, error.what());
  }
  return progress;
}

}  // namespace bsq
