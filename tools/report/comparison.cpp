// Grouping by configuration, and the front.
#include "tools/report/comparison.h"

#include "data/datasets.h"
#include "engine/config/config_schema.h"
#include "models/families.h"
#include "tools/report/comparison_labels.h"
#include "tools/report/start_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace bsq {
namespace {

bool same_but_seed(const RunReport& a, const RunReport& b) {
  const std::vector<ConfigKey>& keys = a.config.schema().keys();
  return std::all_of(keys.begin(), keys.end(), [&](const ConfigKey& key) {
    return !matters(key) || compared_value(key, a) == compared_value(key, b);
  });
}

const Config& config_of(const RunGroup& group) {
  return group.runs.front()->config;
}

/// What groups are ordered by.
std::vector<std::pair<std::string, double>> strength_values(const Config& config) {
  std::vector<std::pair<std::string, double>> values;
  for (const Strength& strength : strengths_of(config)) values.emplace_back(strength.key, *value_of(config, strength));
  return values;
}

template <typename Value>
MeanAndSpread mean_of(const std::vector<const RunReport*>& runs, Value value) {
  if (runs.empty()) return {};
  MeanAndSpread result{.low = value(*runs.front()), .high = value(*runs.front())};
  for (const RunReport* run : runs) {
    const double one = value(*run);
    result.mean += one / static_cast<double>(runs.size());
    result.low = std::min(result.low, one);
    result.high = std::max(result.high, one);
  }
  if (runs.size() < 2) return result;
  for (const RunReport* run : runs) result.spread += std::pow(value(*run) - result.mean, 2);
  result.spread = std::sqrt(result.spread / static_cast<double>(runs.size() - 1));
  return result;
}

/// Nothing if one of them has no such number.
template <typename Value>
std::optional<MeanAndSpread> mean_of_known(const std::vector<const RunReport*>& runs, Value value) {
  if (runs.empty() || std::any_of(runs.begin(), runs.end(), [&](const RunReport* run) { return !value(*run); }))
    return std::nullopt;
  return mean_of(runs, [&](const RunReport& run) { return *value(run); });
}

std::optional<double> float_top1_of(const RunReport& run) {
  const std::optional<FloatAccuracy> found = run.float_accuracy();
  return found ? std::optional(found->top1) : std::nullopt;
}

void measure(RunGroup& group) {
  std::copy_if(group.runs.begin(), group.runs.end(), std::back_inserter(group.finished),
               [](const RunReport* run) { return is_quantized(*run); });
  const std::vector<const RunReport*>& runs = group.finished;
  const auto result = [](const RunReport& run) -> const StageResult& { return *run.last_done()->result; };
  group.top1 = mean_of(runs, [](const RunReport& run) { return *run.top1_of(run.last_done()->name); });
  group.last_top1 = mean_of(runs, [&](const RunReport& run) { return result(run).test_top1; });
  group.bits = mean_of(runs, [&](const RunReport& run) { return result(run).bits_per_parameter; });
  group.stored_bits = mean_of(runs, [&](const RunReport& run) { return *result(run).stored_bits; });
  group.compression = mean_of(runs, [&](const RunReport& run) { return result(run).compression; });
  group.compression_everything =
      mean_of(runs, [&](const RunReport& run) { return result(run).compression_everything; });
  group.float_top1 = mean_of_known(runs, float_top1_of);
  group.deployed_top1 = mean_of_known(
      runs, [](const RunReport& run) { return run.deployed ? std::optional(run.deployed->top1) : std::nullopt; });
  group.packed_bytes = mean_of_known(runs, [](const RunReport& run) {
    return run.bit_summary ? std::optional(static_cast<double>(run.bit_summary->packed_bytes)) : std::nullopt;
  });
  group.bops = mean_of_known(runs, [](const RunReport& run) {
    return run.layer_costs.empty() ? std::nullopt : std::optional(bops_of(run.layer_costs, true));
  });
  group.seconds_per_step = mean_of_known(runs, [](const RunReport& run) {
    const StageReport* stage = method_stage(run);
    return stage == nullptr ? std::nullopt : stage->seconds_per_step();
  });
  group.weight_bytes_per_step = mean_of_known(runs, [](const RunReport& run) {
    const StageReport* stage = method_stage(run);
    return stage == nullptr ? std::nullopt : stage->weight_bytes_per_step();
  });
}

void find_fronts(std::vector<RunGroup>& groups) {
  for (RunGroup& group : groups) {
    const auto beats = [&](const RunGroup& other) {
      const double accuracy = other.top1.mean - group.top1.mean;
      const double saved = group.stored_bits.mean - other.stored_bits.mean;
      return !other.finished.empty() && accuracy >= 0 && saved >= 0 && (accuracy > 0 || saved > 0);
    };
    const auto beats_in_series = [&](const RunGroup& other) { return other.series == group.series && beats(other); };
    group.on_front = !group.finished.empty() && std::none_of(groups.begin(), groups.end(), beats);
    group.on_series_front = !group.finished.empty() && std::none_of(groups.begin(), groups.end(), beats_in_series);
  }
}

template <typename Text>
std::vector<std::string> distinct(const std::vector<const RunReport*>& runs, Text text) {
  std::vector<std::string> texts;
  for (const RunReport* run : runs)
    if (std::find(texts.begin(), texts.end(), text(run->config)) == texts.end()) texts.push_back(text(run->config));
  return texts;
}

/// A mean over runs of one seed is no mean over seeds.
void remark_on_seeds(Comparison& comparison) {
  std::vector<std::string> repeated;
  for (const RunGroup& group : comparison.groups) {
    for (const RunReport* run : group.finished) {
      const auto first = std::find_if(group.finished.begin(), group.finished.end(),
                                      [&](const RunReport* other) { return other->config.seed == run->config.seed; });
      if (*first != run)
        repeated.push_back(
            fmt::format("{} (of {}, seed {})", run->path.string(), (*first)->path.string(), run->config.seed));
    }
  }
  if (!repeated.empty())
    comparison.remarks.push_back(fmt::format(
        "Repeated from the same seed, and yet one more run in mean and standard deviation: {}; leave it out.",
        fmt::join(repeated, ", ")));
}

void remark(Comparison& comparison) {
  const std::vector<std::string> networks = distinct(comparison.runs, network_words);
  const std::vector<std::string> data = distinct(comparison.runs, describe_test_set);
  comparison.same_network = networks.size() == 1;
  comparison.same_data = data.size() == 1;
  if (!comparison.same_network)
    comparison.remarks.push_back(fmt::format(
        "These are different networks ({}): their layers cannot be set side by side, and a ratio is against "
        "each network's own size in float.",
        fmt::join(networks, "; ")));
  if (!comparison.same_data)
    comparison.remarks.push_back(
        fmt::format("These runs are tested on different images ({}): their accuracies say "
                    "nothing about each other, so there is no Pareto line.",
                    fmt::join(data, "; ")));
  std::vector<std::string> missing;
  for (const RunReport* run : comparison.runs)
    if (!is_quantized(*run)) missing.push_back(fmt::format("{} ({})", run->path.string(), run->state()));
  if (!missing.empty())
    comparison.remarks.push_back(
        fmt::format("Without a quantized model, and so not in the figures: {}.", fmt::join(missing, ", ")));
  remark_on_seeds(comparison);
}

}  // namespace

const StageReport* method_stage(const RunReport& report) {
  const std::string name = method_of_run(report.config).stage;
  for (const StageReport& stage : report.stages)
    if (stage.name == name && !name.empty()) return &stage;
  return nullptr;
}

bool is_quantized(const RunReport& report) {
  const StageReport* last = report.last_done();
  return last != nullptr && !last->is_float() && last->result->stored_bits;
}

Comparison compare(const std::vector<RunReport>& reports) {
  Comparison comparison;
  for (const RunReport& report : reports) {
    comparison.runs.push_back(&report);
    const auto group = std::find_if(comparison.groups.begin(), comparison.groups.end(),
                                    [&](const RunGroup& other) { return same_but_seed(*other.runs.front(), report); });
    if (group == comparison.groups.end())
      comparison.groups.emplace_back().runs = {&report};
    else
      group->runs.push_back(&report);
  }
  std::stable_sort(comparison.groups.begin(), comparison.groups.end(), [](const RunGroup& a, const RunGroup& b) {
    return strength_values(config_of(a)) < strength_values(config_of(b));
  });
  for (RunGroup& group : comparison.groups) measure(group);
  label_groups(comparison, strengths_of(reports));
  remark(comparison);
  if (comparison.same_data) find_fronts(comparison.groups);
  return comparison;
}

}  // namespace bsq
