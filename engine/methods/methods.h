// The methods there are, as a table: one line per stage that a configuration may name.
#pragma once

#include "engine/config/config.h"
#include "engine/methods/method.h"

#include <memory>
#include <span>
#include <string>

namespace bsq {

struct MethodEntry {
  const char* stage;  // as `stages` of the configuration has it
  /// Epochs and optimizer; null: the stage converts weights and does not train.
  const StageConfig* (*training)(const Config& config);
  std::unique_ptr<Method> (*make)(const Config& config);
};

std::span<const MethodEntry> methods();
/// The line of a stage. Throws Error(usage) if there is none.
const MethodEntry& method_of_stage(const std::string& stage);
/// Epochs and optimizer of a stage; null where it does not train.
const StageConfig* training_of_stage(const Config& config, const std::string& stage);

}  // namespace bsq
