// Heat maps of layers by runs and by settings.
#include "tools/report/width_figures.h"

#include "engine/base/text.h"
#include "tools/report/charts/heat_map.h"
#include "tools/report/cost_tables.h"
#include "tools/report/table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace bsq {
namespace {

using namespace charts;

constexpr double kAlike = 1.1;  // by how much sizes in one panel may differ
constexpr std::size_t kLongestName = 34;

/// `3.2` or `3.1-3.4`.
std::string sizes_text(const BudgetPanel& panel) {
  const auto [smallest, largest] = std::minmax_element(
      panel.begin(), panel.end(), [](const SizedRun& a, const SizedRun& b) { return a.stored_bits < b.stored_bits; });
  const std::string low = fmt::format("{:.1f}", smallest->stored_bits);
  const std::string high = fmt::format("{:.1f}", largest->stored_bits);
  return low == high ? low : low + "-" + high;
}

std::string name_of_run(const SizedRun& one) {
  const std::string label = shortened(one.group->label, kLongestName);
  return one.group->finished.size() < 2 ? label : fmt::format("{}, seed {}", label, one.run->config.seed);
}

/// Within a panel, runs of one setting stand together.
void order(BudgetPanel& panel) {
  std::stable_sort(panel.begin(), panel.end(),
                   [](const SizedRun& a, const SizedRun& b) { return a.group < b.group; });  // of one vector
}

void add_column(HeatMap& map, const SizedRun& one) {
  const std::vector<TensorBits>& tensors = one.run->bit_summary->tensors;
  map.columns.push_back(name_of_run(one));
  for (std::size_t i = 0; i < std::min(tensors.size(), map.rows.size()); ++i) {
    const int bits = tensors[i].empty ? 0 : tensors[i].bits;
    map.cells[i].push_back({.value = 1.0 * bits,
                            .text = std::to_string(bits),
                            .tooltip = fmt::format("{}, {}, seed {} ({:.3f} stored bits): {} bits", map.rows[i],
                                                   one.group->label, one.run->config.seed, one.stored_bits, bits)});
  }
}

HeatMap share_map(const ShareComparison& shares, ChartText text, const std::string& first,
                  double LayerShare::*percent) {
  HeatMap map{.text = std::move(text), .x_title = "setting", .rows = shares.layers, .names = true};
  double largest = 0;
  map.cells.resize(shares.layers.size());
  const auto add = [&](const std::string& name, const std::vector<LayerShare>& column) {
    map.columns.push_back(shortened(name, kLongestName));
    for (std::size_t i = 0; i < column.size(); ++i) {
      const double share = column[i].*percent;
      largest = std::max(largest, share);
      map.cells[i].push_back({.value = share,
                              .text = fmt::format("{:.1f}", share),
                              .tooltip = fmt::format("{}, {}: {:.2f} %", shares.layers[i], name, share)});
    }
  };
  add(first, shares.in_float);
  for (std::size_t group = 0; group < shares.groups.size(); ++group)
    add(shares.groups[group]->label, shares.shares[group]);
  map.groups = {{"", 1}, {"", shares.groups.size()}};
  const double tick = largest > 50 ? 20 : largest > 20 ? 10 : 5;
  map.range = range_of(0, std::max(tick, std::ceil(largest / tick) * tick));
  for (double value = 0; value <= map.range.high; value += tick)
    map.legend.push_back({value, fmt::format("{:g} %", value)});
  return map;
}

std::vector<LayerShare> shares_in_float(const RunReport& run) {
  std::vector<LayerShare> shares;
  const double macs = macs_of(run.layer_costs);
  for (const LayerCost& layer : run.layer_costs) {
    const double bytes = sizeof(float) * static_cast<double>(layer.numbers);
    const double bops = layer.macs * kFloatBits * kFloatBits;
    shares.push_back({layer.macs, bops, share_of(layer.macs, macs), bytes,
                      share_of(bytes, static_cast<double>(run.bit_summary->float_bytes))});
  }
  return shares;
}

std::vector<LayerShare> mean_shares(const RunGroup& group) {
  std::vector<LayerShare> shares(group.finished.front()->layer_costs.size());
  const double runs = static_cast<double>(group.finished.size());
  for (const RunReport* run : group.finished) {
    const double bops = bops_of(run->layer_costs, true);
    const auto packed = static_cast<double>(run->bit_summary->packed_bytes);
    for (std::size_t i = 0; i < std::min(shares.size(), run->layer_costs.size()); ++i) {
      const LayerCost& layer = run->layer_costs[i];
      shares[i].macs = layer.macs;
      shares[i].bops += layer.bops(true) / runs;
      shares[i].bops_percent += share_of(layer.bops(true), bops) / runs;
      shares[i].bytes += layer.bytes() / runs;
      shares[i].bytes_percent += share_of(layer.bytes(), packed) / runs;
    }
  }
  return shares;
}

bool has_costs(const RunReport* run) {
  return run->bit_summary && !run->layer_costs.empty();
}

}  // namespace

std::vector<BudgetPanel> panels_of(const Comparison& comparison) {
  BudgetPanel all;
  if (!comparison.same_network) return {};
  for (const RunGroup& group : comparison.groups)
    for (const RunReport* run : group.finished)
      if (run->bit_summary) all.push_back({run, &group, *run->last_done()->result->stored_bits});
  std::stable_sort(all.begin(), all.end(),
                   [](const SizedRun& a, const SizedRun& b) { return a.stored_bits < b.stored_bits; });
  std::vector<BudgetPanel> panels;
  for (const SizedRun& one : all) {
    if (panels.empty() || one.stored_bits > kAlike * panels.back().front().stored_bits) panels.emplace_back();
    panels.back().push_back(one);
  }
  for (BudgetPanel& panel : panels) order(panel);
  return panels;
}

ReportFigure widths_figure(const std::vector<BudgetPanel>& panels) {
  HeatMap map{.text = {"widths", "Bits of every layer in every run, runs of one size side by side", ""},
              .x_title = "run; above: stored bits per weight",
              .names = true,
              .range = range_of(0, kMaxBits)};
  for (int bits = 0; bits <= kMaxBits; ++bits) map.legend.push_back({bits, std::to_string(bits)});
  for (const TensorBits& tensor : panels.front().front().run->bit_summary->tensors)
    map.rows.push_back(layer_name(tensor.name));
  map.cells.resize(map.rows.size());
  for (const BudgetPanel& panel : panels) {
    map.groups.push_back({sizes_text(panel), panel.size()});
    for (const SizedRun& one : panel) add_column(map, one);
  }
  map.text.description = fmt::format("Bits of {} layers in {} runs, in {} groups by stored bits.", map.rows.size(),
                                     map.columns.size(), panels.size());
  return {draw(map),
          "Runs in one group have stored bits that differ by a tenth at most: the same budget, spent as each method "
          "does. Planes of the magnitude; the sign is one bit more, of odd levels none. A layer of which all weights "
          "are zero has 0."};
}

ShareComparison compare_shares(const Comparison& comparison) {
  ShareComparison result;
  if (!comparison.same_network) return result;
  for (const RunGroup& group : comparison.groups) {
    if (group.finished.empty() || !std::all_of(group.finished.begin(), group.finished.end(), has_costs)) continue;
    if (result.groups.empty()) {
      for (const LayerCost& layer : group.finished.front()->layer_costs) result.layers.push_back(layer.name);
      result.in_float = shares_in_float(*group.finished.front());
    }
    result.groups.push_back(&group);
    result.shares.push_back(mean_shares(group));
  }
  return result;
}

std::vector<ReportFigure> share_figures(const ShareComparison& shares) {
  const std::string what = fmt::format("Percent that each of {} layers has", shares.layers.size());
  return {
      {draw(share_map(shares,
                      {"bops", "Share of every layer in the bit operations",
                       what + " in the bit operations of an image, in float and under every setting."},
                      "float32", &LayerShare::bops_percent)),
       "In percent of a column. In float it is the share in the multiply-adds. BOPs: multiply-adds x bits of a "
       "weight, its sign too, x bits of the inputs."},
      {draw(share_map(shares,
                      {"bytes", "Share of every layer in the bytes of the model",
                       what + " in the bytes of the packed model, in float and under every setting."},
                      "float32", &LayerShare::bytes_percent)),
       "In percent of the whole model: signs, planes and scales packed, what stays float in float32. Norms are what "
       "lacks to 100."}};
}

}  // namespace bsq
