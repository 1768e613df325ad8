#include "engine/methods/bsq/bsq_method.h"

#include "engine/base/text.h"
#include "engine/methods/bsq/bsq_keys.h"
#include "engine/methods/bsq/budget_controller.h"
#include "engine/methods/bsq/plane_budget.h"
#include "engine/methods/bsq/plane_weights.h"

#include <fmt/format.h>

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
    return width_conflict(from, layout);
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

/// Finds alpha by itself, so that the model comes to a number of bits (METHOD 15).
class BudgetedBsqMethod final : public BsqMethod {
 public:
  explicit BudgetedBsqMethod(const Config& config)
      : BsqMethod(config), controller_(options_.budget_alpha, config.stage("bsq")) {}

  MethodDescription describe() const override {
    MethodDescription description = BsqMethod::describe();
    description.settings =
        fmt::format("budget {:g} bits per weight ({} count), alpha begins with {:g}{}, {}", options_.budget_bits,
                    options_.budget_count, options_.budget_alpha, cost_text(), interval_text());
    description.strength_key = "bsq.budget_bits";
    return description;
  }
  std::string conflict(const ArenaLayout& layout) const override {
    const double least = least_bits(layout) + bits_beside_planes(options_, layout);
    if (options_.budget_bits >= least) return {};
    return fmt::format(
        "bsq.budget_bits = {:g}: this network cannot come below {:.4f} bits per weight (bsq.budget_count: {}), a plane "
        "of each tensor and all planes of those of a fixed width; raise it",
        options_.budget_bits, least, options_.budget_count);
  }

  void start_epoch(WeightStore& store, int epoch) override {
    if (controller_.has_measured(epoch)) return;  // before the run was interrupted
    note_.reset();
    if (controller_.is_met()) return;
    const auto& plane_weights = dynamic_cast<const PlaneWeights&>(store);
    const ArenaLayout& layout = plane_weights.layout();
    std::vector<BitPlanes> planes = plane_weights.planes();
    requantize_all(planes, layout, plane_weights.most_bits(), true);
    adjust_all(planes, layout, options_.prune_threshold);
    controller_.measure(epoch, bits_per_weight(planes, layout), published_budget(options_, layout));
    is_due_ = is_within_budget(planes, layout);
    if (is_due_) controller_.set_met();
    note_ = note_of_epoch(epoch, bits_beside_planes(options_, layout));
  }
  std::optional<EpochNote> epoch_note() const override { return note_; }
  nlohmann::json state() const override { return controller_.state(); }
  void restore(const nlohmann::json& state) override { controller_.restore(state); }
  std::array<float, 4> step_numbers(int /*epoch*/) const override { return {static_cast<float>(controller_.alpha())}; }

  /// Once the budget is met, widths stay until the end.
  bool adjusts(int epoch, bool is_end) const override {
    return is_end || is_due_ || (!controller_.is_met() && BsqMethod::adjusts(epoch, false));
  }
  void adjust(WeightStore& store, bool is_end) override {
    auto& plane_weights = dynamic_cast<PlaneWeights&>(store);
    const ArenaLayout& layout = plane_weights.layout();
    const bool is_due = std::exchange(is_due_, false);
    const bool was_met = controller_.is_met() && !is_due;
    std::vector<BitPlanes> requantized = plane_weights.planes();
    requantize_all(requantized, layout, plane_weights.most_bits(), /*may_grow=*/!was_met);
    std::vector<BitPlanes> planes = requantized;
    adjust_all(planes, layout, options_.prune_threshold);
    const double before = bits_per_weight(planes, layout);
    std::vector<int> removed;
    if (was_met || is_within_budget(planes, layout)) {
      planes = std::move(requantized);
      adjust_to(planes, layout, options_.prune_threshold, published_budget(options_, layout));
    } else if (is_end) {
      removed = remove_planes(planes, layout, published_budget(options_, layout));
    }
    if (is_end) note_ = note_of_end(planes, removed, before, layout);
    plane_weights.set_planes(planes);
  }
  std::string advice_against_zeros() const override {
    return fmt::format("raise bsq.budget_bits ({:g}), or lower bsq.budget_alpha ({:g})", options_.budget_bits,
                       options_.budget_alpha);
  }

 private:
  bool is_within_budget(const std::vector<BitPlanes>& planes, const ArenaLayout& layout) const {
    return bits_per_weight(planes, layout) <= published_budget(options_, layout) + kBudgetTolerance;
  }

  /// All bits of notes are in the count of the budget, which has so many beside the planes.
  EpochNote note_of_epoch(int epoch, double beside) const {
    const double now = controller_.bits() + beside, planned = controller_.planned_bits(epoch + 1) + beside;
    const std::string what =
        controller_.is_met()
            ? "met, so that they are re-quantized now and keep their widths; alpha 0"
            : fmt::format("{:.3f} planned for the end of the epoch; alpha {:.4g}", planned, controller_.alpha());
    return {.event = "budget",
            .fields = {{"budget_bits", options_.budget_bits},
                       {"bits_now", now},
                       {"bits_planned", planned},
                       {"error", controller_.error()},
                       {"integral", controller_.integral()},
                       {"alpha", controller_.alpha()},
                       {"is_met", controller_.is_met()}},
            .text = fmt::format("budget {:g} ({} count): {:.3f} bits per weight now, {}", options_.budget_bits,
                                options_.budget_count, now, what)};
  }

  EpochNote note_of_end(const std::vector<BitPlanes>& planes, const std::vector<int>& removed, double before,
                        const ArenaLayout& layout) const {
    const double beside = bits_beside_planes(options_, layout);
    const double now = bits_per_weight(planes, layout) + beside;
    nlohmann::ordered_json removals = nlohmann::ordered_json::object();
    std::string names;
    for (std::size_t slot = 0; slot < removed.size(); ++slot) {
      if (removed[slot] == 0) continue;
      const std::string& name = layout.slots[slot].spec.name;
      removals[name] = removed[slot];
      names += fmt::format("{}{} {}->{}", names.empty() ? "" : ", ", layer_name(name),
                           planes[slot].bits + removed[slot], planes[slot].bits);
    }
    const std::string went =
        names.empty() ? "no plane brings it nearer" : "the planes went whose loss changes the weights least: " + names;
    const std::string how =
        removed.empty() ? "met by training" : fmt::format("training came to {:.3f}; {}", before + beside, went);
    return {.event = "budget",
            .fields = {{"budget_bits", options_.budget_bits},
                       {"bits_now", now},
                       {"bits_trained", before + beside},
                       {"removed_planes", removals},
                       {"is_met", removed.empty()}},
            .text = fmt::format("budget {:g} ({} count): {:.3f} bits per weight at the end; {}", options_.budget_bits,
                                options_.budget_count, now, how)};
  }

  BudgetController controller_;
  bool is_due_ = false;  // met at the beginning of this epoch: to be re-quantized at once
  std::optional<EpochNote> note_;
};

}  // namespace

std::unique_ptr<Method> make_bsq_method(const Config& config) {
  if (config.part<BsqConfig>().has_budget()) return std::make_unique<BudgetedBsqMethod>(config);
  return std::make_unique<BsqMethod>(config);
}

}  // namespace bsq
