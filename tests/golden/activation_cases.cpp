// kind = activation_cases: caseNN.{x, grad_out} -> activation -> quantizer -> {y, grad_x}, and grad_alpha for PACT.
//
// Run through norm_act: its x is zero and its shortcut the case's x, so that z is the case's x exactly (mean 0,
// variance 0, epsilon 1, hence inv_std 1, gamma 1, beta 0) and d_shortcut the case's grad_x. Every operation is
// elementwise or over the whole tensor, so the order of the elements does not matter.
#include "engine/memory/device_memory.h"
#include "engine/methods/bsq/bit_planes.h"
#include "tests/golden/trace.h"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace bsq::golden {
namespace {

constexpr double kRoundingTolerance = 1e-6;  // of the largest value: a few float32 roundings

struct ActivationCase {
  Activation activation = Activation::relu6;
  int act_bits = 0;
  int channels = 1;
  float clip = 6;  // PACT's alpha
  std::span<const float> x, grad_out;
};

struct ActivationResult {
  std::vector<float> y, grad_x;
  float grad_alpha = 0;
};

Buffer device_array(Backend& backend, const std::vector<float>& values) {
  Buffer buffer(backend, values.size() * sizeof(float));
  upload_array(backend, buffer.as<float>(), values);
  return buffer;
}

ActivationResult run(Backend& backend, const ActivationCase& input) {
  const std::size_t size = input.x.size();
  const auto channels = static_cast<std::size_t>(input.channels);
  const NormActGeometry geometry{static_cast<std::int64_t>(size / channels), input.channels, DType::f32};
  const NormActRule rule{.activation = input.activation, .act_bits = input.act_bits, .epsilon = 1.0F};

  const std::vector<float> zeros(channels, 0.0F);
  const std::vector<float> ones(channels, 1.0F);
  const auto made = [&backend](const std::vector<float>& values) { return device_array(backend, values); };
  const Buffer gamma = made(ones), beta = made(zeros), running_mean = made(zeros), running_var = made(ones);
  const Buffer mean = made(zeros), inv_std = made(zeros), d_gamma = made(zeros), d_beta = made(zeros);
  const Buffer clip = made({input.clip}), act_scale = made({0}), d_clip = made({0});
  const Buffer x = made(std::vector<float>(size)), y = made(std::vector<float>(size));
  const Buffer d_x = made(std::vector<float>(size)), d_shortcut = made(std::vector<float>(size));
  const Buffer shortcut = made({input.x.begin(), input.x.end()});
  const Buffer d_y = made({input.grad_out.begin(), input.grad_out.end()});
  const Buffer scratch(backend, backend.norm_act_scratch_bytes(geometry));

  const bool pact = input.activation == Activation::pact;
  const NormParameters parameters{gamma.as<float>(), beta.as<float>(), running_mean.as<float>(),
                                  running_var.as<float>(), pact ? clip.as<float>() : nullptr};
  const NormSaved saved{mean.as<float>(), inv_std.as<float>(), act_scale.as<float>()};
  const NormGradients gradients{d_gamma.as<float>(), d_beta.as<float>(), pact ? d_clip.as<float>() : nullptr};
  backend.norm_act_forward({geometry, rule, x.data(), shortcut.data(), parameters, saved, y.data(), scratch.data()});
  backend.norm_act_backward({geometry, rule, d_y.data(), x.data(), shortcut.data(), parameters, saved, d_x.data(),
                             d_shortcut.data(), GradMode::overwrite, GradMode::overwrite, gradients, scratch.data()});
  return {download_array(backend, y.as<float>(), size), download_array(backend, d_shortcut.as<float>(), size),
          download_array(backend, d_clip.as<float>(), 1)[0]};
}

/// The largest error of y over the largest activation. A value at a rounding boundary may be one level off.
double quantized_error(const ActivationCase& input, std::span<const float> actual, std::span<const float> expected) {
  if (actual.size() != expected.size()) return HUGE_VAL;
  const double ceiling = input.activation == Activation::relu ? HUGE_VAL : double{input.clip};
  std::vector<double> activated(input.x.size());
  std::transform(input.x.begin(), input.x.end(), activated.begin(), [&](float x) {
    return input.activation == Activation::none ? double{x} : std::clamp(double{x}, 0.0, ceiling);
  });
  double scale = 0;
  for (const double value : activated) scale = std::max(scale, std::abs(value));
  if (scale == 0 || input.act_bits == 0) return largest_error(actual, expected);

  const double step = scale / ((1 << input.act_bits) - 1);
  double largest = 0;
  for (std::size_t i = 0; i < activated.size(); ++i) {
    double error = std::abs(double{actual[i]} - double{expected[i]});
    const double level = std::abs(activated[i]) / step;
    const double to_boundary = std::abs(level - std::floor(level) - 0.5) * step;
    if (to_boundary <= kRoundingTolerance * scale) error = std::min(error, std::abs(error - step));
    if (std::isnan(error)) return error;
    largest = std::max(largest, error);
  }
  return largest / scale;
}

/// The gradient is copied or zero: nothing rounds. Exactly on a kink of PACT, 0 or the ceiling, both are a derivative.
double wrong_gradients(const ActivationCase& input, std::span<const float> actual, std::span<const float> expected) {
  double count = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    const bool on_kink = input.activation == Activation::pact && (input.x[i] == 0 || input.x[i] == input.clip);
    const auto is_derivative = [&](float value) { return value == 0 || value == input.grad_out[i]; };
    const bool right = on_kink ? is_derivative(actual[i]) && is_derivative(expected[i]) : actual[i] == expected[i];
    count += right ? 0 : 1;
  }
  return count;
}

void compare_on(Backend& backend, const TensorFile& trace, const nlohmann::json& entry, Comparison& comparison) {
  const std::string prefix = fmt::format("case{:02}", entry.at("case").get<int>());
  const HostTensor& x = trace.at(prefix + ".x");
  if (x.numel() == 0) fail(ErrorKind::checkpoint, "{} is empty", x.name);
  ActivationCase input{activation_named(entry.at("activation").get<std::string>()),
                       entry.at("bits").get<int>(),
                       1,
                       6,
                       x.values<float>(),
                       values_at(trace, prefix + ".grad_out", x.numel())};
  if (input.act_bits < 0 || input.act_bits > kMaxBits)
    fail(ErrorKind::checkpoint, "{}: {} bits, expected 0..{}", prefix, input.act_bits, kMaxBits);
  if (x.shape.size() > 1) input.channels = static_cast<int>(x.shape[1]);
  const bool pact = input.activation == Activation::pact;
  if (pact) input.clip = scalar_at(trace, prefix + ".alpha");
  if (!(input.clip >= 0)) fail(ErrorKind::checkpoint, "{}.alpha is {}, expected >= 0", prefix, input.clip);

  const ActivationResult result = run(backend, input);
  const std::int64_t size = x.numel();
  const std::string name =
      fmt::format("{} {} {}, {} bits", backend.name(), prefix, name_of(input.activation), input.act_bits);
  comparison.check(name + ": y", quantized_error(input, result.y, trace.at(prefix + ".y").values<float>()),
                   kRoundingTolerance);
  comparison.check(name + ": grad x", wrong_gradients(input, result.grad_x, values_at(trace, prefix + ".grad_x", size)),
                   0);
  if (pact) {
    double magnitude = 0;  // a sum cancels: its rounding is measured by what was added up
    for (const float value : input.grad_out) magnitude += std::abs(double{value});
    const double error = std::abs(double{result.grad_alpha} - double{scalar_at(trace, prefix + ".grad_alpha")});
    comparison.check(name + ": grad alpha", magnitude > 0 ? error / magnitude : error, kRoundingTolerance);
  }
}

}  // namespace

void compare_activation_cases(const TensorFile& trace, Comparison& comparison) {
  const nlohmann::json cases = json_at(trace, "cases");
  on_every_backend(comparison, [&](Backend& backend) {
    for (const nlohmann::json& entry : cases) compare_on(backend, trace, entry, comparison);
  });
}

}  // namespace bsq::golden
