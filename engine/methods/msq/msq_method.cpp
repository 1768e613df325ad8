#include "engine/methods/msq/msq_method.h"

#include "engine/base/text.h"
#include "engine/methods/msq/msq_keys.h"
#include "engine/methods/msq/msq_weights.h"
#include "engine/methods/width_budget.h"

#include <fmt/format.h>

#include <utility>

namespace bsq {
namespace {

/// What both ways of losing bits have in common.
class MsqMethod : public Method {
 public:
  explicit MsqMethod(const Config& config) : quant_(config.quant), options_(config.part<MsqConfig>()) {}

  std::unique_ptr<WeightStore> make_store(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients,
                                          const Weights& from) const override {
    const Weights weights = StoredMsq::convert(from, layout, start_bits(layout, quant_.weight_bits));
    return std::make_unique<MsqWeights>(memory, layout, gradients, dynamic_cast<const StoredMsq&>(*weights));
  }
  std::string refusal(const StoredWeights& from, const ArenaLayout& layout) const override {
    return symmetric_conflict(from, layout);
  }
  std::string_view result_form() const override { return kQuantizedForm; }
  int act_bits() const override { return quant_.act_bits; }

 protected:
  const MsqConfig& options() const { return options_; }
  MethodDescription described(std::string_view how, std::string strength_key) const {
    return {.title = "MSQ",
            .settings = fmt::format("float weights start with {} bits and a sign; strength {:g}; {}",
                                    quant_.weight_bits, options_.strength, how),
            .strength_key = std::move(strength_key)};
  }
  std::array<float, 4> numbers_with(bool is_pulling) const {
    return {is_pulling ? static_cast<float>(options_.strength) : 0.0F};
  }

 private:
  QuantConfig quant_;
  MsqConfig options_;
};

/// Layers lose their last bits at intervals, where these are empty enough.
class ThresholdMsqMethod final : public MsqMethod {
 public:
  using MsqMethod::MsqMethod;

  MethodDescription describe() const override {
    return described(fmt::format("every {} epochs layers lose last bits of which less than {:g} % are set",
                                 options().prune_interval, options().prune_threshold),
                     "msq.strength");
  }
  std::array<float, 4> step_numbers(int /*epoch*/) const override { return numbers_with(true); }

  void start_epoch(WeightStore& store, int epoch) override {
    if (epoch_ == epoch) return;  // a run goes on within it
    epoch_ = epoch;
    note_.reset();
    next_bits_.clear();
    if (epoch > 0 && epoch % options().prune_interval == 0) decide(dynamic_cast<const MsqWeights&>(store));
  }
  std::optional<EpochNote> epoch_note() const override { return note_; }
  nlohmann::json state() const override { return {{"epoch", epoch_}}; }
  void restore(const nlohmann::json& state) override { state.at("epoch").get_to(epoch_); }

  bool adjusts(int /*epoch*/, bool is_end) const override { return !is_end && !next_bits_.empty(); }
  void adjust(WeightStore& store, bool /*is_end*/) override {
    dynamic_cast<MsqWeights&>(store).set_bits(std::exchange(next_bits_, {}));
  }

 private:
  void decide(const MsqWeights& weights) {
    const ArenaLayout& layout = weights.layout();
    const WidthMeasures shares = weights.last_bits();
    std::vector<int> left = weights.bits();
    nlohmann::ordered_json measured = nlohmann::ordered_json::object(), taken = nlohmann::ordered_json::object();
    int losers = 0;
    for (std::size_t slot = 0; slot < left.size(); ++slot) {
      const ParameterSpec& spec = layout.slots[slot].spec;
      const float share = shares[slot].at(static_cast<std::size_t>(left[slot]));
      measured[spec.name] = share;
      if (spec.widths.fixed || left[slot] <= 1) continue;
      if (100.0 * static_cast<double>(share) >= options().prune_threshold) continue;
      --left[slot];
      ++losers;
      taken[spec.name] = 1;
    }
    const double before = bits_per_weight(weights.bits(), layout), now = bits_per_weight(left, layout);
    note_ = EpochNote{.event = "last_bits",
                      .fields = {{"last_bits", measured}, {"taken_bits", taken}, {"bits_now", now}},
                      .text = fmt::format("last bits: {} of {} tensors lose theirs; {:.3f} -> {:.3f} bits per weight",
                                          losers, left.size(), before, now)};
    if (losers > 0) next_bits_ = std::move(left);
  }

  int epoch_ = -1;              // the one that has begun last; a checkpoint holds it
  std::vector<int> next_bits_;  // what adjust() is to give; empty: nothing
  std::optional<EpochNote> note_;
};

/// Layers with the emptiest last bits lose them, until a budget is met.
class BudgetedMsqMethod final : public MsqMethod {
 public:
  explicit BudgetedMsqMethod(const Config& config)
      : MsqMethod(config),
        budget_({.section = "msq",
                 .budget = options().budget(),
                 .window = budget_window(options().budget_epochs, config.stage("msq").epochs),
                 .measures_name = "last_bits",
                 .which_go = "of which the fewest are set"}) {}

  MethodDescription describe() const override { return described(budget_.title(), "msq." + options().leaf()); }
  std::string conflict(const ArenaLayout& layout) const override { return budget_.conflict(layout); }
  /// Once the budget is met nothing has to go any more.
  std::array<float, 4> step_numbers(int /*epoch*/) const override { return numbers_with(!budget_.is_met()); }

  void start_epoch(WeightStore& store, int epoch) override {
    const auto& weights = dynamic_cast<const MsqWeights&>(store);
    budget_.start_epoch(
        epoch, weights.bits(), [&] { return weights.last_bits(); }, weights.layout());
  }
  std::optional<EpochNote> epoch_note() const override { return budget_.note(); }
  nlohmann::json state() const override { return budget_.state(); }
  void restore(const nlohmann::json& state) override { budget_.restore(state); }

  bool adjusts(int /*epoch*/, bool is_end) const override {
    return is_end ? !budget_.is_met() : !budget_.next_bits().empty();
  }
  void adjust(WeightStore& store, bool is_end) override {
    auto& weights = dynamic_cast<MsqWeights&>(store);
    if (is_end) budget_.end(weights.bits(), weights.last_bits(), weights.layout());
    weights.set_bits(budget_.take_next_bits());
  }

 private:
  WidthBudget budget_;
};

}  // namespace

std::unique_ptr<Method> make_msq_method(const Config& config) {
  if (config.part<MsqConfig>().has_budget()) return std::make_unique<BudgetedMsqMethod>(config);
  return std::make_unique<ThresholdMsqMethod>(config);
}

}  // namespace bsq
