// Counting is done elsewhere: engine/model/layer_cost.h, and the logs of the run.
#include "tools/report/cost_tables.h"

#include "engine/base/text.h"
#include "engine/run/console.h"

#include <fmt/format.h>

namespace bsq {
namespace {

using nlohmann::ordered_json;

constexpr double kMiB = 1024.0 * 1024.0;
constexpr double kMillion = 1e6;

std::string whole_text(double count) {
  return with_thousands(static_cast<std::uint64_t>(count));
}

std::string width_text(int bits, bool fixed) {
  return fmt::format("{}{}", bits == kFloatBits ? "float" : std::to_string(bits), fixed ? " fixed" : "");
}

/// Of the whole model as it is packed.
double packed_bytes_of(const RunReport& report) {
  return static_cast<double>(report.bit_summary->packed_bytes);
}

double bytes_of_layers(const std::vector<LayerCost>& layers) {
  double bytes = 0;
  for (const LayerCost& layer : layers) bytes += layer.bytes();
  return bytes;
}

}  // namespace

const char* const kCostNotes =
    "training: time in training steps, without evaluation. weights MB/step: what a step must move at least to make "
    "and\n"
    "update weights, computed from their number at the start of the stage: 20 bytes per trainable number, 8 per\n"
    "quantized weight. planned: tensors on the device, data included. peak: resident memory of the whole process up "
    "to\n"
    "the end of the stage.\n";

const char* const kOperationsNotes =
    "Of one image. BOPs: multiply-adds x bits of a weight, its sign too, x bits of the inputs, 32 of what is float. "
    "Bytes: signs, planes and scales packed, float numbers in float32.";

std::string millions_text(const std::optional<double>& count) {
  return count ? fmt::format("{:.2f}", *count / kMillion) : "";
}

std::string milliseconds_text(const std::optional<double>& seconds) {
  return seconds ? fmt::format("{:.2f}", 1000 * *seconds) : "";
}

double share_of(double part, double whole) {
  return whole > 0 ? 100 * part / whole : 0;
}

Table cost_table(const RunReport& report) {
  Table table({{"cost", Align::left},
               {"s/epoch"},
               {"ms/step"},
               {"images/s"},
               {"training"},
               {"trainable numbers"},
               {"weights MB/step"},
               {"planned MiB"},
               {"peak MiB"}});
  for (const StageReport& stage : report.stages) {
    if (stage.form.empty()) continue;
    const bool trained = stage.epochs > 0 && stage.train_seconds > 0;
    const std::string time = milliseconds_text(stage.seconds_per_step());
    const std::string moved = millions_text(stage.weight_bytes_per_step());
    table.add_row(
        {stage.name, trained ? fmt::format("{:.2f}", stage.train_seconds / stage.epochs) : "-",
         time.empty() ? "-" : time, trained ? fmt::format("{:.0f}", stage.train_images / stage.train_seconds) : "-",
         trained ? clock_text(stage.train_seconds) : "-",
         stage.planned_epochs == 0 ? "-" : with_thousands(static_cast<std::uint64_t>(stage.trainable_numbers)),
         moved.empty() ? "-" : moved, fmt::format("{:.1f}", static_cast<double>(stage.planned_bytes) / kMiB),
         stage.result ? fmt::format("{:.1f}", stage.result->peak_resident_mib) : ""});
  }
  return table;
}

Table operations_table(const RunReport& report) {
  Table table({{"layer", Align::left},
               {"multiply-adds"},
               {"%"},
               {"input bits"},
               {"weight bits"},
               {"BOPs"},
               {"%"},
               {"bytes"},
               {"%"}});
  const std::vector<LayerCost>& layers = report.layer_costs;
  if (layers.empty() || !report.bit_summary) return table;
  const double macs = macs_of(layers), bops = bops_of(layers, true), bytes = packed_bytes_of(report);
  const auto percent = [](double part, double whole) { return fmt::format("{:.1f}", share_of(part, whole)); };
  for (const LayerCost& layer : layers)
    table.add_row({layer.name, whole_text(layer.macs), percent(layer.macs, macs), width_text(layer.input_bits, false),
                   width_text(layer.bits, layer.fixed), whole_text(layer.bops(true)), percent(layer.bops(true), bops),
                   whole_text(layer.bytes()), percent(layer.bytes(), bytes)});
  const double rest = bytes - bytes_of_layers(layers);
  table.add_row({"norms and what else is float", "", "", "", "", "", "", whole_text(rest), percent(rest, bytes)});
  table.add_row({"together", whole_text(macs), "", "", "", whole_text(bops), "", whole_text(bytes), ""});
  return table;
}

std::string operations_text(const RunReport& report) {
  if (report.layer_costs.empty()) return "";
  const double macs = macs_of(report.layer_costs), bops = bops_of(report.layer_costs, true);
  return fmt::format(
      "operations of one image: {} multiply-adds; {} BOPs ({} without signs), {:.1f} % of those in float32\n",
      whole_text(macs), whole_text(bops), whole_text(bops_of(report.layer_costs, false)),
      share_of(bops, macs * kFloatBits * kFloatBits));
}

std::string operations_csv(const RunReport& report) {
  std::string text =
      "layer,multiply_adds,multiply_adds_percent,input_bits,weight_bits,bops,bops_percent,bops_without_signs,bytes,"
      "bytes_percent\n";
  const std::vector<LayerCost>& layers = report.layer_costs;
  const double macs = macs_of(layers), bops = bops_of(layers, true), bytes = packed_bytes_of(report);
  for (const LayerCost& layer : layers)
    text += fmt::format("{},{},{},{},{},{},{},{},{},{}\n", layer.name, layer.macs, share_of(layer.macs, macs),
                        layer.input_bits, layer.bits, layer.bops(true), share_of(layer.bops(true), bops),
                        layer.bops(false), layer.bytes(), share_of(layer.bytes(), bytes));
  return text;
}

ordered_json operations_json(const RunReport& report) {
  ordered_json layers = ordered_json::array();
  for (const LayerCost& layer : report.layer_costs)
    layers.push_back({{"name", layer.name},
                      {"multiply_adds", layer.macs},
                      {"input_bits", layer.input_bits},
                      {"weight_bits", layer.bits},
                      {"bops", layer.bops(true)},
                      {"bops_without_signs", layer.bops(false)},
                      {"bytes", layer.bytes()}});
  return {{"multiply_adds", macs_of(report.layer_costs)},
          {"bops", bops_of(report.layer_costs, true)},
          {"bops_without_signs", bops_of(report.layer_costs, false)},
          {"layers", std::move(layers)}};
}

}  // namespace bsq
