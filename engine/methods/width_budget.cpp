#include "engine/methods/width_budget.h"

#include "engine/base/text.h"
#include "engine/methods/budget_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace bsq {
namespace {

bool comes_nearer(const std::vector<int>& bits, const ArenaLayout& layout, std::size_t slot, const BitBudget& budget) {
  if (layout.slots[slot].spec.widths.fixed || bits[slot] <= 1) return false;
  const double now = budget.average(bits, layout), target = budget.target(layout);
  return budget.distance(now - budget.share_of_bit(layout, slot), target) < budget.distance(now, target);
}

}  // namespace

double planned_width(double start, double target, int epochs, int window) {
  if (epochs >= window || start <= target) return target;
  return target + (start - target) * std::pow(1 - static_cast<double>(epochs) / window, 2);
}

int budget_window(int budget_epochs, int stage_epochs) {
  return std::max(1, budget_epochs > 0 ? budget_epochs : (stage_epochs + 1) / 2);
}

bool can_come_nearer(const std::vector<int>& bits, const ArenaLayout& layout, const BitBudget& budget) {
  for (std::size_t slot = 0; slot < bits.size(); ++slot)
    if (comes_nearer(bits, layout, slot, budget)) return true;
  return false;
}

WidthMeasures doubling(const std::vector<float>& measures, const std::vector<int>& bits) {
  WidthMeasures result;
  for (std::size_t slot = 0; slot < bits.size(); ++slot) {
    std::vector<float>& of_slot = result.emplace_back();
    for (int width = 0; width <= bits[slot]; ++width) of_slot.push_back(std::ldexp(measures[slot], bits[slot] - width));
  }
  return result;
}

std::vector<int> take_bits(std::vector<int> bits, const WidthMeasures& measures, const ArenaLayout& layout,
                           const BitBudget& budget, double planned, bool several) {
  std::vector<bool> has_lost(bits.size(), false);
  const auto measure_of = [&](std::size_t slot) { return measures.at(slot).at(static_cast<std::size_t>(bits[slot])); };
  while (!budget.is_within(budget.average(bits, layout), planned)) {
    std::optional<std::size_t> next;
    for (std::size_t slot = 0; slot < bits.size(); ++slot) {
      if ((has_lost[slot] && !several) || !comes_nearer(bits, layout, slot, budget)) continue;
      if (!next || measure_of(slot) < measure_of(*next)) next = slot;
    }
    if (!next) break;
    --bits[*next];
    has_lost[*next] = true;
  }
  return bits;
}

std::string WidthBudget::title() const {
  return fmt::format("{} within {} epochs", rule_.budget.title(), rule_.window);
}

std::string WidthBudget::conflict(const ArenaLayout& layout) const {
  return budget_conflict(rule_.section, rule_.budget, layout);
}

bool WidthBudget::start_epoch(int epoch, const std::vector<int>& bits, const std::function<WidthMeasures()>& measure,
                              const ArenaLayout& layout) {
  if (epoch_ == epoch) return false;
  epoch_ = epoch;
  note_.reset();
  next_bits_.clear();
  if (is_met_) return true;
  if (epoch == 0) start_bits_ = rule_.budget.average(bits, layout);
  const double planned = planned_width(start_bits_, rule_.budget.target(layout), epoch, rule_.window);
  const WidthMeasures measures = epoch > 0 ? measure() : WidthMeasures{};
  std::vector<int> left = bits;
  if (epoch > 0) left = take_bits(bits, measures, layout, rule_.budget, planned, /*several=*/epoch >= rule_.window);
  is_met_ = !can_come_nearer(left, layout, rule_.budget);
  note_ = note_of_epoch(epoch, bits, measures, left, layout);
  if (left != bits) next_bits_ = std::move(left);
  return true;
}

void WidthBudget::end(const std::vector<int>& bits, const WidthMeasures& measures, const ArenaLayout& layout) {
  next_bits_ = take_bits(bits, measures, layout, rule_.budget, rule_.budget.target(layout), /*several=*/true);
  note_ = note_of_end(bits, next_bits_, layout);
  is_met_ = true;
}

nlohmann::json WidthBudget::state() const {
  return {{"epoch", epoch_}, {"is_met", is_met_}, {"start_bits", start_bits_}};
}

void WidthBudget::restore(const nlohmann::json& state) {
  state.at("epoch").get_to(epoch_);
  state.at("is_met").get_to(is_met_);
  state.at("start_bits").get_to(start_bits_);
}

double WidthBudget::counted(const std::vector<int>& bits, const ArenaLayout& layout) const {
  return rule_.budget.average(bits, layout) + rule_.budget.beside(layout);
}

/// All bits of notes are in the count of the budget.
EpochNote WidthBudget::note_of_epoch(int epoch, const std::vector<int>& bits, const WidthMeasures& measures,
                                     const std::vector<int>& left, const ArenaLayout& layout) const {
  const double now = counted(left, layout);
  const double planned =
      planned_width(start_bits_, rule_.budget.target(layout), epoch + 1, rule_.window) + rule_.budget.beside(layout);
  nlohmann::ordered_json measured = nlohmann::ordered_json::object(), taken = nlohmann::ordered_json::object();
  for (std::size_t slot = 0; slot < left.size(); ++slot) {
    const std::string& name = layout.slots[slot].spec.name;
    if (epoch > 0) measured[name] = measures.at(slot).at(static_cast<std::size_t>(bits[slot]));
    if (bits[slot] > left[slot]) taken[name] = bits[slot] - left[slot];
  }
  const std::string what =
      is_met_ ? "met, so that widths stay from here on" : fmt::format("{:.3f} planned after the epoch", planned);
  nlohmann::ordered_json fields = budget_fields(rule_.budget, layout);
  fields.update(nlohmann::ordered_json{{"bits_now", now},
                                       {"bits_planned", planned},
                                       {std::string(rule_.measures_name), measured},
                                       {"taken_bits", taken},
                                       {"is_met", is_met_}});
  return {
      .event = "budget",
      .fields = std::move(fields),
      .text = fmt::format("budget {}: {:.3f} {} now, {}", rule_.budget.text(layout), now, rule_.budget.unit(), what)};
}

EpochNote WidthBudget::note_of_end(const std::vector<int>& bits, const std::vector<int>& left,
                                   const ArenaLayout& layout) const {
  nlohmann::ordered_json removals = nlohmann::ordered_json::object();
  std::string names;
  for (std::size_t slot = 0; slot < left.size(); ++slot) {
    if (bits[slot] == left[slot]) continue;
    const std::string& name = layout.slots[slot].spec.name;
    removals[name] = bits[slot] - left[slot];
    names += fmt::format("{}{} {}->{}", names.empty() ? "" : ", ", layer_name(name), bits[slot], left[slot]);
  }
  nlohmann::ordered_json fields = budget_fields(rule_.budget, layout);
  fields.update(nlohmann::ordered_json{{"bits_now", counted(left, layout)},
                                       {"bits_trained", counted(bits, layout)},
                                       {"removed_planes", removals},
                                       {"is_met", false}});
  return {.event = "budget",
          .fields = std::move(fields),
          .text = fmt::format("budget {}: {:.3f} {} at the end; training came to {:.3f}; the bits went {}: {}",
                              rule_.budget.text(layout), counted(left, layout), rule_.budget.unit(),
                              counted(bits, layout), rule_.which_go, names)};
}

}  // namespace bsq
