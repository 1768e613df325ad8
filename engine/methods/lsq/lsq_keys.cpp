#include "engine/methods/lsq/lsq_keys.h"

#include "engine/config/config_schema.h"

namespace bsq {

void add_lsq_keys(ConfigSchema& schema) {
  schema.add_training("lsq", {.epochs = 90, .lr = 0.01, .schedule = "cosine", .milestones = {}});
}

}  // namespace bsq
