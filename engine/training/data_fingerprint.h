// Tells the data of a run from other data: a run that goes on must see the images that it began with.
#pragma once

#include "engine/input/fingerprint.h"

#include <nlohmann/json.hpp>

#include <optional>
#include <string>

namespace bsq {

struct DataFingerprint {
  SetFingerprint train;
  SetFingerprint test;
  std::optional<SetFingerprint> holdout = {};  // what is held out of training, if anything is
};

nlohmann::json to_json(const DataFingerprint& data);
/// Of the state.json of a checkpoint; nothing if it says nothing, as those of older versions. Throws Error(checkpoint),
/// naming `where`, if it is damaged.
std::optional<DataFingerprint> fingerprint_from_json(const nlohmann::json& state, const std::string& where);

/// Whether changes() can tell: not where a set was kept in memory then and is read from files now, or the other way
/// round.
bool are_comparable(const DataFingerprint& then, const DataFingerprint& now);
/// How the images are others than then: "the training set has 499 images, and had 500"; empty if they are the same.
std::string changes(const DataFingerprint& then, const DataFingerprint& now);

}  // namespace bsq
