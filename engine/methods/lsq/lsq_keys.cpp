#include "engine/methods/lsq/lsq_keys.h"

#include "engine/config/config_schema.h"
#include "engine/methods/width_budget.h"

namespace bsq {
namespace {

void check_lsq_budget(const Config& config, std::vector<Conflict>& conflicts) {
  const LsqConfig& lsq = config.part<LsqConfig>();
  if (config.runs("lsq") && lsq.has_budget())
    check_width_budget("lsq", lsq.budget(), lsq.budget_epochs, config, conflicts);
}

}  // namespace

void add_lsq_keys(ConfigSchema& schema) {
  const auto has_budget = [](const Config& config) { return config.part<LsqConfig>().has_budget(); };
  schema.add_training("lsq", {.epochs = 90, .lr = 0.01, .schedule = "cosine", .milestones = {}});
  auto lsq = schema.part<LsqConfig>("lsq");
  lsq.add("steps", &LsqConfig::steps, one_of({"tensor", "channel"}),
          "which weights share a step: tensor; channel: an output channel, in convolutions whose output only batch "
          "norms read");
  lsq.add("budget_bits", &LsqConfig::budget_bits, between(0, 9),
          "bits per weight to come to, as budget_count counts them: layers then lose bits while they train; 0 = widths "
          "stay")
      .applies = has_budget;
  lsq.add("budget_count", &LsqConfig::budget_count, one_of(budget_counts()),
          "what budget_bits counts: stored: bits, signs and scales, by which methods are compared; published: bits "
          "alone; bops: bits and signs by multiply-adds and bits of activations (compute, not size); an empty layer "
          "counts as one bit")
      .applies = has_budget;
  lsq.add("budget_epochs", &LsqConfig::budget_epochs, at_least(0),
          "epochs after which the budget is met, of which each takes bits away; 0 = half of the stage")
      .applies = has_budget;
  schema.add_check("lsq", check_lsq_budget);
}

}  // namespace bsq
