#include "tools/report/comparison_csv.h"

#include "engine/base/text.h"
#include "tools/report/table.h"

#include <fmt/format.h>

namespace bsq {
namespace {

/// From `top1_final` on.
std::string results_of(const RunReport& run) {
  const StageReport* last = run.last_done();
  if (last == nullptr) return ",,,,,,";
  const StageResult& result = *last->result;
  return fmt::format("{},{},{},{},{},{},{}", *run.top1_of(last->name), result.test_top1, result.bits_per_parameter,
                     csv_cell(result.stored_bits), result.compression, result.compression_without_empty,
                     result.compression_everything);
}

/// From `packed_bytes` on, but for the last.
std::string costs_of(const RunReport& run) {
  std::optional<double> bytes, macs, bops, bops_without_signs;
  if (run.bit_summary) bytes = static_cast<double>(run.bit_summary->packed_bytes);
  if (!run.layer_costs.empty()) {
    macs = macs_of(run.layer_costs);
    bops = bops_of(run.layer_costs, true);
    bops_without_signs = bops_of(run.layer_costs, false);
  }
  const StageReport* stage = method_stage(run);
  return fmt::format("{},{},{},{},{},{}", csv_cell(bytes), csv_cell(macs), csv_cell(bops), csv_cell(bops_without_signs),
                     csv_cell(stage == nullptr ? std::nullopt : stage->seconds_per_step()),
                     csv_cell(stage == nullptr ? std::nullopt : stage->weight_bytes_per_step()));
}

std::string cells_of(const std::optional<MeanAndSpread>& value) {
  return value ? fmt::format(",{},{},{},{}", value->mean, value->spread, value->low, value->high) : ",,,,";
}

}  // namespace

std::string comparison_csv(const std::vector<RunReport>& reports) {
  std::vector<ComparedStage> stages = compared_stages(reports);
  std::erase_if(stages, [](const ComparedStage& stage) { return stage.is_float; });
  const std::vector<Strength> strengths = strengths_of(reports);
  std::string text = "run,state,method,";
  for (const Strength& strength : strengths) text += strength.title + ",";
  text += "act_bits,seed,top1_float,float_from,";
  for (const ComparedStage& stage : stages) text += fmt::format("top1_{},", stage.title);
  text +=
      "top1_final,top1_last,bits_per_parameter,stored_bits_per_parameter,compression,compression_without_empty,"
      "compression_everything,packed_bytes,multiply_adds,bops,bops_without_signs,seconds_per_step,weight_bytes_per_"
      "step,top1_deployed\n";
  for (const RunReport& run : reports) {
    text +=
        fmt::format("{},{},{},", csv_cell(run.path.string()), run.state(), csv_cell(method_of_run(run.config).title));
    for (const Strength& strength : strengths) text += csv_cell(value_of(run.config, strength)) + ",";
    const std::optional<FloatAccuracy> in_float = run.float_accuracy();
    text += fmt::format("{},{},{},{},", run.config.quant.act_bits, run.config.seed,
                        in_float ? csv_cell(in_float->top1) : "", in_float ? in_float->from : "");
    for (const ComparedStage& stage : stages) text += csv_cell(run.top1_of(stage.name)) + ",";
    text += fmt::format("{},{},{}\n", results_of(run), costs_of(run), run.deployed ? csv_cell(run.deployed->top1) : "");
  }
  return text;
}

std::string groups_csv(const Comparison& comparison) {
  std::string text = "setting,method,runs,finished";
  for (const char* name :
       {"top1", "top1_last", "top1_float", "bits", "stored_bits", "compression", "compression_everything",
        "packed_bytes", "bops", "seconds_per_step", "weight_bytes_per_step", "top1_deployed"})
    text += fmt::format(",{0}_mean,{0}_sd,{0}_min,{0}_max", name);
  text += ",pareto,pareto_of_series\n";
  for (const RunGroup& group : comparison.groups) {
    text += fmt::format("{},{},{},{}", csv_cell(group.label), csv_cell(group.method), group.runs.size(),
                        group.finished.size());
    const auto measured = [&](const MeanAndSpread& value) {
      return group.finished.empty() ? std::nullopt : std::optional(value);
    };
    for (const std::optional<MeanAndSpread>& value :
         {measured(group.top1), measured(group.last_top1), group.float_top1, measured(group.bits),
          measured(group.stored_bits), measured(group.compression), measured(group.compression_everything),
          group.packed_bytes, group.bops, group.seconds_per_step, group.weight_bytes_per_step, group.deployed_top1})
      text += cells_of(value);
    text += fmt::format(",{},{}\n", group.on_front ? 1 : 0, group.on_series_front ? 1 : 0);
  }
  return text;
}

std::string precision_csv(const LayerComparison& layers) {
  std::string text = "setting,layer,bits_mean,bits_min,bits_max\n";
  for (std::size_t group = 0; group < layers.groups.size(); ++group)
    for (std::size_t layer = 0; layer < layers.layers.size(); ++layer) {
      const LayerBits& bits = layers.bits[group][layer];
      text += fmt::format("{},{},{},{},{}\n", csv_cell(layers.groups[group]->label), layers.layers[layer], bits.mean,
                          bits.low, bits.high);
    }
  return text;
}

std::string widths_csv(const std::vector<BudgetPanel>& panels) {
  std::string text = "panel,run,setting,seed,stored_bits_per_parameter,layer,bits\n";
  for (std::size_t panel = 0; panel < panels.size(); ++panel)
    for (const SizedRun& one : panels[panel])
      for (const TensorBits& tensor : one.run->bit_summary->tensors)
        text += fmt::format("{},{},{},{},{},{},{}\n", panel + 1, csv_cell(one.run->path.string()),
                            csv_cell(one.group->label), one.run->config.seed, one.stored_bits, layer_name(tensor.name),
                            tensor.empty ? 0 : tensor.bits);
  return text;
}

std::string shares_csv(const ShareComparison& shares) {
  std::string text = "setting,layer,multiply_adds,bops_mean,bops_percent,bytes_mean,bytes_percent\n";
  for (std::size_t group = 0; group < shares.groups.size(); ++group)
    for (std::size_t layer = 0; layer < shares.layers.size(); ++layer) {
      const LayerShare& share = shares.shares[group][layer];
      text += fmt::format("{},{},{},{},{},{},{}\n", csv_cell(shares.groups[group]->label), shares.layers[layer],
                          share.macs, share.bops, share.bops_percent, share.bytes, share.bytes_percent);
    }
  return text;
}

}  // namespace bsq
