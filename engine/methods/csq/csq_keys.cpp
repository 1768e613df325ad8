#include "engine/methods/csq/csq_keys.h"

#include "engine/config/config_schema.h"
#include "kernels/types.h"

#include <fmt/format.h>

namespace bsq {
namespace {

void check_csq(const Config& config, std::vector<Conflict>& conflicts) {
  if (!config.runs("csq")) return;
  const CsqConfig& csq = config.part<CsqConfig>();
  if (const int epochs = config.stage("csq").epochs; csq.hard_mask_epochs >= epochs)
    conflicts.push_back({{"csq.hard_mask_epochs", "csq.epochs"},
                         fmt::format("csq.hard_mask_epochs = {}; must be less than csq.epochs = {}, since masks are "
                                     "trained in the epochs before",
                                     csq.hard_mask_epochs, epochs)});
  if (csq.target_bits > config.quant.weight_bits)
    conflicts.push_back({{"csq.target_bits", "quant.weight_bits"},
                         fmt::format("csq.target_bits = {:g}; must be at most quant.weight_bits = {}, with which "
                                     "training begins",
                                     csq.target_bits, config.quant.weight_bits)});
  for (const std::string& stage : config.stages) {
    if (stage == "csq") break;
    if (config.schema().find_stage(stage)->widths != StageWidths::none)
      conflicts.push_back({{"stages"},
                           fmt::format("stages = {}; csq starts from float weights, and {} puts them on a grid; leave "
                                       "one of them out",
                                       to_text(config.stages), stage)});
  }
}

}  // namespace

void add_csq_keys(ConfigSchema& schema) {
  schema.add_training(
      "csq",
      {.epochs = 600, .lr = 0.1, .schedule = "cosine", .warmup_epochs = 5, .weight_decay = 5e-4, .milestones = {}});
  auto csq = schema.part<CsqConfig>("csq");
  csq.add("target_bits", &CsqConfig::target_bits, between(0, kMaxBits),
          "bits per weight, without the sign, that the budget pulls to, and that masks come to where they harden");
  csq.add("budget_strength", &CsqConfig::budget_strength, at_least(0), "strength of the budget on masks");
  csq.add("end_temperature", &CsqConfig::end_temperature, at_least(1),
          "temperature of the gates when masks become hard; it rises to it from 1 by a factor per epoch");
  csq.add("hard_mask_epochs", &CsqConfig::hard_mask_epochs, at_least(0),
          "last epochs, in which masks are hard and only planes and scales are trained");
  csq.add("count", &CsqConfig::count, one_of({"weights", "masks"}),
          "what the budget averages over: weights, or masks whatever the size of their layer, as published");
  csq.add("meet_target", &CsqConfig::meet_target, anything(),
          "whether masks nearest to their boundary are switched when all become hard, until the bits are those of "
          "target_bits; false: as published, the target is a wish");
  schema.add_check("csq", check_csq);
}

}  // namespace bsq
