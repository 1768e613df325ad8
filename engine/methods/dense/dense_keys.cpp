#include "engine/methods/dense/dense_keys.h"

#include "engine/config/config_schema.h"

namespace bsq {

void add_pretrain_keys(ConfigSchema& schema) {
  schema.add_training("pretrain", {.epochs = 350, .lr = 0.1, .milestones = {150, 250, 325}});
  auto pretrain = schema.part<PretrainConfig>("pretrain");
  pretrain.add("act_bits", &PretrainConfig::act_bits, between(0, 8),
               "activation bits in float training; 0 = not quantized", "--act");
}

}  // namespace bsq
