// The section `pretrain` of a configuration.
#pragma once

namespace bsq {

class ConfigSchema;

struct PretrainConfig {
  int act_bits = 0;  // activation bits while training in float; 0 = not quantized (--act)
};

void add_pretrain_keys(ConfigSchema& schema);

}  // namespace bsq
