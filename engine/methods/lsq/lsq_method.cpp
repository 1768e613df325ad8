#include "engine/methods/lsq/lsq_method.h"

#include "engine/methods/lsq/lsq_keys.h"
#include "engine/methods/lsq/lsq_weights.h"
#include "engine/methods/width_budget.h"

#include <fmt/format.h>

#include <algorithm>

namespace bsq {
namespace {

LsqSteps steps_named(const std::string& name) {
  return name == "channel" ? LsqSteps::per_channel : LsqSteps::per_tensor;
}

LsqRange range_named(const std::string& name) {
  return name == "asymmetric" ? LsqRange::asymmetric : LsqRange::symmetric;
}

/// With a level more below, integers of 8 bits.
constexpr int kMostLopsidedBits = 7;

/// Float weights whose channels begin with steps of their own: unit / step.
std::vector<std::vector<float>> output_scales(const StoredLsq& weights, const StoredWeights& from) {
  std::vector<std::vector<float>> scales(weights.size());
  for (std::size_t slot = 0; slot < scales.size(); ++slot) {
    if (from.levels(slot)) continue;
    const LsqTensorAtRest& tensor = weights.all()[slot];
    for (const float step : tensor.channel_steps) scales[slot].push_back(tensor.step / step);
  }
  return scales;
}

class LsqMethod : public Method {
 public:
  /// `section`: that of its keys.
  LsqMethod(const QuantConfig& quant, const std::string& steps, const std::string& range, std::string section = "lsq")
      : quant_(quant), steps_(steps_named(steps)), range_(range_named(range)), section_(std::move(section)) {}

  MethodDescription describe() const override { return {.title = "LSQ", .settings = start_text()}; }
  std::unique_ptr<WeightStore> make_store(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients,
                                          const Weights& from) const override {
    return make_weights(memory, layout, gradients, from, /*measures=*/false);
  }
  std::string refusal(const StoredWeights& from, const ArenaLayout& layout) const override {
    if (range_ == LsqRange::symmetric) return symmetric_conflict(from, layout);
    for (std::size_t slot = 0; slot < from.size() && from.is_quantized(); ++slot)
      if (from.bits(slot) > kMostLopsidedBits)
        return fmt::format("has {} bits in {}, and {}.range = asymmetric goes with up to {} and a sign",
                           from.bits(slot), layout.slots[slot].spec.name, section_, kMostLopsidedBits);
    return width_conflict(from, layout);
  }
  std::string conflict(const ArenaLayout& layout) const override {
    if (const std::string of_bits = bits_conflict(layout); !of_bits.empty()) return of_bits;
    const bool has_any = std::ranges::any_of(layout.slots, [](const auto& slot) { return slot.spec.is_normed; });
    if (steps_ == LsqSteps::per_tensor || has_any) return {};
    return fmt::format(
        "{}.steps = channel; no quantized convolution of this network is read by batch norms alone, so that "
        "none can have a step per channel; use tensor",
        section_);
  }
  /// Bit planes have no room for the level more below.
  std::string_view result_form() const override {
    return range_ == LsqRange::symmetric ? kQuantizedForm : StoredLsq::kForm;
  }
  int act_bits() const override { return quant_.act_bits; }

 protected:
  std::string start_text() const {
    return fmt::format("float weights start with {} bits and a sign{}{}", quant_.weight_bits, range_text(),
                       steps_ == LsqSteps::per_channel ? ", a step per channel before norms" : "");
  }
  std::string range_text() const { return range_ == LsqRange::asymmetric ? ", levels -2^n .. 2^n - 1 of n bits" : ""; }
  /// Of float weights, which get their bits here.
  virtual std::string bits_conflict(const ArenaLayout& layout) const {
    if (range_ == LsqRange::symmetric) return {};
    const std::vector<int> bits = start_bits(layout, quant_.weight_bits);
    for (std::size_t slot = 0; slot < bits.size(); ++slot)
      if (bits[slot] > kMostLopsidedBits)
        return fmt::format(
            "{}.range = asymmetric: {} would have {} bits and a sign, and the levels {} .. {} are no 8-bit integers; "
            "give it at most {} (quant.weight_bits, quant.layers), which with the sign are the 8 bits of others",
            section_, layout.slots[slot].spec.name, bits[slot], -(1 << bits[slot]), (1 << bits[slot]) - 1,
            kMostLopsidedBits);
    return {};
  }
  std::unique_ptr<WeightStore> make_weights(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients,
                                            const Weights& from, bool measures) const {
    const Weights weights = StoredLsq::convert(from, layout, start_bits(layout, quant_.weight_bits), steps_, range_);
    const auto& stored = dynamic_cast<const StoredLsq&>(*weights);
    auto store = std::make_unique<LsqWeights>(memory, layout, gradients, stored, measures);
    store->set_output_scales(output_scales(stored, *from));
    return store;
  }

 private:
  QuantConfig quant_;
  LsqSteps steps_;
  LsqRange range_;
  std::string section_;
};

class LsqFinetuner final : public LsqMethod {
 public:
  using LsqMethod::LsqMethod;

  MethodDescription describe() const override { return {.title = "finetuned", .settings = "by LSQ" + range_text()}; }
  std::string refusal(const StoredWeights& from, const ArenaLayout& layout) const override {
    return from.is_quantized() ? LsqMethod::refusal(from, layout) : std::string(kNoWidths);
  }

 protected:
  /// Weights have theirs.
  std::string bits_conflict(const ArenaLayout& /*layout*/) const override { return {}; }
};

/// Takes bits away while it trains, until a budget is met (METHOD 13).
class BudgetedLsqMethod final : public LsqMethod {
 public:
  explicit BudgetedLsqMethod(const Config& config)
      : LsqMethod(config.quant, config.part<LsqConfig>().steps, config.part<LsqConfig>().range),
        options_(config.part<LsqConfig>()),
        budget_({.section = "lsq",
                 .budget = options_.budget(),
                 .window = budget_window(options_.budget_epochs, config.stage("lsq").epochs),
                 .measures_name = "sensitivities",
                 .which_go = "whose rounding changes the loss least"}) {}

  MethodDescription describe() const override {
    return {.title = "LSQ",
            .settings = fmt::format("{}; {}", start_text(), budget_.title()),
            .strength_key = "lsq." + options_.leaf()};
  }
  std::string conflict(const ArenaLayout& layout) const override {
    const std::string of_steps = LsqMethod::conflict(layout);
    return of_steps.empty() ? budget_.conflict(layout) : of_steps;
  }
  std::unique_ptr<WeightStore> make_store(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients,
                                          const Weights& from) const override {
    return make_weights(memory, layout, gradients, from, /*measures=*/true);
  }

  void start_epoch(WeightStore& store, int epoch) override {
    auto& weights = dynamic_cast<LsqWeights&>(store);
    if (budget_.start_epoch(
            epoch, weights.bits(), [&] { return measures_of(weights); }, weights.layout()))
      weights.restart_sensitivities();
    weights.set_measuring(!budget_.is_met());
  }
  std::optional<EpochNote> epoch_note() const override { return budget_.note(); }
  nlohmann::json state() const override { return budget_.state(); }
  void restore(const nlohmann::json& state) override { budget_.restore(state); }

  /// Once the budget is met, widths stay.
  bool adjusts(int /*epoch*/, bool is_end) const override {
    return is_end ? !budget_.is_met() : !budget_.next_bits().empty();
  }
  void adjust(WeightStore& store, bool is_end) override {
    auto& weights = dynamic_cast<LsqWeights&>(store);
    if (is_end) budget_.end(weights.bits(), measures_of(weights), weights.layout());
    weights.set_bits(budget_.take_next_bits());
  }
  std::string advice_against_zeros() const override { return options_.advice_for_more("lsq"); }

 private:
  static WidthMeasures measures_of(const LsqWeights& weights) {
    return doubling(weights.sensitivities(), weights.bits());
  }

  LsqConfig options_;
  WidthBudget budget_;
};

}  // namespace

std::unique_ptr<Method> make_lsq_method(const Config& config) {
  const LsqConfig& lsq = config.part<LsqConfig>();
  if (lsq.has_budget()) return std::make_unique<BudgetedLsqMethod>(config);
  return std::make_unique<LsqMethod>(config.quant, lsq.steps, lsq.range);
}

std::unique_ptr<Method> make_lsq_finetuner(const Config& config, const std::string& steps, const std::string& range) {
  return std::make_unique<LsqFinetuner>(config.quant, steps, range, "finetune");
}

}  // namespace bsq
