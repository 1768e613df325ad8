#include "engine/methods/budget_keys.h"

#include <fmt/format.h>

namespace bsq {

std::string meaning_of_budget_bits(const BudgetWords& words) {
  return fmt::format("bits per weight to come to, as budget_count counts them{}; 0 = {}", words.how, words.none);
}

std::string meaning_of_budget_count() {
  return "what budget_bits counts: stored: bits, signs and scales, by which methods are compared; published: bits "
         "alone; bops: bits and signs by multiply-adds and bits of activations (compute, not size); an empty layer "
         "counts as one bit";
}

void check_budget(const std::string& section, const BudgetConfig& budget, std::vector<Conflict>& conflicts) {
  const double least = budget.budget().least_of_any();
  if (budget.budget_bits >= least) return;
  conflicts.push_back(
      {{section + ".budget_bits", section + ".budget_count"},
       fmt::format(
           "{}.budget_bits = {:g}; must be at least {:g}: every layer keeps a bit{}, or 0 for no budget", section,
           budget.budget_bits, least,
           least == 2 ? fmt::format(" and its signs ({}.budget_count: {})", section, budget.budget_count) : "")});
}

void check_width_budget(const std::string& section, const WidthBudgetConfig& budget, const Config& config,
                        std::vector<Conflict>& conflicts) {
  check_budget(section, budget, conflicts);
  if (const int epochs = config.stage(section).epochs; budget.budget_epochs > epochs)
    conflicts.push_back({{section + ".budget_epochs", section + ".epochs"},
                         fmt::format("{0}.budget_epochs = {1}; must be at most {0}.epochs = {2}", section,
                                     budget.budget_epochs, epochs)});
}

std::string budget_conflict(const std::string& section, const BitBudget& budget, const ArenaLayout& layout) {
  const double least = budget.least(layout);
  if (budget.bits >= least) return {};
  return fmt::format(
      "{0}.budget_bits = {1:g}: this network cannot come below {2:.4f} {4} ({0}.budget_count: {3}), a bit of each "
      "tensor and all bits of those of a fixed width; raise it",
      section, budget.bits, least, budget.count_name(), budget.unit());
}

}  // namespace bsq
