// The stages there are, as a table: one line per stage, in the order in which they may run.
#pragma once

#include "engine/config/config_schema.h"
#include "engine/methods/method.h"

#include <memory>
#include <string>
#include <vector>

namespace bsq {

struct MethodEntry : StageChoice {
  std::unique_ptr<Method> (*make)(const Config& config);
};

const std::vector<MethodEntry>& methods();
/// The method of a stage. Throws Error(usage) if there is no such stage.
std::unique_ptr<Method> method_of_stage(const std::string& stage, const Config& config);

}  // namespace bsq
