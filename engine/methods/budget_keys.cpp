#include "engine/methods/budget_keys.h"

#include "engine/model/stored_weights.h"
#include "kernels/types.h"

#include <fmt/ranges.h>

#include <cmath>
#include <utility>

namespace bsq {
namespace {

constexpr int kShownDigits = 12;  // of bytes all

std::string signs_of(const std::string& section, const BitBudget& budget) {
  return budget.least_of_any() == 2 ? fmt::format(" and its signs ({}.budget_count: {})", section, budget.count_name())
                                    : "";
}

/// Why a size is not what the count counts; empty if it is, or if no size is asked for.
std::string no_size_in(const std::string& section, const BudgetConfig& budget) {
  if (budget.budget_ratio > 0 && budget.budget_count == "bops")
    return fmt::format(
        "{0}.budget_ratio = {1:g} and {0}.budget_count = bops; a ratio is one of sizes: count stored or "
        "published bits, or give {0}.budget_bits",
        section, budget.budget_ratio);
  if (budget.budget_bytes > 0 && budget.budget_count != "stored")
    return fmt::format(
        "{0}.budget_bytes = {1:.{2}g} and {0}.budget_count = {3}; bytes are those of a whole file: leave "
        "{0}.budget_count out, or set it to stored where a file sets it",
        section, budget.budget_bytes, kShownDigits, budget.budget_count);
  return {};
}

/// Why no network can have it; empty if some can. `given`: key and value.
std::string beyond_range(const std::string& section, const BitBudget& budget, const std::string& given) {
  const double least = budget.least_of_any(), most = kMaxBits + least - 1;
  if (budget.ratio > 0 && budget.bits > most)
    return fmt::format("{}; must be at least {:g}: a weight has at most {} bits{}, or 0 for no budget", given,
                       kFloatBits / most, kMaxBits, least == 2 ? " and a sign" : "");
  if (budget.is_limit() || budget.bits >= least) return {};
  return fmt::format("{}; must be at {} {:g}: every layer keeps a bit{}, or 0 for no budget", given,
                     budget.ratio > 0 ? "most" : "least", budget.ratio > 0 ? kFloatBits / least : least,
                     signs_of(section, budget));
}

}  // namespace

std::string meaning_of_budget_bits(const BudgetWords& words) {
  return fmt::format("bits per weight to come to, as budget_count counts them{}; 0 = {}", words.how, words.none);
}

std::string meaning_of_budget_ratio() {
  return "in place of budget_bits: how many times fewer bits than float32 (32 per weight); 0 = not given";
}

std::string meaning_of_budget_bytes() {
  return "in place of budget_bits: the most bytes that the model's file of bsq export --format packed may have, with "
         "all that it holds; 0 = not given";
}

std::string meaning_of_budget_count() {
  return "what budget_bits and budget_ratio count: stored: bits, signs and scales, by which methods are compared; "
         "published: bits "
         "alone; bops: bits and signs by multiply-adds and bits of activations (compute, not size); an empty layer "
         "counts as one bit";
}

BitBudget BudgetConfig::budget() const {
  if (budget_bytes > 0) return {.count = BudgetCount::file, .bytes = budget_bytes};
  const BudgetCount count = budget_count_named(budget_count);
  if (budget_ratio > 0) return {.bits = kFloatBits / budget_ratio, .count = count, .ratio = budget_ratio};
  return {.bits = budget_bits, .count = count};
}

std::string BudgetConfig::leaf() const {
  return budget_bytes > 0 ? "budget_bytes" : budget_ratio > 0 ? "budget_ratio" : "budget_bits";
}

std::string BudgetConfig::advice_for_more(const std::string& section) const {
  return fmt::format("{} {}.{} ({:.{}g})", budget_ratio > 0 ? "lower" : "raise", section, leaf(), given(),
                     kShownDigits);
}

void check_budget(const std::string& section, const BudgetConfig& budget, std::vector<Conflict>& conflicts) {
  const auto key = [&](const std::string& leaf) { return section + "." + leaf; };
  std::vector<std::string> given, keys;
  for (const auto& [leaf, value] : {std::pair{"budget_bits", budget.budget_bits},
                                    {"budget_ratio", budget.budget_ratio},
                                    {"budget_bytes", budget.budget_bytes}}) {
    if (value == 0) continue;
    keys.push_back(key(leaf));
    given.push_back(fmt::format("{} = {:.{}g}", key(leaf), value, kShownDigits));
  }
  if (given.size() > 1) {
    conflicts.push_back({keys, fmt::format("{}; a budget is said in one way: leave the others out, or set them to 0 "
                                           "where a file sets them",
                                           fmt::join(given, " and "))});
    return;
  }
  const std::string no_size = no_size_in(section, budget);
  if (!no_size.empty())
    conflicts.push_back({{key("budget_count"), keys.front()}, no_size});
  else if (const std::string range = beyond_range(section, budget.budget(), given.front()); !range.empty())
    conflicts.push_back({{keys.front(), key("budget_count")}, range});
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
  const double least = budget.least(layout), wanted = budget.bits_of(layout);
  constexpr double kRoundingOfSums = 1e-9;
  if (wanted >= least - kRoundingOfSums) return {};
  constexpr std::string_view kNarrowest = "a bit of each tensor and all bits of those of a fixed width";
  if (budget.is_limit())
    return fmt::format(
        "{}.budget_bytes = {:.0f}: a packed file of this network cannot come below {:.0f} bytes, with {}; raise it",
        section, budget.bytes, std::ceil(budget.bytes_of(least, layout) - kRoundingOfSums), kNarrowest);
  if (budget.ratio > 0)
    return fmt::format(
        "{}.budget_ratio = {:g}: this network can be {:.3f} times smaller at most ({}.budget_count: {}), with {}; "
        "lower it",
        section, budget.ratio, std::floor(1000 * kFloatBits / least) / 1000, section, budget.count_name(), kNarrowest);
  return fmt::format(
      "{0}.budget_bits = {1:g}: this network cannot come below {2:.4f} {4} ({0}.budget_count: {3}), {5}; "
      "raise it",
      section, budget.bits, least, budget.count_name(), budget.unit(), kNarrowest);
}

nlohmann::ordered_json budget_fields(const BitBudget& budget, const ArenaLayout& layout) {
  nlohmann::ordered_json fields = {{"budget_bits", budget.bits_of(layout)}, {"budget_count", budget.count_name()}};
  if (const std::string words = budget.words(); !words.empty()) fields["budget_words"] = words;
  return fields;
}

}  // namespace bsq
