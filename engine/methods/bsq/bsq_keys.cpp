#include "engine/methods/bsq/bsq_keys.h"

#include <fmt/format.h>

namespace bsq {
namespace {

void warn_of_interval(const Config& config, std::vector<std::string>& warnings) {
  const int interval = config.part<BsqConfig>().requant_interval, epochs = config.stage("bsq").epochs;
  if (!config.runs("bsq") || config.part<BsqConfig>().has_budget() || interval < epochs) return;
  warnings.push_back(fmt::format("bsq.requant_interval = {}, bsq.epochs = {}; no re-quantization before the final one",
                                 interval, epochs));
}

void check_bsq(const Config& config, std::vector<Conflict>& conflicts) {
  const BsqConfig& bsq = config.part<BsqConfig>();
  if (!config.runs("bsq") || !bsq.has_budget()) return;
  if (bsq.alpha_is_set && bsq.alpha != 0)
    conflicts.push_back(
        {{"bsq." + bsq.leaf(), "bsq.alpha"},
         fmt::format("bsq.{} = {:.12g} and bsq.alpha = {:g}; a budget has a strength of its own: leave "
                     "bsq.alpha out, or set it to 0 where a file sets it; bsq.budget_alpha is what alpha is at most",
                     bsq.leaf(), bsq.given(), bsq.alpha)});
  check_budget("bsq", bsq, conflicts);
}

}  // namespace

void add_bsq_keys(ConfigSchema& schema) {
  const auto has_budget = [](const Config& config) { return config.part<BsqConfig>().has_budget(); };
  schema.add_training("bsq", {.epochs = 350, .lr = 0.1, .milestones = {250}});
  auto bsq = schema.part<BsqConfig>("bsq");
  ConfigKey& alpha = bsq.add("alpha", &BsqConfig::alpha, at_least(0),
                             "strength of the penalty on bit planes; more gives fewer bits", "--decay");
  // A configuration has alpha or a budget.
  alpha.applies = [=](const Config& config) { return !has_budget(config); };
  alpha.field.set = [](Config& config, const ConfigValue& value) {
    config.part<BsqConfig>().alpha = std::get<double>(value);
    config.part<BsqConfig>().alpha_is_set = true;
  };
  bsq.add("cost", &BsqConfig::cost, one_of({"weights", "bops"}),
          "what a bit of a layer costs in the penalty: its weights (size), or its multiply-adds times the bits of the "
          "activations it reads (compute)");
  bsq.add("requant_interval", &BsqConfig::requant_interval, at_least(1), "epochs from one re-quantization to the next",
          "--Prun_Int");
  bsq.add("prune_threshold", &BsqConfig::prune_threshold, between(0, 100),
          "percent of ones at or below which a plane is dropped", "--thre");
  add_budget_keys<BsqConfig>(schema, "bsq", {.how = " along a plan", .none = "no budget"});
  bsq.add("budget_alpha", &BsqConfig::budget_alpha, between(1e-6, 1e6),
          "alpha under a budget, down to a 20th of it where training is ahead of the plan")
      .applies = has_budget;
  schema.add_check("bsq", check_bsq);
  schema.add_warning(warn_of_interval);
}

}  // namespace bsq
