#include "engine/methods/msq/msq_keys.h"

#include "engine/config/config_schema.h"
#include "engine/methods/width_budget.h"

#include <fmt/format.h>

namespace bsq {
namespace {

void check_msq(const Config& config, std::vector<Conflict>& conflicts) {
  const MsqConfig& msq = config.part<MsqConfig>();
  if (config.runs("msq") && msq.has_budget())
    check_width_budget("msq", msq.budget(), msq.budget_epochs, config, conflicts);
}

void warn_of_prune_interval(const Config& config, std::vector<std::string>& warnings) {
  const MsqConfig& msq = config.part<MsqConfig>();
  const int epochs = config.stage("msq").epochs;
  if (!config.runs("msq") || msq.has_budget() || msq.prune_interval < epochs) return;
  warnings.push_back(
      fmt::format("msq.prune_interval = {}, msq.epochs = {}; no layer loses a bit", msq.prune_interval, epochs));
}

}  // namespace

void add_msq_keys(ConfigSchema& schema) {
  const auto has_budget = [](const Config& config) { return config.part<MsqConfig>().has_budget(); };
  const auto has_none = [=](const Config& config) { return !has_budget(config); };
  schema.add_training("msq", {.epochs = 200, .lr = 0.1, .schedule = "cosine", .milestones = {}});
  auto msq = schema.part<MsqConfig>("msq");
  msq.add("strength", &MsqConfig::strength, at_least(0), "strength of the penalty on last bits; more gives fewer bits");
  msq.add("prune_interval", &MsqConfig::prune_interval, at_least(1),
          "epochs after which every layer whose last bits are empty enough loses its last bit")
      .applies = has_none;
  msq.add("prune_threshold", &MsqConfig::prune_threshold, between(0, 100),
          "percent of set last bits below which a layer loses its last bit")
      .applies = has_none;
  msq.add(
         "budget_bits", &MsqConfig::budget_bits, between(0, 9),
         "bits per weight to come to along a plan, as budget_count counts them: the layers with the emptiest last bits "
         "lose them while they train; 0 = by prune_threshold")
      .applies = has_budget;
  msq.add("budget_count", &MsqConfig::budget_count, one_of(budget_counts()),
          "what budget_bits counts: stored: bits, signs and scales, by which methods are compared; published: bits "
          "alone; bops: bits and signs by multiply-adds and bits of activations (compute, not size)")
      .applies = has_budget;
  msq.add("budget_epochs", &MsqConfig::budget_epochs, at_least(0),
          "epochs after which the budget is met, of which each takes bits away; 0 = half of the stage")
      .applies = has_budget;
  schema.add_check("msq", check_msq);
  schema.add_warning(warn_of_prune_interval);
}

}  // namespace bsq
