// To and from state.json, and what is said where images differ.
#include "engine/training/data_fingerprint.h"

#include "engine/files/json.h"
#include "kernels/base/error.h"

namespace bsq {
namespace {

nlohmann::json to_json(const SetFingerprint& set) {
  nlohmann::json json = {{"images", set.images}, {"hash", set.hash}};
  if (set.is_of_files) json["is_of_files"] = true;
  return json;
}

SetFingerprint set_from_json(const nlohmann::json& json) {
  SetFingerprint set;
  set.images = json_count<std::int64_t>(json.at("images"));
  set.hash = json_count<std::uint64_t>(json.at("hash"));
  if (json.contains("is_of_files")) json.at("is_of_files").get_to(set.is_of_files);
  return set;
}

std::string changes(const char* name, const SetFingerprint& then, const SetFingerprint& now) {
  if (then == now) return "";
  if (then.images != now.images)
    return fmt::format("the {} set has {} images, and had {}", name, now.images, then.images);
  if (then.is_of_files != now.is_of_files) return "";  // see are_comparable
  return fmt::format("the {} set has as many images, but other {}, labels, classes or another order", name,
                     then.is_of_files ? "files" : "pixels");
}

}  // namespace

nlohmann::json to_json(const DataFingerprint& data) {
  nlohmann::json json = {{"train", to_json(data.train)}, {"test", to_json(data.test)}};
  if (data.holdout) json["holdout"] = to_json(*data.holdout);
  return json;
}

std::optional<DataFingerprint> fingerprint_from_json(const nlohmann::json& state, const std::string& where) {
  if (!state.contains("data")) return std::nullopt;
  try {
    const nlohmann::json& data = state.at("data");
    DataFingerprint found{set_from_json(data.at("train")), set_from_json(data.at("test"))};
    if (data.contains("holdout")) found.holdout = set_from_json(data.at("holdout"));
    return found;
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::checkpoint, "{}: state.json is damaged ({}); take an older checkpoint", where, error.what());
  }
}

bool are_comparable(const DataFingerprint& then, const DataFingerprint& now) {
  return then.train.is_of_files == now.train.is_of_files && then.test.is_of_files == now.test.is_of_files &&
         (!then.holdout || !now.holdout || then.holdout->is_of_files == now.holdout->is_of_files);
}

std::string changes(const DataFingerprint& then, const DataFingerprint& now) {
  const std::string train = changes("training", then.train, now.train), test = changes("test", then.test, now.test);
  const std::string both = train + (train.empty() || test.empty() ? "" : ", and ") + test;
  if (!both.empty() || !then.holdout || !now.holdout)
    return both;  // what is left of training tells one share from others
  return changes("held out", *then.holdout, *now.holdout);
}

}  // namespace bsq
