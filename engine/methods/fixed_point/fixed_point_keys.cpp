#include "engine/methods/fixed_point/fixed_point_keys.h"

#include "engine/config/config_schema.h"

namespace bsq {

void add_finetune_keys(ConfigSchema& schema) {
  schema.add_training("finetune", {.epochs = 300, .lr = 0.01, .milestones = {150, 250}});
  auto finetune = schema.part<FinetuneConfig>("finetune");
  finetune.add("method", &FinetuneConfig::method, one_of({"fixed", "lsq"}),
               "how weights are trained under their widths: fixed: beside their scale, as published; lsq: as stage lsq "
               "does");
  finetune.add("steps", &FinetuneConfig::steps, one_of({"tensor", "channel"}), "of method lsq: as lsq.steps").applies =
      [](const Config& config) { return config.part<FinetuneConfig>().method == "lsq"; };
  finetune.add("range", &FinetuneConfig::range, one_of({"symmetric", "asymmetric"}), "of method lsq: as lsq.range")
      .applies = [](const Config& config) {
    const FinetuneConfig& options = config.part<FinetuneConfig>();
    return options.method == "lsq" && options.range != "symmetric";
  };
}

}  // namespace bsq
