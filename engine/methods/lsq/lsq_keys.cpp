#include "engine/methods/lsq/lsq_keys.h"

namespace bsq {
void add_lsq_keys(ConfigSchema& schema) {
  schema.add_training("lsq", {.epochs = 90, .lr = 0.01, .schedule = "cosine", .milestones = {}});
  auto lsq = schema.part<LsqConfig>("lsq");
  lsq.add("steps", &LsqConfig::steps, one_of({"tensor", "channel"}),
          "which weights share a step: tensor; channel: an output channel, in convolutions whose output only batch "
          "norms read");
  lsq.add("range", &LsqConfig::range, one_of({"symmetric", "asymmetric"}),
          "levels of n bits and a sign: symmetric: -(2^n - 1) .. 2^n - 1; asymmetric: -2^n .. 2^n - 1, as published, "
          "for "
          "up to 7 bits")
      .applies = [](const Config& config) { return config.part<LsqConfig>().range != "symmetric"; };
  add_width_budget_keys<LsqConfig>(schema, "lsq",
                                   {.how = ": layers then lose bits while they train", .none = "widths stay"});
}

}  // namespace bsq
