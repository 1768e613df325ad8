#include "engine/methods/bsq/bsq_method.h"

#include "engine/base/text.h"
#include "engine/methods/bsq/bsq_keys.h"
#include "engine/methods/bsq/budget_controller.h"
#include "engine/methods/bsq/plane_budget.h"
#include "engine/methods/bsq/plane_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace bsq {
namespace {

class BsqMethod : public Method {
 public:
  explicit BsqMethod(const Config& config) : options_(config.part<BsqConfig>()), quant_(config.quant) {}

  MethodDescription describe() const override {
    return {.title = "BSQ",
            .settings = fmt::format("alpha {:g}{}, {}", options_.alpha, cost_text(), interval_text()),
            .strength_key = "bsq.alpha",
            .penalty = PenaltyDescription{
                .title = "Group penalty of BSQ", .meaning = "The penalty R on bit planes", .factor = "bsq.alpha"}};
  }
  std::unique_ptr<WeightStore> make_store(DeviceMemory& memory, const ArenaLayout& layout, const float* gradients,
                                          const Weights& from) const override {
    const Weights planes = StoredPlanes::convert(from, layout, start_bits(layout, quant_.weight_bits));
    return std::make_unique<PlaneWeights>(memory, layout, gradients, dynamic_cast<const StoredPlanes&>(*planes),
                                          quant_.max_bits,
                                          options_.cost == "bops" ? PenaltyCost::bops : PenaltyCost::weights);
  }
  std::string refusal(const StoredWeights& from, const ArenaLayout& layout) const override {
    return symmetric_conflict(from, layout);
  }
  std::string_view result_form() const override { return StoredPlanes::kForm; }
  int act_bits() const override { return quant_.act_bits; }
  /// The strength of the penalty.
  std::array<float, 4> step_numbers(int /*epoch*/) const override { return {static_cast<float>(options_.alpha)}; }

  bool adjusts(int epoch, bool is_end) const override { return is_end || epoch % options_.requant_interval == 0; }
  void adjust(WeightStore& store, bool /*is_end*/) override {
    auto& plane_weights = dynamic_cast<PlaneWeights&>(store);
    std::vector<BitPlanes> planes = plane_weights.planes();
    requantize_all(planes, plane_weights.layout(), plane_weights.most_bits(), true);
    adjust_all(planes, plane_weights.layout(), options_.prune_threshold);
    plane_weights.set_planes(planes);
  }
  std::string advice_against_zeros() const override { return fmt::format("lower bsq.alpha ({:g})", options_.alpha); }

 protected:
  std::string cost_text() const { return options_.cost == "bops" ? " by bit operations" : ""; }
  std::string interval_text() const {
    return fmt::format("re-quantization every {} epochs, threshold {:g} %", options_.requant_interval,
                       options_.prune_threshold);
  }

  BsqConfig options_;
  QuantConfig quant_;
};

/// How many planes have gone, by slot, in words: "2 of layer3.0.conv1, 1 of fc"; empty if none has.
std::string removal_text(const std::vector<int>& removed, const ArenaLayout& layout) {
  std::vector<std::string> parts;
  for (std::size_t slot = 0; slot < removed.size(); ++slot)
    if (removed[slot] > 0)
      parts.push_back(fmt::format("{} of {}", removed[slot], layer_name(layout.slots[slot].spec.name)));
  return fmt::format("{}", fmt::join(parts, ", "));
}

nlohmann::ordered_json removal_json(const std::vector<int>& removed, const ArenaLayout& layout) {
  nlohmann::ordered_json removals = nlohmann::ordered_json::object();
  for (std::size_t slot = 0; slot < removed.size(); ++slot)
    if (removed[slot] > 0) removals[layout.slots[slot].spec.name] = removed[slot];
  return removals;
}

/// Brings the model down to a number of bits, along a plan (METHOD 15).
class BudgetedBsqMethod final : public BsqMethod {
 public:
  explicit BudgetedBsqMethod(const Config& config)
      : BsqMethod(config), budget_(options_.budget()), controller_(options_.budget_alpha, config.stage("bsq")) {}

  MethodDescription describe() const override {
    MethodDescription description = BsqMethod::describe();
    description.settings = fmt::format("{}, alpha at most {:g}{}, {}", budget_.title(), options_.budget_alpha,
                                       cost_text(), interval_text());
    description.strength_key = "bsq." + options_.leaf();
    return description;
  }
  std::string conflict(const ArenaLayout& layout) const override { return budget_conflict("bsq", budget_, layout); }

  void start_epoch(WeightStore& store, int epoch) override {
    if (controller_.has_measured(epoch)) return;  // before the run was interrupted
    note_.reset();
    if (controller_.is_met()) return;
    const auto& plane_weights = dynamic_cast<const PlaneWeights&>(store);
    const ArenaLayout& layout = plane_weights.layout();
    std::vector<BitPlanes> requantized = plane_weights.planes();
    requantize_all(requantized, layout, plane_weights.most_bits(), true);
    std::vector<BitPlanes> planes = requantized;
    adjust_all(planes, layout, options_.prune_threshold);
    controller_.measure(epoch, average_bits(budget_, planes, layout), budget_.target(layout));
    std::vector<int> removed;
    if (is_within_budget(planes, layout)) {
      planes = std::move(requantized);
      adjust_to(planes, layout, options_.prune_threshold, budget_);
      controller_.set_met();
      due_ = std::move(planes);
    } else if (controller_.is_behind()) {
      removed = remove_planes(planes, layout, budget_, controller_.planned_bits());
      if (controller_.ends()) controller_.set_met();
      if (controller_.is_met() || std::ranges::any_of(removed, [](int count) { return count > 0; }))
        due_ = std::move(planes);
    }
    note_ = note_of_epoch(removed, layout);
  }
  std::optional<EpochNote> epoch_note() const override { return note_; }
  nlohmann::json state() const override { return controller_.state(); }
  void restore(const nlohmann::json& state) override { controller_.restore(state); }
  std::array<float, 4> step_numbers(int /*epoch*/) const override { return {static_cast<float>(controller_.alpha())}; }

  /// Once the budget is met, widths stay until the end.
  bool adjusts(int epoch, bool is_end) const override {
    return is_end || due_ || (!controller_.is_met() && BsqMethod::adjusts(epoch, false));
  }
  void adjust(WeightStore& store, bool is_end) override {
    auto& plane_weights = dynamic_cast<PlaneWeights&>(store);
    if (due_) return plane_weights.set_planes(*std::exchange(due_, std::nullopt));
    const ArenaLayout& layout = plane_weights.layout();
    std::vector<BitPlanes> planes = plane_weights.planes();
    requantize_all(planes, layout, plane_weights.most_bits(), /*may_grow=*/!controller_.is_met());
    if (controller_.is_met())
      adjust_to(planes, layout, options_.prune_threshold, budget_);
    else
      adjust_all(planes, layout, options_.prune_threshold);
    if (is_end) end(planes, layout);
    plane_weights.set_planes(planes);
  }
  std::string advice_against_zeros() const override {
    return fmt::format("{}, or lower bsq.budget_alpha ({:g})", options_.advice_for_more("bsq"), options_.budget_alpha);
  }

 private:
  bool is_within_budget(const std::vector<BitPlanes>& planes, const ArenaLayout& layout) const {
    return budget_.is_within(average_bits(budget_, planes, layout), budget_.target(layout));
  }

  /// Planes after the last re-quantization: if the budget was not met, some have to go.
  void end(std::vector<BitPlanes>& planes, const ArenaLayout& layout) {
    const double before = average_bits(budget_, planes, layout);
    std::vector<int> removed;
    if (!controller_.is_met()) removed = remove_planes(planes, layout, budget_, budget_.target(layout));
    note_ = note_of_end(average_bits(budget_, planes, layout), removed, before, layout);
  }

  /// All bits of notes are in the count of the budget, which has some beside the planes.
  EpochNote note_of_epoch(const std::vector<int>& removed, const ArenaLayout& layout) const {
    const double beside = budget_.beside(layout);
    const double now = controller_.bits() + beside, planned = controller_.planned_bits() + beside;
    std::string what = controller_.is_met() ? "met, so that they are re-quantized now and keep their widths; alpha 0"
                                            : fmt::format("{:.3f} planned for the end of the epoch; alpha {:.4g}",
                                                          planned, controller_.alpha());
    if (const std::string names = removal_text(removed, layout); !names.empty())
      what = fmt::format("{:.3f} planned; so they are re-quantized now, and planes go: {}; {}", planned, names,
                         controller_.is_met() ? "that meets the budget, widths stay; alpha 0"
                                              : fmt::format("alpha {:.4g}", controller_.alpha()));
    nlohmann::ordered_json fields = budget_fields(budget_, layout);
    fields.update(nlohmann::ordered_json{{"bits_now", now},
                                         {"bits_planned", planned},
                                         {"error", controller_.error()},
                                         {"integral", controller_.integral()},
                                         {"alpha", controller_.alpha()},
                                         {"removed_planes", removal_json(removed, layout)},
                                         {"is_met", controller_.is_met()}});
    return {.event = "budget",
            .fields = std::move(fields),
            .text = fmt::format("budget {}: {:.3f} {} now, {}", budget_.text(layout), now, budget_.unit(), what)};
  }

  EpochNote note_of_end(double bits, const std::vector<int>& removed, double before, const ArenaLayout& layout) const {
    const double beside = budget_.beside(layout);
    const std::string names = removal_text(removed, layout);
    const std::string went =
        names.empty() ? "no plane brings it nearer" : "the planes went whose loss changes the weights least: " + names;
    const std::string how =
        removed.empty() ? "met before" : fmt::format("training came to {:.3f}; {}", before + beside, went);
    nlohmann::ordered_json fields = budget_fields(budget_, layout);
    fields.update(nlohmann::ordered_json{{"bits_now", bits + beside},
                                         {"bits_trained", before + beside},
                                         {"removed_planes", removal_json(removed, layout)},
                                         {"is_met", removed.empty()}});
    return {.event = "budget",
            .fields = std::move(fields),
            .text = fmt::format("budget {}: {:.3f} {} at the end; {}", budget_.text(layout), bits + beside,
                                budget_.unit(), how)};
  }

  BitBudget budget_;
  BudgetController controller_;
  std::optional<std::vector<BitPlanes>> due_;  // what the planes become at the beginning of this epoch
  std::optional<EpochNote> note_;
};

}  // namespace

std::unique_ptr<Method> make_bsq_method(const Config& config) {
  if (config.part<BsqConfig>().has_budget()) return std::make_unique<BudgetedBsqMethod>(config);
  return std::make_unique<BsqMethod>(config);
}

}  // namespace bsq
