// Progress to and from state.json; nlohmann's doubles come back bit for bit.
#include "engine/run/progress.h"

#include "kernels/base/error.h"

namespace bsq {

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
  return json;
}

Progress progress_from_json(const nlohmann::json& json, const std::string& where) {
  Progress progress;
  try {
    json.at("stage").get_to(progress.stage);
    json.at("epoch").get_to(progress.epoch);
    json.at("step").get_to(progress.step);
    json.at("total_steps").get_to(progress.total_steps);
    json.at("total_epochs").get_to(progress.total_epochs);
    const auto& totals = json.at("totals");
    totals.at("loss_sum").get_to(progress.totals.loss_sum);
    totals.at("penalty_sum").get_to(progress.totals.penalty_sum);
    totals.at("top1").get_to(progress.totals.top1);
    totals.at("samples").get_to(progress.totals.samples);
    totals.at("steps").get_to(progress.totals.steps);
    totals.at("seconds").get_to(progress.totals.seconds);
    if (json.contains("best_top1")) progress.best_top1 = json.at("best_top1").get<double>();
    json.at("best_epoch").get_to(progress.best_epoch);
    json.at("stage_seconds").get_to(progress.stage_seconds);
    const auto& logs = json.at("logs");
    logs.at("metrics_bytes").get_to(progress.logs.metrics_bytes);
    logs.at("csv_bytes").get_to(progress.logs.csv_bytes);
    logs.at("precision_bytes").get_to(progress.logs.precision_bytes);
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::checkpoint, "{}: state.json is damaged ({}); take an older checkpoint", where, error.what());
  }
  if (progress.stage < 0 || progress.epoch < 0 || progress.step < 0 || progress.totals.steps < 0 ||
      progress.totals.steps > progress.step)
    fail(ErrorKind::checkpoint, "{}: state.json is damaged (a count is out of range); take an older checkpoint", where);
  return progress;
}

}  // namespace bsq
