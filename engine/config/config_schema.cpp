#include "engine/config/config_schema.h"

#include "kernels/base/error.h"

#include <algorithm>

namespace bsq {

Config::Config(const ConfigSchema& schema) : schema_(&schema), training_(schema.training()) {
  model.arch = schema.families().front();
  data.kind = schema.data_sets().front();
  for (const StageChoice& stage : schema.stages())
    if (stage.is_standard) stages.push_back(stage.name);
}

const ConfigSchema& Config::schema() const {
  require(schema_ != nullptr, "a configuration without a schema");
  return *schema_;
}

bool Config::runs(const std::string& stage) const {
  return std::find(stages.begin(), stages.end(), stage) != stages.end();
}

const StageConfig* Config::find_stage(const std::string& stage) const {
  const auto found = training_.find(stage);
  return found == training_.end() ? nullptr : &found->second;
}

bool Config::distills(const std::string& stage) const {
  if (!distill.has_teacher() || find_stage(stage) == nullptr) return false;
  if (distill.stages.empty()) return schema().find_stage(stage)->widths != StageWidths::none;
  return std::ranges::find(distill.stages, stage) != distill.stages.end();
}

const ConfigKey* ConfigSchema::find(const std::string& name) const {
  const auto found = std::find_if(keys_.begin(), keys_.end(), [&](const ConfigKey& key) { return key.name == name; });
  return found == keys_.end() ? nullptr : &*found;
}

std::vector<std::string> ConfigSchema::sections() const {
  std::vector<std::string> sections;
  for (const ConfigKey& key : keys_) {
    if (sections.empty() || sections.back() != key.section()) sections.push_back(key.section());
  }
  return sections;
}

const StageChoice* ConfigSchema::find_stage(const std::string& name) const {
  const auto found =
      std::find_if(stages_.begin(), stages_.end(), [&](const StageChoice& stage) { return stage.name == name; });
  return found == stages_.end() ? nullptr : &*found;
}

void ConfigSchema::check(const std::string& section, const Config& config, std::vector<Conflict>& conflicts) const {
  const auto found = checks_.find(section);
  if (found == checks_.end()) return;
  for (const ConfigCheck& check : found->second) check(config, conflicts);
}

void ConfigSchema::warn(const Config& config, std::vector<std::string>& warnings) const {
  for (const ConfigWarning& warning : warnings_) warning(config, warnings);
}

ConfigKey& ConfigSchema::add(ConfigKey key) {
  require(find(key.name) == nullptr, "two keys {}", key.name);
  const auto last = std::find_if(keys_.rbegin(), keys_.rend(),
                                 [&](const ConfigKey& other) { return other.section() == key.section(); });
  return *keys_.insert(last == keys_.rend() ? keys_.end() : last.base(), std::move(key));
}

}  // namespace bsq
