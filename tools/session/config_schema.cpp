#include "tools/session/config_schema.h"

#include "data/augmentations/augmentations.h"
#include "data/datasets.h"
#include "engine/methods/methods.h"
#include "models/families.h"

namespace bsq {

const ConfigSchema& config_schema() {
  static const ConfigSchema schema({.families = choices_of<ConfigChoice>(network_families()),
                                    .data_sets = choices_of<ConfigChoice>(dataset_kinds()),
                                    .augmentations = choices_of<ConfigChoice>(augmentations()),
                                    .stages = choices_of<StageChoice>(methods())});
  return schema;
}

bool is_config_key(const std::string& name) {
  return config_schema().find(name) != nullptr;
}

}  // namespace bsq
