#include "engine/methods/csq/csq_method.h"

#include "engine/methods/csq/csq_keys.h"
#include "engine/methods/csq/csq_weights.h"

#include <fmt/format.h>

#include <cmath>

namespace bsq {
namespace {

class CsqMethod final : public Method {
 public:
  explicit CsqMethod(const Config& config)
      : options_(config.part<CsqConfig>()),
        quant_(config.quant),
        soft_mask_epochs_(config.stage("csq").epochs - options_.hard_mask_epochs) {}

  MethodDescription describe() const override {
    return {
        .title = "CSQ",
        .settings = fmt::format("{:g} bits wanted, counted by {}, strength {:g}; temperature to {:g}, hard masks "
                                "in the last {} epochs",
                                options_.target_bits, options_.count, options_.budget_strength,
                                options_.end_temperature, options_.hard_mask_epochs),
        .strength_key = "csq.target_bits",
        .penalty = PenaltyDescription{
            .title = "Budget of CSQ", .meaning = "The loss of the budget on masks", .factor = "csq.budget_strength"}};
  }
  std::unique_ptr<WeightStore> make_store(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients,
                                          const Weights& from) const override {
    const Weights weights = StoredCsq::convert(from, start_bits(layout, quant_.weight_bits));
    return std::make_unique<CsqWeights>(memory, layout, gradients, dynamic_cast<const StoredCsq&>(*weights), count());
  }
  std::string refusal(const StoredWeights& from, const ArenaLayout& /*layout*/) const override {
    if (!from.is_quantized() || are_soft(from)) return {};
    return "has weights on a grid, and csq starts from float ones; start from a float model (model_float.safetensors "
           "beside a quantized one), or take another stage";
  }
  std::string conflict(const ArenaLayout& layout) const override {
    double least = 0;
    for (const ParameterSlot& slot : layout.slots)
      if (slot.spec.widths.fixed) least += budget_share(layout, slot, count()) * slot.spec.widths.start;
    if (options_.target_bits >= least) return {};
    return fmt::format(
        "csq.target_bits = {:g}: the tensors of a fixed width alone have {:.4f} bits (csq.count: {}); raise "
        "it",
        options_.target_bits, least, options_.count);
  }
  std::string_view result_form() const override { return StoredCsq::kForm; }
  int act_bits() const override { return quant_.act_bits; }
  std::array<float, 4> step_numbers(int epoch) const override { return numbers_in(epoch).to_method(); }

  void start_epoch(WeightStore& store, int epoch) override {
    const CsqNumbers numbers = numbers_in(epoch);
    auto& weights = dynamic_cast<CsqWeights&>(store);
    weights.set_budget(numbers.strength, numbers.target);
    weights.set_gates({numbers.temperature, numbers.hardness});
    note_.reset();
    if (epoch == soft_mask_epochs_ && options_.meet_target)
      note_ = note_of(weights.settle(options_.target_bits, count()));
  }
  std::optional<EpochNote> epoch_note() const override { return note_; }
  /// Where masks harden, and are settled: soft ones of before would be an average of other signs.
  bool restarts_average(int epoch) const override { return epoch == soft_mask_epochs_; }
  bool adjusts(int /*epoch*/, bool is_end) const override { return is_end; }
  void adjust(WeightStore& store, bool /*is_end*/) override {
    auto& weights = dynamic_cast<CsqWeights&>(store);
    weights.set_gates({weights.gates().temperature, CsqHardness::all});
    note_.reset();
    if (options_.hard_mask_epochs == 0 && options_.meet_target)  // else they are settled
      note_ = note_of(weights.settle(options_.target_bits, count()));
  }
  std::string advice_against_zeros() const override {
    return fmt::format("raise csq.target_bits ({:g})", options_.target_bits);
  }

 private:
  EpochNote note_of(const CsqWeights::Settled& settled) const {
    return {.event = "masks",
            .fields = {{"count", options_.count},
                       {"bits_before", settled.before},
                       {"bits_now", settled.after},
                       {"switched_off", settled.switched.off},
                       {"switched_on", settled.switched.on}},
            .text = fmt::format("masks are hard: {} switched off, {} on, nearest to their boundary first; {:.3f} -> "
                                "{:.3f} bits (counted by {}), {:g} wanted",
                                settled.switched.off, settled.switched.on, settled.before, settled.after,
                                options_.count, options_.target_bits)};
  }
  CsqCount count() const { return options_.count == "weights" ? CsqCount::weights : CsqCount::masks; }
  /// t = end_temperature^(e / epochs with soft masks), e counted from 1; it goes on rising when masks are hard.
  CsqNumbers numbers_in(int epoch) const {
    const double exponent = (epoch + 1.0) / soft_mask_epochs_;
    return {.temperature = static_cast<float>(std::pow(options_.end_temperature, exponent)),
            .hardness = epoch < soft_mask_epochs_ ? CsqHardness::none : CsqHardness::masks,
            .strength = static_cast<float>(options_.budget_strength),
            .target = static_cast<float>(options_.target_bits)};
  }

  CsqConfig options_;
  QuantConfig quant_;
  int soft_mask_epochs_;
  std::optional<EpochNote> note_;
};

}  // namespace

std::unique_ptr<Method> make_csq_method(const Config& config) {
  return std::make_unique<CsqMethod>(config);
}

}  // namespace bsq
