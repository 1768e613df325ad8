// The keys of a budget of bits, which methods share: a method's section has them beside its own.
#pragma once

#include "engine/config/config_schema.h"
#include "engine/model/bit_budget.h"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace bsq {

struct BudgetConfig {
  double budget_bits = 0;               // per weight; 0: not given
  double budget_ratio = 0;              // of float32 to it; 0: not given
  double budget_bytes = 0;              // of a packed file at most; 0: not given
  std::string budget_count = "stored";  // budget_counts()

  bool has_budget() const { return budget_bits > 0 || budget_ratio > 0 || budget_bytes > 0; }
  BitBudget budget() const;
  /// The key that it is given by: `budget_bits`.
  std::string leaf() const;
  double given() const { return budget_bits + budget_ratio + budget_bytes; }  // one of them
  /// What to do for more bits, under the keys of a section: `raise bsq.budget_bits (4)`.
  std::string advice_for_more(const std::string& section) const;
};

/// Of methods that take bits away in a window (engine/methods/width_budget.h).
struct WidthBudgetConfig : BudgetConfig {
  int budget_epochs = 0;  // in which bits are taken away; 0: half of the stage
};

/// What a method says of it in the meanings of keys.
struct BudgetWords {
  std::string how;   // the bits come down: `: layers then lose bits while they train`
  std::string none;  // what is without a budget: `no budget`
};

std::string meaning_of_budget_bits(const BudgetWords& words);
std::string meaning_of_budget_ratio();
std::string meaning_of_budget_bytes();
std::string meaning_of_budget_count();
/// Refuses a budget that no network can meet, or that is said in several ways.
void check_budget(const std::string& section, const BudgetConfig& budget, std::vector<Conflict>& conflicts);
/// The same, and a window that is longer than the stage.
void check_width_budget(const std::string& section, const WidthBudgetConfig& budget, const Config& config,
                        std::vector<Conflict>& conflicts);
/// Why this network cannot meet the budget of a section, and what it can; empty if it can.
std::string budget_conflict(const std::string& section, const BitBudget& budget, const ArenaLayout& layout);

/// What every event of a budget has: its bits, what they count, and the words in which it was given, if not in bits.
nlohmann::ordered_json budget_fields(const BitBudget& budget, const ArenaLayout& layout);

/// Adds the keys of a budget to the section of `Part`, a BudgetConfig.
template <typename Part>
void add_budget_keys(ConfigSchema& schema, const std::string& section, const BudgetWords& words) {
  const auto has = [](double BudgetConfig::*key) {
    return [key](const Config& config) { return config.part<Part>().*key > 0; };
  };
  auto rows = schema.part<Part>(section);
  rows.add("budget_bits", &BudgetConfig::budget_bits, between(0, 9), meaning_of_budget_bits(words)).applies =
      has(&BudgetConfig::budget_bits);
  rows.add("budget_ratio", &BudgetConfig::budget_ratio, between(0, 32), meaning_of_budget_ratio()).applies =
      has(&BudgetConfig::budget_ratio);
  rows.add("budget_bytes", &BudgetConfig::budget_bytes, at_least(0), meaning_of_budget_bytes()).applies =
      has(&BudgetConfig::budget_bytes);
  rows.add("budget_count", &BudgetConfig::budget_count, one_of(budget_counts()), meaning_of_budget_count()).applies =
      [](const Config& config) { return config.part<Part>().has_budget() && config.part<Part>().budget_bytes == 0; };
}

/// The same with a window, of a WidthBudgetConfig; and its check.
template <typename Part>
void add_width_budget_keys(ConfigSchema& schema, const std::string& section, const BudgetWords& words) {
  add_budget_keys<Part>(schema, section, words);
  schema.part<Part>(section)
      .add("budget_epochs", &WidthBudgetConfig::budget_epochs, at_least(0),
           "epochs after which the budget is met, of which each takes bits away; 0 = half of the stage")
      .applies = [](const Config& config) { return config.part<Part>().has_budget(); };
  schema.add_check(section, [section](const Config& config, std::vector<Conflict>& conflicts) {
    if (config.runs(section) && config.part<Part>().has_budget())
      check_width_budget(section, config.part<Part>(), config, conflicts);
  });
}

}  // namespace bsq
