#include "engine/methods/msq/msq_keys.h"

#include <fmt/format.h>

namespace bsq {
namespace {

void warn_of_prune_interval(const Config& config, std::vector<std::string>& warnings) {
  const MsqConfig& msq = config.part<MsqConfig>();
  const int epochs = config.stage("msq").epochs;
  if (!config.runs("msq") || msq.has_budget() || msq.prune_interval < epochs) return;
  warnings.push_back(
      fmt::format("msq.prune_interval = {}, msq.epochs = {}; no layer loses a bit", msq.prune_interval, epochs));
}

}  // namespace

void add_msq_keys(ConfigSchema& schema) {
  const auto has_none = [](const Config& config) { return !config.part<MsqConfig>().has_budget(); };
  schema.add_training("msq", {.epochs = 200, .lr = 0.1, .schedule = "cosine", .milestones = {}});
  auto msq = schema.part<MsqConfig>("msq");
  msq.add("strength", &MsqConfig::strength, at_least(0), "strength of the penalty on last bits; more gives fewer bits");
  msq.add("prune_interval", &MsqConfig::prune_interval, at_least(1),
          "epochs after which every layer whose last bits are empty enough loses its last bit")
      .applies = has_none;
  msq.add("prune_threshold", &MsqConfig::prune_threshold, between(0, 100),
          "percent of set last bits below which a layer loses its last bit")
      .applies = has_none;
  add_width_budget_keys<MsqConfig>(
      schema, "msq",
      {.how = " along a plan: the layers with the emptiest last bits lose them while they train",
       .none = "by prune_threshold"});
  schema.add_warning(warn_of_prune_interval);
}

}  // namespace bsq
