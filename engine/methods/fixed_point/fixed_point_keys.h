// The section `finetune` of a configuration: what every training has, and by which method.
#pragma once

#include <string>

namespace bsq {

class ConfigSchema;

struct FinetuneConfig {
  std::string method = "fixed";     // or lsq
  std::string steps = "tensor";     // of lsq; or channel
  std::string range = "symmetric";  // of lsq; or asymmetric
};

void add_finetune_keys(ConfigSchema& schema);

}  // namespace bsq
