// The keys of a budget of bits, which methods share: a method's section has them beside its own.
#pragma once

#include "engine/config/config_schema.h"
#include "engine/model/bit_budget.h"

#include <string>
#include <vector>

namespace bsq {

struct BudgetConfig {
  double budget_bits = 0;               // per weight; 0: no budget
  std::string budget_count = "stored";  // budget_counts()

  bool has_budget() const { return budget_bits > 0; }
  BitBudget budget() const { return {budget_bits, budget_count_named(budget_count)}; }
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
std::string meaning_of_budget_count();
/// Refuses a budget that no network can meet.
void check_budget(const std::string& section, const BudgetConfig& budget, std::vector<Conflict>& conflicts);
/// The same, and a window that is longer than the stage.
void check_width_budget(const std::string& section, const WidthBudgetConfig& budget, const Config& config,
                        std::vector<Conflict>& conflicts);
/// Why this network cannot meet the budget of a section, and what it can; empty if it can.
std::string budget_conflict(const std::string& section, const BitBudget& budget, const ArenaLayout& layout);

/// Adds the keys of a budget to the section of `Part`, a BudgetConfig.
template <typename Part>
void add_budget_keys(ConfigSchema& schema, const std::string& section, const BudgetWords& words) {
  const auto has_budget = [](const Config& config) { return config.part<Part>().has_budget(); };
  auto rows = schema.part<Part>(section);
  rows.add("budget_bits", &BudgetConfig::budget_bits, between(0, 9), meaning_of_budget_bits(words)).applies =
      has_budget;
  rows.add("budget_count", &BudgetConfig::budget_count, one_of(budget_counts()), meaning_of_budget_count()).applies =
      has_budget;
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
