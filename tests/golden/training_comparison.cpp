// Step 0 of a training trace, tensor by tensor. Every tensor of the trace is looked up in the product by its name, so
// that one the product does not have fails.
#include "engine/model/tensor_names.h"
#include "tests/golden/training_replay.h"
#include "tests/golden/training_tolerances.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

namespace bsq::golden {
namespace {

constexpr TrainingTolerances kTolerances;
constexpr std::string_view kMeanSuffix = ".running_mean";
constexpr std::string_view kVarianceSuffix = ".running_var";

bool is_scale(const std::string& name) {
  return name.ends_with(".scale") || name.ends_with(".biasscale");
}
bool is_ceiling(const std::string& name) {
  return name.ends_with(".alpha");
}
bool is_norm(const std::string& name) {
  return name.find("bn") != std::string::npos || name.find("downsample.1.") != std::string::npos;
}

double gradient_tolerance(const std::string& name) {
  if (name.starts_with("fc.")) return kTolerances.gradient_near_loss;
  return is_norm(name) ? kTolerances.norm_gradient : kTolerances.gradient;
}

/// The value under the trace's name, or under the one that finetuning stores u under; null where there is neither.
template <typename Map>
const typename Map::mapped_type* find(const Map& tensors, const std::string& name) {
  for (const std::string& candidate : {name, plane_name(name, "u")}) {
    const auto found = tensors.find(candidate);
    if (found != tensors.end()) return &found->second;
  }
  return nullptr;
}

/// float32 values next to x are about this far from it: what the result of an update is rounded to.
double spacing(double x) {
  return std::abs(x) * double{std::numeric_limits<float>::epsilon()};
}

/// How a step moved a tensor, beside how it should have: norm of the difference over norm of the expected move. A
/// difference of one float32 rounding of the moved value is none.
class MoveError {
 public:
  void add(std::span<const float> before, std::span<const float> actual, std::span<const float> expected) {
    if (before.size() != expected.size() || actual.size() != expected.size()) difference_ = HUGE_VAL;
    for (std::size_t i = 0; i < std::min({before.size(), actual.size(), expected.size()}); ++i) {
      const double error = std::abs(double{actual[i]} - double{expected[i]});
      const double beyond_rounding = error <= spacing(expected[i]) ? 0.0 : error;
      const double move = double{expected[i]} - double{before[i]};
      difference_ += beyond_rounding * beyond_rounding;
      move_ += move * move;
    }
  }
  double value() const { return move_ > 0 ? std::sqrt(difference_ / move_) : std::sqrt(difference_); }

 private:
  double difference_ = 0;
  double move_ = 0;
};

class FirstStepComparison {
 public:
  FirstStepComparison(const std::string& backend, const TensorFile& trace, const TrainingSetup& setup,
                      const FirstStep& step, Comparison& comparison)
      : backend_(backend), trace_(trace), setup_(setup), step_(step), comparison_(comparison) {}

  void run() {
    if (metadata(trace_, "kind") == "bsq_trace")
      compare_all("step0.weight_grad.", &FirstStepComparison::compare_weight_gradient);
    compare_all("step0.grad.", &FirstStepComparison::compare_gradient);
    if (!ceiling_gradients_expected_.empty())
      check("step0.grad, all PACT alpha", norm_error(ceiling_gradients_, ceiling_gradients_expected_),
            kTolerances.gradient);
    compare_all("after1.", &FirstStepComparison::compare_move);
    if (!ceiling_gradients_expected_.empty())
      check("after1, all PACT alpha", ceiling_moves_.value(), kTolerances.gradient);
  }

 private:
  using Compare = void (FirstStepComparison::*)(const HostTensor&, const std::string&);

  void compare_all(const std::string& prefix, Compare compare) {
    bool found = false;
    for (const HostTensor& tensor : trace_.tensors) {
      if (!tensor.name.starts_with(prefix)) continue;
      (this->*compare)(tensor, tensor.name.substr(prefix.size()));
      found = true;
    }
    if (!found) check(prefix + "*: the trace has none", HUGE_VAL, kTolerances.exact);
  }

  void compare_weight_gradient(const HostTensor& expected, const std::string& layer) {
    const auto* actual = find(step_.weight_grads, layer + ".weight");
    if (actual == nullptr) return missing(expected);
    compare_tensor_gradient(expected, layer + ".weight", *actual);
  }

  void compare_gradient(const HostTensor& expected, const std::string& name) {
    const auto* actual = find(step_.gradients, name);
    if (actual == nullptr) return missing(expected);
    const auto values = expected.values<float>();
    if (is_ceiling(name)) {  // most are exactly zero: compared together
      ceiling_gradients_.insert(ceiling_gradients_.end(), actual->begin(), actual->end());
      ceiling_gradients_expected_.insert(ceiling_gradients_expected_.end(), values.begin(), values.end());
    } else if (is_scale(name)) {
      const double error = std::abs(double{actual->at(0)} - double{scalar_at(trace_, expected.name)});
      check(expected.name + ", of sum |q dW|", over(error, scale_magnitude(name)), kTolerances.scale_gradient);
    } else {
      compare_tensor_gradient(expected, name, *actual);
    }
  }

  void compare_tensor_gradient(const HostTensor& expected, const std::string& name, std::span<const float> actual) {
    const auto values = expected.values<float>();
    check(expected.name, norm_error(actual, values), gradient_tolerance(name));
    if (!name.starts_with(last_block(setup_) + "conv2.") || actual.size() != values.size()) return;
    const std::size_t filter = values.size() / step_.kink_distances.size();
    std::vector<float> clear_actual, clear_expected;
    for (std::size_t channel = 0; channel < step_.kink_distances.size(); ++channel) {
      if (step_.kink_distances[channel] <= kTolerances.clear_of_kink) continue;
      const auto append = [&](std::vector<float>& kept, std::span<const float> from) {
        const auto part = from.subspan(channel * filter, filter);
        kept.insert(kept.end(), part.begin(), part.end());
      };
      append(clear_actual, actual);
      append(clear_expected, values);
    }
    check(fmt::format("{}, {} of {} channels", expected.name, clear_expected.size() / filter,
                      step_.kink_distances.size()),
          norm_error(clear_actual, clear_expected), kTolerances.gradient_near_loss);
  }

  /// A parameter moves by lr (g + weight_decay x): as exact as its gradient.
  void compare_move(const HostTensor& expected, const std::string& name) {
    const auto* before = find(step_.before, name);
    const auto* after = find(step_.after, name);
    if (before == nullptr || after == nullptr) return missing(expected);
    const auto values = expected.values<float>();
    const auto actual = after->values<float>();
    if (is_scale(name)) {
      const double error = std::abs(double{actual[0]} - double{scalar_at(trace_, expected.name)});
      const double beyond_rounding = error <= spacing(values[0]) ? 0.0 : error;
      check(expected.name + ", of lr sum |q dW|",
            over(beyond_rounding, double{setup_.learning_rate} * scale_magnitude(name)), kTolerances.scale_gradient);
      return;
    }
    if (is_ceiling(name)) return ceiling_moves_.add(before->values<float>(), actual, values);
    if (name.ends_with(kMeanSuffix)) return compare_mean(expected, name, actual);
    MoveError move;
    move.add(before->values<float>(), actual, values);
    check(expected.name + ", its move", move.value(),
          name.ends_with(kVarianceSuffix) ? kTolerances.variance : gradient_tolerance(name));
  }

  /// Against the deviation of what is averaged: a mean, and more so its change, may be close to zero.
  void compare_mean(const HostTensor& expected, const std::string& name, std::span<const float> actual) {
    const std::string module = name.substr(0, name.size() - kMeanSuffix.size());
    double variance = 0;
    for (const float value : trace_.at("after1." + module + std::string(kVarianceSuffix)).values<float>())
      variance += double{value};
    const auto values = expected.values<float>();
    double difference = 0;
    for (std::size_t i = 0; i < values.size() && actual.size() == values.size(); ++i)
      difference += (double{actual[i]} - double{values[i]}) * (double{actual[i]} - double{values[i]});
    if (actual.size() != values.size()) difference = HUGE_VAL;
    check(expected.name + ", of momentum deviation",
          over(std::sqrt(difference), double{NormActRule{}.momentum} * std::sqrt(variance)), kTolerances.mean);
  }

  double scale_magnitude(const std::string& name) const {
    const auto found = step_.scale_gradient_magnitudes.find(name);
    return found == step_.scale_gradient_magnitudes.end() ? 0.0 : found->second;
  }
  static double over(double error, double magnitude) { return magnitude > 0 ? error / magnitude : error; }

  void check(const std::string& name, double error, double tolerance) {
    comparison_.check(backend_ + " " + name, error, tolerance);
  }
  void missing(const HostTensor& expected) { check(expected.name + ": no such tensor", HUGE_VAL, kTolerances.exact); }

  const std::string& backend_;
  const TensorFile& trace_;
  const TrainingSetup& setup_;
  const FirstStep& step_;
  Comparison& comparison_;
  std::vector<float> ceiling_gradients_, ceiling_gradients_expected_;
  MoveError ceiling_moves_;
};

}  // namespace

void compare_first_step(const std::string& backend, const TensorFile& trace, const TrainingSetup& setup,
                        const FirstStep& step, Comparison& comparison) {
  if (setup.network.act_bits > 0) {
    comparison.note("activations are quantized: step 0 is not compared tensor by tensor");
    return;
  }
  comparison.check(backend + " step0.logits", norm_error(step.logits, trace.at("step0.logits").values<float>()),
                   kTolerances.logits);
  FirstStepComparison(backend, trace, setup, step, comparison).run();
}

}  // namespace bsq::golden
