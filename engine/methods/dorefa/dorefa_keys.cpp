#include "engine/methods/dorefa/dorefa_keys.h"

#include "engine/config/config_schema.h"

namespace bsq {

void add_dorefa_keys(ConfigSchema& schema) {
  schema.add_training("dorefa", {.epochs = 200, .lr = 0.1, .schedule = "cosine", .milestones = {}});
}

}  // namespace bsq
