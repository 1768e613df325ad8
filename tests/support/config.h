// Configurations with the keys that the program has.
#pragma once

#include "data/augmentations/augmentations.h"
#include "data/augmentations/color_jitter.h"
#include "data/augmentations/rand_augment.h"
#include "data/augmentations/random_erasing.h"
#include "data/datasets.h"
#include "data/synthetic.h"
#include "engine/config/config_schema.h"
#include "engine/methods/bsq/bsq_keys.h"
#include "engine/methods/csq/csq_keys.h"
#include "engine/methods/dense/dense_keys.h"
#include "engine/methods/fixed_point/fixed_point_keys.h"
#include "engine/methods/lsq/lsq_keys.h"
#include "engine/methods/msq/msq_keys.h"
#include "engine/methods/methods.h"
#include "models/families.h"
#include "models/resnet.h"

namespace bsq::test {

inline const ConfigSchema& schema() {
  static const ConfigSchema schema({.families = choices_of<ConfigChoice>(network_families()),
                                    .data_sets = choices_of<ConfigChoice>(dataset_kinds()),
                                    .augmentations = choices_of<ConfigChoice>(augmentations()),
                                    .stages = choices_of<StageChoice>(methods())});
  return schema;
}

/// The published recipe.
inline Config default_config() {
  return Config(schema());
}

}  // namespace bsq::test
