// The report as JSON and CSV, with all digits of its numbers. The run itself has its epochs as CSV; they are not
// written again.
#include "engine/run/run_log.h"
#include "tools/report/bits_text.h"
#include "tools/report/cost_tables.h"
#include "tools/report/file_set.h"
#include "tools/report/run_page.h"
#include "tools/report/shown_stages.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace bsq {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

std::string file_ratio(const StageReport& stage) {
  if (stage.file_bytes == 0) return "";
  return fmt::format("{}", static_cast<double>(stage.float_file_bytes) / static_cast<double>(stage.file_bytes));
}

ordered_json json_number(const std::optional<double>& number) {
  return number ? ordered_json(*number) : ordered_json(nullptr);
}

ordered_json budget_json(const BudgetReport& budget) {
  ordered_json epochs = ordered_json::array();
  for (const BudgetRow& row : budget.epochs) {
    epochs.push_back({{"epoch", row.epoch}, {"bits_now", row.bits_now}, {"bits_planned", row.bits_planned}});
    if (row.alpha) epochs.back().update({{"alpha", *row.alpha}, {"removed_planes", row.removed}});
    epochs.back()["is_met"] = row.is_met;
  }
  ordered_json json = {{"budget_bits", budget.bits}, {"epochs", std::move(epochs)}};
  if (!budget.words.empty()) json["budget_words"] = budget.words;
  if (!budget.bits_at_end) return json;
  json["bits_at_end"] = *budget.bits_at_end;
  json["bits_trained"] = budget.bits_trained;
  json["removed_planes"] = ordered_json::object();
  for (const auto& [tensor, planes] : budget.removed) json["removed_planes"][tensor] = planes;
  return json;
}

ordered_json stage_json(const StageReport& stage) {
  ordered_json json = {{"stage", stage.name},
                       {"epochs", stage.epochs},
                       {"planned_epochs", stage.planned_epochs},
                       {"train_seconds", stage.train_seconds},
                       {"seconds_per_step", json_number(stage.seconds_per_step())},
                       {"weight_bytes_per_step", json_number(stage.weight_bytes_per_step())},
                       {"images_per_second", stage.train_seconds > 0 ? stage.train_images / stage.train_seconds : 0},
                       {"form", stage.form},
                       {"trainable_numbers", stage.trainable_numbers},
                       {"planned_bytes", stage.planned_bytes},
                       {"file_bytes", stage.file_bytes}};
  if (stage.budget) json["budget"] = budget_json(*stage.budget);
  if (!stage.result) return json;
  const StageResult& result = *stage.result;
  if (result.best_holdout_top1) {
    json["best_holdout_top1"] = *result.best_holdout_top1;
    json["holdout_images"] = result.holdout_images;
  }
  json["test_top1"] = result.test_top1;
  json["test_top5"] = result.test_top5;
  json["test_loss"] = result.test_loss;
  if (result.best_top1) {
    json["best_top1"] = *result.best_top1;
    json["best_epoch"] = result.best_epoch;
  }
  json["bits_per_parameter"] = result.bits_per_parameter;
  if (result.stored_bits) json["stored_bits_per_parameter"] = *result.stored_bits;
  json["compression"] = result.compression;
  json["compression_without_empty"] = result.compression_without_empty;
  json["compression_everything"] = result.compression_everything;
  json["peak_resident_mib"] = result.peak_resident_mib;
  return json;
}

std::string stages_csv(const RunReport& report) {
  std::string text =
      "stage,epochs,planned_epochs,form,test_top1,test_top5,test_loss,best_top1,best_epoch,bits_per_parameter,"
      "stored_bits_per_parameter,compression,compression_without_empty,compression_everything,compression_file,"
      "seconds_per_epoch,seconds_per_step,images_per_second,train_seconds,trainable_numbers,weight_bytes_per_step,"
      "planned_bytes,peak_resident_mib\n";
  for (const StageReport& stage : report.stages) {
    text += fmt::format("{},{},{},{},", stage.name, stage.epochs, stage.planned_epochs, stage.form);
    if (const auto& result = stage.result)
      text += fmt::format("{},{},{},{},{},{},{},{},{},{},{},", result->test_top1, result->test_top5, result->test_loss,
                          csv_cell(result->best_top1), result->best_top1 ? std::to_string(result->best_epoch) : "",
                          result->bits_per_parameter, csv_cell(result->stored_bits), result->compression,
                          result->compression_without_empty, result->compression_everything, file_ratio(stage));
    else
      text += std::string(11, ',');
    const bool trained = stage.epochs > 0 && stage.train_seconds > 0;
    text += fmt::format("{},{},{},{},{},{},{},{}\n", trained ? csv_cell(stage.train_seconds / stage.epochs) : "",
                        csv_cell(stage.seconds_per_step()),
                        trained ? csv_cell(stage.train_images / stage.train_seconds) : "", stage.train_seconds,
                        stage.trainable_numbers, csv_cell(stage.weight_bytes_per_step()), stage.planned_bytes,
                        stage.result ? csv_cell(stage.result->peak_resident_mib) : "");
  }
  return text;
}

std::string layers_csv(const BitSummary& summary) {
  std::string text = "layer,shape,weights,bits,empty,scale,zero_percent,fixed,input_bits\n";  // 0: reads float numbers
  for (const TensorBits& tensor : summary.tensors)
    text += fmt::format("{},{},{},{},{},{},{},{},{}\n", tensor.name, shape_text(tensor.shape), tensor.numel,
                        tensor.bits, tensor.empty ? 1 : 0, tensor.scale, tensor.zero_percent, tensor.fixed ? 1 : 0,
                        tensor.input_bits ? std::to_string(*tensor.input_bits) : "");
  return text;
}

std::string float_csv(const BitSummary& summary) {
  std::string text = "tensor,numbers,bytes\n";
  for (const FloatTensor& tensor : summary.float_tensors)
    text +=
        fmt::format("{},{},{}\n", tensor.name, tensor.numel, sizeof(float) * static_cast<std::size_t>(tensor.numel));
  return text;
}

std::string planes_csv(const BitSummary& summary) {
  std::string text = "layer,bits,plane,density_percent\n";  // plane 0 is the most significant
  for (const TensorBits& tensor : summary.tensors)
    for (std::size_t plane = 0; plane < tensor.plane_density_percent.size(); ++plane)
      text += fmt::format("{},{},{},{}\n", tensor.name, tensor.bits, plane, tensor.plane_density_percent[plane]);
  return text;
}

std::string history_csv(const std::vector<PrecisionRow>& history) {
  std::string text = "stage,epoch,layer,bits_before,bits_after,scale,density_percent\n";
  for (const PrecisionRow& row : history)
    text += fmt::format("{},{},{},{},{},{},{}\n", row.stage, row.epoch, row.layer, row.bits_before, row.bits_after,
                        row.scale, fmt::join(row.density, " "));
  return text;
}

}  // namespace

ordered_json report_json(const RunReport& report) {
  ordered_json stages = ordered_json::array();
  for (const StageReport& stage : report.stages) stages.push_back(stage_json(stage));
  ordered_json json = {{"run", report.path.string()},
                       {"name", report.config.name},
                       {"state", report.state()},
                       {"exit_code", report.status.exit_code},
                       {"config_hash", config_hash(report.config)}};
  for (const Strength& strength : strengths_of(report.config))
    json[strength.title] = *value_of(report.config, strength);
  json["act_bits"] = report.config.quant.act_bits;
  json["seed"] = report.config.seed;
  json["method"] = method_of_run(report.config).title;
  if (const std::optional<FloatAccuracy> in_float = report.float_accuracy()) {
    json["float_top1"] = in_float->top1;
    json["float_from"] = in_float->from;
  }
  json["environment"] = report.environment;
  json["stages"] = std::move(stages);
  if (report.bit_summary) {
    json["model"] = "checkpoints/" + report.model;
    if (const auto& deployed = report.deployed)
      json["deployed"] = {{"test_top1", deployed->top1},
                          {"test_top5", deployed->top5},
                          {"test_loss", deployed->loss},
                          {"rounded", deployed->rounded}};
    json["precision"] = to_json(*report.bit_summary, report.model_bytes);
    json["operations"] = operations_json(report);
  }
  return json;
}

void write_report_files(const RunReport& report, const fs::path& folder) {
  FileSet files(folder, "the report");
  const Page page = run_page(report);
  files.add("index.html", html_of(page));
  add_figures(files, page);
  files.add("summary.json", report_json(report).dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n");
  files.add("stages.csv", stages_csv(report));
  files.add("history.csv", history_csv(report.history));
  if (report.bit_summary) {
    files.add("layers.csv", layers_csv(*report.bit_summary));
    files.add("planes.csv", planes_csv(*report.bit_summary));
    files.add("float.csv", float_csv(*report.bit_summary));
    files.add("operations.csv", operations_csv(report));
  }
  files.commit();
}

}  // namespace bsq
