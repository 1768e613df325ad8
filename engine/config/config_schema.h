// The keys of a configuration: those that all experiments have, and those that data sets, augmentations, network
// families and methods add. Each of them has a row in a table (data/datasets.cpp, data/augmentations/augmentations.cpp,
// models/families.cpp, engine/methods/methods.cpp); whoever loads configurations makes a schema of the four, and this
// folder knows no name in them.
#pragma once

#include "engine/config/config.h"
#include "engine/config/config_checks.h"
#include "engine/config/config_keys.h"

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace bsq {

/// A value of data.kind, of model.arch or in stages, or an augmentation, and the keys that come with it.
struct ConfigChoice {
  std::string name;
  void (*add_keys)(ConfigSchema&) = nullptr;  // null: none
};

/// A key of section `model` that a family of networks has.
struct FamilyKey {
  std::string leaf;
  ConfigValue standard;  // the family's default
  Allowed allowed;
  std::string meaning;
  std::string old_flag = "";  // of the published scripts
};

/// How a stage deals with the bit widths of layers.
enum class StageWidths { none, finds, needs };

struct StageChoice : ConfigChoice {
  StageWidths widths = StageWidths::none;
  bool is_standard = false;       // part of the chain that runs if a configuration does not set `stages`
  bool starts_untrained = false;  // may be the first stage of a run without model.init
  bool stands_alone = false;      // has a grid that no other stage that quantizes could begin with or take over
};

struct ConfigChoices {
  std::vector<ConfigChoice> families;       // values of model.arch
  std::vector<ConfigChoice> data_sets;      // values of data.kind
  std::vector<ConfigChoice> augmentations;  // of training images: their keys are in `data`
  std::vector<StageChoice> stages;          // in the order in which they may run
};

/// The rows of a table as choices.
template <typename Choice, typename Table>
std::vector<Choice> choices_of(const Table& table) {
  return {table.begin(), table.end()};
}

using ConfigCheck = std::function<void(const Config&, std::vector<Conflict>&)>;
using ConfigWarning = std::function<void(const Config&, std::vector<std::string>&)>;

class ConfigSchema {
 public:
  /// The first family, the first data set and the standard stages are the defaults.
  explicit ConfigSchema(const ConfigChoices& choices);
  ConfigSchema(const ConfigSchema&) = delete;  // a Config knows its schema by address
  ConfigSchema& operator=(const ConfigSchema&) = delete;

  /// All keys, sections together, in the order they are printed.
  const std::vector<ConfigKey>& keys() const { return keys_; }
  /// Null if no key has this name.
  const ConfigKey* find(const std::string& name) const;
  /// Names of the sections, in order, the root (an empty name) first.
  std::vector<std::string> sections() const;
  const std::vector<std::string>& families() const { return families_; }
  const std::vector<std::string>& data_sets() const { return data_sets_; }
  /// All stages there are, in the order in which they may run.
  const std::vector<StageChoice>& stages() const { return stages_; }
  const StageChoice* find_stage(const std::string& name) const;

  /// Adds keys of one section for fields of one struct; `reach` leads from a Config to it.
  template <typename Reach>
  class Rows {
   public:
    Rows(ConfigSchema& schema, std::string section, Reach reach)
        : schema_(schema), section_(std::move(section)), reach_(reach) {}

    /// The key, for what few keys need beside this; until the next one is added.
    template <typename Owner, typename T>
    ConfigKey& add(const std::string& leaf, T Owner::*member, Allowed allowed, std::string meaning,
                   std::string old_flag = "", bool may_change_on_resume = false) {
      ConfigField field = {
          [reach = reach_, member](const Config& config) { return ConfigValue(reach(config).*member); },
          [reach = reach_, member](Config& config, const ConfigValue& value) {
            reach(config).*member = std::get<T>(value);
          }};
      return schema_.add({.name = section_.empty() ? leaf : section_ + "." + leaf,
                          .field = std::move(field),
                          .allowed = std::move(allowed),
                          .meaning = std::move(meaning),
                          .old_flag = std::move(old_flag),
                          .may_change_on_resume = may_change_on_resume});
    }

   private:
    ConfigSchema& schema_;
    std::string section_;
    Reach reach_;
  };

  /// Adds keys for fields of `Part`, the struct that Config::part returns.
  template <typename Part>
  auto part(const std::string& section) {
    return rows(
        section, [](auto& config) -> auto& { return config.template part<Part>(); });
  }
  template <typename Reach>
  Rows<Reach> rows(const std::string& section, Reach reach) {
    return {*this, section, reach};
  }
  /// Families may have keys of one name and type; each has a default and a meaning of its own, and the range of the key
  /// is the widest of theirs. Config::family() gives the value.
  void add_family_keys(const std::string& family, const std::vector<FamilyKey>& keys);
  /// Null if the family has no such key.
  const FamilyKey* find_family_key(const std::string& family, const std::string& leaf) const;
  /// Names of families, with the keys that each has added.
  const std::map<std::string, std::vector<FamilyKey>>& family_keys() const { return family_keys_; }
  /// The keys that every training stage has, in the section of its name. A stage without them does not train.
  void add_training(const std::string& stage, const StageConfig& standard);
  /// Adds a check of what no single key of the section can tell. It runs whatever is chosen, so it has to ask whether
  /// its own choice is.
  void add_check(const std::string& section, ConfigCheck check) { checks_[section].push_back(std::move(check)); }
  void add_warning(ConfigWarning warning) { warnings_.push_back(std::move(warning)); }

  /// Adds what the checks of the section find.
  void check(const std::string& section, const Config& config, std::vector<Conflict>& conflicts) const;
  void warn(const Config& config, std::vector<std::string>& warnings) const;
  /// Default settings of the stages that train, by name.
  const std::map<std::string, StageConfig>& training() const { return training_; }

 private:
  /// Puts the key after the others of its section.
  ConfigKey& add(ConfigKey key);
  void add_root();
  void add_model(const std::vector<ConfigChoice>& families);
  void add_family_key(const std::string& family, const FamilyKey& key);
  void add_data(const ConfigChoices& choices);
  void add_quant();
  void add_distill();
  void add_files();

  std::vector<ConfigKey> keys_;
  std::vector<std::string> families_;   // names
  std::vector<std::string> data_sets_;  // names
  std::map<std::string, std::vector<FamilyKey>> family_keys_;
  std::vector<StageChoice> stages_;
  std::map<std::string, StageConfig> training_;
  std::map<std::string, std::vector<ConfigCheck>> checks_;  // by section
  std::vector<ConfigWarning> warnings_;
};

}  // namespace bsq
