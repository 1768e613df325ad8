// kind = bsq_trace: a few steps of BSQ training of a CIFAR ResNet, then re-quantization and evaluation.
#include "engine/model/bit_summary.h"
#include "engine/model/tensor_names.h"
#include "tests/golden/scatter.h"
#include "tests/golden/training_tolerances.h"
#include "tests/support/weights.h"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace bsq::golden {
namespace {

constexpr TrainingTolerances kTolerances;

double count_differing_widths(const std::string& actual, const nlohmann::json& wanted) {
  const nlohmann::json widths = nlohmann::json::parse(actual);
  double count = std::abs(static_cast<double>(widths.size()) - static_cast<double>(wanted.size()));
  for (const auto& [layer, bits] : wanted.items()) count += widths.contains(layer) && widths[layer] == bits ? 0 : 1;
  return count;
}

class BsqComparison {
 public:
  BsqComparison(Backend& backend, const TensorFile& trace, const TrainingSetup& setup, Comparison& comparison)
      : name_(backend.name()),
        trace_(trace),
        setup_(setup),
        comparison_(comparison),
        replay_(start(backend, trace, setup)) {}

  void run() {
    check("depth", setup_.network.depth - number_at("depth"), kTolerances.exact);
    compare_start();
    for (int step = 0; step < setup_.steps; ++step) compare_step(step);
    compare_end();
  }

  /// Loss and accuracy of every step against runs disturbed at the start.
  void compare_scatter(Backend& backend) {
    std::vector<Scatter> losses(static_cast<std::size_t>(setup_.steps)), accuracies(losses.size());
    for (int run = 0; run < kScatterRuns; ++run) {
      const TrainingSetup setup = disturbed(setup_, run);
      const std::unique_ptr<TrainingReplay> replay = start(backend, trace_, setup);
      for (int step = 0; step < setup_.steps; ++step) {
        const StepMetrics metrics = replay->run_step(step);
        const auto samples = static_cast<double>(metrics.samples);
        losses[static_cast<std::size_t>(step)].add(metrics.loss_sum / samples);
        accuracies[static_cast<std::size_t>(step)].add(static_cast<double>(metrics.top1) / samples);
      }
    }
    for (int step = 0; step < setup_.steps; ++step) {
      const auto at = static_cast<std::size_t>(step);
      const double loss = stored("ce_loss", step);
      check(fmt::format("ce_loss at step {}, in deviations", step),
            losses[at].deviations(loss, kTolerances.scatter_loss * loss), kTolerances.deviations);
      check(fmt::format("batch_accuracy at step {}, in deviations", step),
            accuracies[at].deviations(stored("batch_accuracy", step), 1.0 / setup_.batch), kTolerances.deviations);
    }
  }

 private:
  static std::unique_ptr<TrainingReplay> start(Backend& backend, const TensorFile& trace, const TrainingSetup& setup) {
    return std::make_unique<TrainingReplay>(backend, trace, setup, [&](const ArenaLayout& layout) -> Weights {
      const std::vector<int> bits(layout.slots.size(), integer_at(trace, "nbits", 1, kMaxBits));
      return StoredPlanes::convert(read_weights(setup.initial, layout, kMaxBits), bits);
    });
  }
  bool chaotic() const { return setup_.network.act_bits > 0; }
  double number_at(const std::string& key) const { return golden::number_at(trace_, key); }
  double stored(const std::string& name, int step) const {
    const auto values = trace_.at(name).values<double>();
    if (static_cast<int>(values.size()) != setup_.steps)
      fail(ErrorKind::checkpoint, "{}: {} values for {} steps", name, values.size(), setup_.steps);
    return values[static_cast<std::size_t>(step)];
  }
  void check(const std::string& what, double error, double tolerance) {
    comparison_.check(name_ + " " + what, std::isnan(error) ? error : std::abs(error), tolerance);
  }

  void compare_start() {
    const ArenaLayout& layout = replay_->model().quantized_layout();
    const std::vector<BitPlanes> planes = test::plane_store(replay_->model()).planes();
    const BitSummary summary = summarize_bits(StoredPlanes(planes), layout, 0);
    check("total_param", static_cast<double>(summary.parameters) - number_at("total_param"), kTolerances.exact);
    check("total_bit", static_cast<double>(summary.weight_bits) - number_at("total_bit"), kTolerances.exact);
    check("comp", relative_error(summary.compression(), number_at("comp")), kTolerances.rounding);
    check("scheme", count_differing_widths(scheme_to_json(StoredPlanes(planes), layout), json_at(trace_, "scheme")),
          kTolerances.exact);
    const nlohmann::json densities = json_at(trace_, "density");
    for (std::size_t i = 0; i < planes.size(); ++i) {
      const std::string& parameter = layout.slots[i].spec.name;
      const std::string start = "start." + scale_name(parameter);
      if (trace_.find(start) != nullptr)
        check(start, relative_error(planes[i].scale, scalar_at(trace_, start)), kTolerances.rounding);
      const std::string module = parameter.substr(0, parameter.rfind('.'));
      if (parameter.ends_with(".weight")) compare_density(module, planes[i], densities.at(module));
    }
  }

  void compare_density(const std::string& module, const BitPlanes& planes, const std::vector<float>& expected) {
    const std::vector<double> density = plane_density_percent(planes);
    check("density " + module, largest_error(std::vector<float>(density.begin(), density.end()), expected),
          kTolerances.rounding);
  }

  void compare_step(int step) {
    StepMetrics metrics;
    if (step == 0) {
      const FirstStep first = replay_->run_first_step();
      compare_first_step(name_, trace_, setup_, first, comparison_);
      metrics = first.metrics;
    } else {
      metrics = replay_->run_step(step);
    }
    const auto samples = static_cast<double>(metrics.samples);
    check(fmt::format("samples at step {}", step), samples - setup_.batch, kTolerances.exact);
    check(fmt::format("reg_over_params at step {}", step),
          relative_error(metrics.penalty, stored("reg_over_params", step)), kTolerances.penalty);
    if (chaotic()) return;  // the rest: compare_scatter
    check(fmt::format("ce_loss at step {}", step), relative_error(metrics.loss_sum / samples, stored("ce_loss", step)),
          at_step(kTolerances.loss, step));
    check(fmt::format("batch_accuracy at step {}", step),
          static_cast<double>(metrics.top1) / samples - stored("batch_accuracy", step),
          std::max(at_step(kTolerances.accuracy, step), 1 / samples) + kTolerances.rounding);
  }

  void compare_end() {
    const ArenaLayout& layout = replay_->model().quantized_layout();
    std::vector<BitPlanes> planes = test::plane_store(replay_->model()).planes();
    for (BitPlanes& tensor : planes) {
      requantize(tensor, kMaxBits);
      adjust_precision(tensor, 0.0);
    }
    test::plane_store(replay_->model()).set_planes(planes);
    if (chaotic()) return comparison_.note("activations are quantized: the state after the last step is not compared");
    check("scheme_after_requant",
          count_differing_widths(scheme_to_json(StoredPlanes(planes), layout), json_at(trace_, "scheme_after_requant")),
          kTolerances.exact);
    check(
        "comp_after_requant",
        relative_error(summarize_bits(StoredPlanes(planes), layout, 0).compression(), number_at("comp_after_requant")),
        kTolerances.rounding);
    const HostTensor& logits = trace_.at("eval.logits_after_requant");
    if (logits.shape.size() != 2 || logits.shape[0] < 1 || logits.shape[0] > trace_.at("labels").numel())
      fail(ErrorKind::checkpoint, "{}: not [1..{}, 10]", logits.name, trace_.at("labels").numel());
    check("eval.logits_after_requant",
          norm_error(replay_->evaluate(static_cast<int>(logits.shape[0])), logits.values<float>()),
          at_step(kTolerances.final_logits, setup_.steps));
  }

  std::string name_;
  const TensorFile& trace_;
  const TrainingSetup& setup_;
  Comparison& comparison_;
  std::unique_ptr<TrainingReplay> replay_;
};

}  // namespace

void compare_bsq_trace(const TensorFile& trace, Comparison& comparison) {
  const TrainingSetup setup = read_setup(trace);
  on_every_backend(comparison, [&](Backend& backend) {
    if (backend.name() == "reference" && too_slow_for_reference(setup, comparison)) return;
    BsqComparison compared(backend, trace, setup, comparison);
    compared.run();
    if (setup.network.act_bits == 0) return;
    if (backend.name() == "reference")
      return comparison.note("reference: the scatter of disturbed runs takes too long");
    compared.compare_scatter(backend);
  });
}

}  // namespace bsq::golden
