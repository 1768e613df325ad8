#include "engine/methods/lsq/lsq_method.h"

#include "engine/base/text.h"
#include "engine/methods/lsq/lsq_keys.h"
#include "engine/methods/lsq/lsq_weights.h"
#include "engine/methods/lsq/width_budget.h"
#include "engine/model/bit_budget.h"

#include <fmt/format.h>

#include <utility>

namespace bsq {
namespace {

class LsqMethod : public Method {
 public:
  explicit LsqMethod(const QuantConfig& quant) : quant_(quant) {}

  MethodDescription describe() const override { return {.title = "LSQ", .settings = start_text()}; }
  std::unique_ptr<WeightStore> make_store(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients,
                                          const Weights& from) const override {
    return make_weights(memory, layout, gradients, from, /*measures=*/false);
  }
  std::string refusal(const StoredWeights& from, const ArenaLayout& layout) const override {
    return width_conflict(from, layout);
  }
  std::string_view result_form() const override { return kQuantizedForm; }
  int act_bits() const override { return quant_.act_bits; }

 protected:
  std::string start_text() const {
    return fmt::format("float weights start with {} bits and a sign", quant_.weight_bits);
  }
  std::unique_ptr<WeightStore> make_weights(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients,
                                            const Weights& from, bool measures) const {
    const Weights weights = StoredLsq::convert(from, layout, start_bits(layout, quant_.weight_bits));
    return std::make_unique<LsqWeights>(memory, layout, gradients, dynamic_cast<const StoredLsq&>(*weights), measures);
  }

 private:
  QuantConfig quant_;
};

class LsqFinetuner final : public LsqMethod {
 public:
  using LsqMethod::LsqMethod;

  MethodDescription describe() const override { return {.title = "finetuned", .settings = "by LSQ"}; }
  std::string refusal(const StoredWeights& from, const ArenaLayout& layout) const override {
    return from.is_quantized() ? LsqMethod::refusal(from, layout) : std::string(kNoWidths);
  }
};

/// Takes bits away while it trains, until a budget is met (METHOD 13).
class BudgetedLsqMethod final : public LsqMethod {
 public:
  explicit BudgetedLsqMethod(const Config& config)
      : LsqMethod(config.quant),
        options_(config.part<LsqConfig>()),
        budget_{options_.budget_bits, options_.counts_stored_bits()},
        window_(window_of(options_, config.stage("lsq"))) {}

  MethodDescription describe() const override {
    return {.title = "LSQ",
            .settings = fmt::format("{}; budget {:g} bits per weight ({} count) within {} epochs", start_text(),
                                    options_.budget_bits, options_.budget_count, window_),
            .strength_key = "lsq.budget_bits"};
  }
  std::string conflict(const ArenaLayout& layout) const override {
    const double least = least_bits(layout) + budget_.beside(layout);
    if (options_.budget_bits >= least) return {};
    return fmt::format(
        "lsq.budget_bits = {:g}: this network cannot come below {:.4f} bits per weight (lsq.budget_count: {}), a bit "
        "of each tensor and all bits of those of a fixed width; raise it",
        options_.budget_bits, least, options_.budget_count);
  }
  std::unique_ptr<WeightStore> make_store(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients,
                                          const Weights& from) const override {
    return make_weights(memory, layout, gradients, from, /*measures=*/true);
  }

  void start_epoch(WeightStore& store, int epoch) override {
    auto& weights = dynamic_cast<LsqWeights&>(store);
    if (epoch_ != epoch) {  // else a run goes on within it
      note_.reset();
      next_bits_.clear();
      if (!is_met_) decide(weights, epoch);
      epoch_ = epoch;
      weights.restart_sensitivities();
    }
    weights.set_measuring(!is_met_);
  }
  std::optional<EpochNote> epoch_note() const override { return note_; }
  nlohmann::json state() const override {
    return {{"epoch", epoch_}, {"is_met", is_met_}, {"start_bits", start_bits_}};
  }
  void restore(const nlohmann::json& state) override {
    state.at("epoch").get_to(epoch_);
    state.at("is_met").get_to(is_met_);
    state.at("start_bits").get_to(start_bits_);
  }

  /// Once the budget is met, widths stay.
  bool adjusts(int /*epoch*/, bool is_end) const override { return is_end ? !is_met_ : !next_bits_.empty(); }
  void adjust(WeightStore& store, bool is_end) override {
    auto& weights = dynamic_cast<LsqWeights&>(store);
    if (is_end) decide_at_end(weights);
    weights.set_bits(std::exchange(next_bits_, {}));
  }
  std::string advice_against_zeros() const override {
    return fmt::format("raise lsq.budget_bits ({:g})", options_.budget_bits);
  }

 private:
  /// Before the steps of an epoch: which bits are to go now, after all epochs but the first.
  void decide(const LsqWeights& weights, int epoch) {
    const ArenaLayout& layout = weights.layout();
    const double target = budget_.published(layout);
    const std::vector<int>& bits = weights.bits();
    const std::vector<float> sensitivities = weights.sensitivities();
    const double before = bits_per_weight(bits, layout);
    if (epoch == 0) start_bits_ = before;
    const double planned = planned_width(start_bits_, target, epoch, window_);
    std::vector<int> left = bits;
    if (epoch > 0) left = take_bits(bits, sensitivities, layout, target, planned, /*several=*/epoch >= window_);
    is_met_ = !can_come_nearer(left, layout, target);
    note_ = note_of_epoch(weights, left, epoch);
    if (left != bits) next_bits_ = std::move(left);
  }

  /// After the last epoch, where the window is longer than the stage: whatever the budget still needs.
  void decide_at_end(const LsqWeights& weights) {
    const ArenaLayout& layout = weights.layout();
    const double target = budget_.published(layout);
    next_bits_ = take_bits(weights.bits(), weights.sensitivities(), layout, target, target, /*several=*/true);
    note_ = note_of_end(weights, next_bits_);
    is_met_ = true;
  }

  double counted(const std::vector<int>& bits, const ArenaLayout& layout) const {
    return bits_per_weight(bits, layout) + budget_.beside(layout);
  }

  /// All bits of notes are in the count of the budget.
  EpochNote note_of_epoch(const LsqWeights& weights, const std::vector<int>& left, int epoch) const {
    const ArenaLayout& layout = weights.layout();
    const double beside = budget_.beside(layout), now = counted(left, layout);
    const double planned = planned_width(start_bits_, budget_.published(layout), epoch + 1, window_) + beside;
    const std::vector<float> sensitivities = weights.sensitivities();
    nlohmann::ordered_json measured = nlohmann::ordered_json::object(), taken = nlohmann::ordered_json::object();
    for (std::size_t slot = 0; slot < left.size(); ++slot) {
      const std::string& name = layout.slots[slot].spec.name;
      if (epoch > 0) measured[name] = sensitivities[slot];
      if (const int bits = weights.bits()[slot] - left[slot]; bits > 0) taken[name] = bits;
    }
    const std::string what =
        is_met_ ? "met, so that widths stay from here on" : fmt::format("{:.3f} planned after the epoch", planned);
    return {.event = "budget",
            .fields = {{"budget_bits", options_.budget_bits},
                       {"bits_now", now},
                       {"bits_planned", planned},
                       {"sensitivities", measured},
                       {"taken_bits", taken},
                       {"is_met", is_met_}},
            .text = fmt::format("budget {:g} ({} count): {:.3f} bits per weight now, {}", options_.budget_bits,
                                options_.budget_count, now, what)};
  }

  EpochNote note_of_end(const LsqWeights& weights, const std::vector<int>& left) const {
    const ArenaLayout& layout = weights.layout();
    nlohmann::ordered_json removals = nlohmann::ordered_json::object();
    std::string names;
    for (std::size_t slot = 0; slot < left.size(); ++slot) {
      const int before = weights.bits()[slot];
      if (before == left[slot]) continue;
      const std::string& name = layout.slots[slot].spec.name;
      removals[name] = before - left[slot];
      names += fmt::format("{}{} {}->{}", names.empty() ? "" : ", ", layer_name(name), before, left[slot]);
    }
    return {.event = "budget",
            .fields = {{"budget_bits", options_.budget_bits},
                       {"bits_now", counted(left, layout)},
                       {"bits_trained", counted(weights.bits(), layout)},
                       {"removed_planes", removals},
                       {"is_met", false}},
            .text = fmt::format("budget {:g} ({} count): {:.3f} bits per weight at the end; training came to {:.3f}; "
                                "the bits went whose rounding changes the loss least: {}",
                                options_.budget_bits, options_.budget_count, counted(left, layout),
                                counted(weights.bits(), layout), names)};
  }

  LsqConfig options_;
  BitBudget budget_;
  int window_;  // epochs

  // What a checkpoint holds.
  int epoch_ = -1;  // the one that has begun last
  bool is_met_ = false;
  double start_bits_ = 0;  // of the published count

  std::vector<int> next_bits_;  // what adjust() is to give; empty: nothing
  std::optional<EpochNote> note_;
};

}  // namespace

std::unique_ptr<Method> make_lsq_method(const Config& config) {
  if (config.part<LsqConfig>().has_budget()) return std::make_unique<BudgetedLsqMethod>(config);
  return std::make_unique<LsqMethod>(config.quant);
}

std::unique_ptr<Method> make_lsq_finetuner(const Config& config) {
  return std::make_unique<LsqFinetuner>(config.quant);
}

}  // namespace bsq
