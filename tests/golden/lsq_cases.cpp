// kind = lsq_cases: caseNN.{x, grad_out, step} -> weights on a grid whose step is trained -> {y, levels, grad_x,
// grad_step}. Cases of activations are weights of the same levels here, and activations as well. A first step without
// decay leaves the gradients as the momentum.
#include "engine/memory/device_memory.h"
#include "engine/methods/lsq/stored_lsq.h"
#include "tests/golden/trace.h"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace bsq::golden {
namespace {

constexpr double kRoundingTolerance = 1e-6;  // of the largest value
constexpr double kSumTolerance = 1e-5;       // of the magnitudes that were added up

struct LsqResult {
  std::vector<float> weights, d_w;
  float d_step = 0;
};

Buffer device_array(Backend& backend, std::span<const float> values) {
  Buffer buffer(backend, values.size() * sizeof(float));
  upload_array(backend, buffer.as<float>(), std::vector<float>(values.begin(), values.end()));
  return buffer;
}

/// The weights, and the gradients from those of what is stored.
LsqResult run(Backend& backend, const LsqTensor& tensor, std::span<const float> x, float step,
              std::span<const float> gradients) {
  const auto zeros = [&](std::size_t count) { return device_array(backend, std::vector<float>(count)); };
  const std::vector<LsqTensor> host = {tensor};
  const Buffer table(backend, sizeof(LsqTensor)), inputs(backend, sizeof(StepInputs));
  upload_array(backend, table.as<LsqTensor>(), host);
  upload_array(backend, inputs.as<StepInputs>(), std::vector<StepInputs>{{.learning_rate = 0.1F}});
  const DeviceTable<LsqTensor> tensors{host, table.as<LsqTensor>()};
  const Buffer w = device_array(backend, x), steps = device_array(backend, {&step, 1});
  const Buffer d_weights = device_array(backend, gradients);
  const Buffer weights = zeros(x.size()), unit = zeros(1), w_momentum = zeros(x.size()), step_momentum = zeros(1);
  const Buffer scratch(backend, backend.lsq_scratch_bytes(tensors));

  backend.weights_from_lsq({tensors, w.as<float>(), steps.as<float>(), weights.as<float>(), unit.as<float>()});
  backend.lsq_step({tensors,
                    {.momentum = 0.9F, .weight_decay = 0},
                    inputs.as<StepInputs>(),
                    d_weights.as<float>(),
                    w.as<float>(),
                    w_momentum.as<float>(),
                    steps.as<float>(),
                    step_momentum.as<float>(),
                    scratch.data()});
  return {download_array(backend, weights.as<float>(), x.size()),
          download_array(backend, w_momentum.as<float>(), x.size()),
          download_array(backend, step_momentum.as<float>(), 1)[0]};
}

/// sum |dy (k - x / s)|, |dy k| beyond the ends: what cancels in the gradient of the step.
double size_of_terms(const LsqTensor& tensor, std::span<const float> x, float step, std::span<const float> grad_out) {
  double sum = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double quotient = double{x[i]} / step;
    const double clamped = std::clamp<double>(quotient, tensor.low, tensor.high);
    sum += std::abs((std::nearbyint(clamped) - (clamped == quotient ? quotient : 0)) * grad_out[i]);
  }
  return sum;
}

double zeros_that_differ(std::span<const float> actual, std::span<const float> expected) {
  double count = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) count += (actual[i] == 0) != (expected[i] == 0) ? 1 : 0;
  return count;
}

/// A case as it is stored.
struct LsqCase {
  std::string prefix;  // caseNN
  std::string title;
  std::span<const float> x, grad_out, grad_x, y;
  std::span<const std::int32_t> levels;
  LsqTensor tensor;
  float step = 0, grad_step = 0;
  double initial_step = 0;
};

LsqCase read_case(const TensorFile& trace, const nlohmann::json& entry) {
  const std::string prefix = fmt::format("case{:02}", entry.at("case").get<int>());
  const HostTensor& x = trace.at(prefix + ".x");
  const std::int64_t size = x.numel();
  const HostTensor& levels = trace.at(prefix + ".levels");
  if (size == 0 || levels.numel() != size)
    fail(ErrorKind::checkpoint, "{}: {} numbers on {} levels", prefix, size, levels.numel());
  const auto values = [&](const char* name) { return values_at(trace, prefix + name, size); };
  LsqCase result{
      .prefix = prefix,
      .title = fmt::format("{}, {} to {}: ", prefix, entry.at("q_min").get<int>(), entry.at("q_max").get<int>()),
      .x = x.values<float>(),
      .grad_out = values(".grad_out"),
      .grad_x = values(".grad_x"),
      .y = values(".y"),
      .levels = levels.values<std::int32_t>(),
      .tensor = {.numel = size,
                 .low = entry.at("q_min").get<std::int32_t>(),
                 .high = entry.at("q_max").get<std::int32_t>(),
                 .grad_scale = entry.at("grad_scale").get<float>()},
      .step = scalar_at(trace, prefix + ".step"),
      .grad_step = scalar_at(trace, prefix + ".grad_step"),
      .initial_step = entry.at("initial_step").get<double>()};
  if (!(result.step > 0)) fail(ErrorKind::checkpoint, "{}.step is {}, expected above 0", prefix, result.step);
  return result;
}

/// What LsqTensor holds: levels of which 0 is one, whose magnitudes bf16 holds exactly.
bool is_within_reach(const LsqTensor& tensor) {
  return -256 <= tensor.low && tensor.low <= 0 && 1 <= tensor.high && tensor.high <= 255;
}

void compare_on(Backend& backend, const LsqCase& c, Comparison& comparison) {
  const auto check = [&](const std::string& name, double error, double tolerance) {
    comparison.check(backend.name() + " " + c.title + name, error, tolerance);
  };
  const double scale = double{c.tensor.grad_scale} * size_of_terms(c.tensor, c.x, c.step, c.grad_out);
  const auto check_gradients = [&](const LsqResult& result, const std::string& from) {
    check("grad x" + from, largest_error(result.d_w, c.grad_x), kRoundingTolerance);
    check("zeros of grad x" + from, zeros_that_differ(result.d_w, c.grad_x), 0);
    const double error = std::abs(double{result.d_step} - double{c.grad_step});
    check("grad step" + from, scale > 0 ? error / scale : error, kSumTolerance);
  };
  const LsqResult values = run(backend, c.tensor, c.x, c.step, c.grad_out);
  check("y", largest_error(values.weights, c.y), kRoundingTolerance);
  check_gradients(values, "");

  LsqTensor integers = c.tensor;
  integers.storage = WeightStorage::integers;
  std::vector<float> of_levels(c.grad_out.begin(), c.grad_out.end());
  for (float& gradient : of_levels) gradient *= c.step;
  const LsqResult levels = run(backend, integers, c.x, c.step, of_levels);
  check("levels", count_different(levels.weights, std::vector<float>(c.levels.begin(), c.levels.end())), 0);
  check_gradients(levels, ", from levels");
}

/// Bits of a grid from 0 to 2^bits - 1; 0: it is another.
int activation_bits(const LsqTensor& tensor) {
  for (int bits = 1; bits <= 8; ++bits)
    if (tensor.low == 0 && tensor.high == (1 << bits) - 1) return bits;
  return 0;
}

/// As a quantizer of activations, whose ceiling is step times the highest level.
void compare_activation(Backend& backend, const LsqCase& c, Comparison& comparison) {
  const auto high = static_cast<float>(c.tensor.high);
  const NormActGeometry geometry{.rows = c.tensor.numel, .channels = 1};
  const NormActRule rule{.activation = Activation::lsq,
                         .act_bits = activation_bits(c.tensor),
                         .normalize = false,
                         .clip_gain = c.tensor.grad_scale * high * high};
  const float ceiling = c.step * high;
  const Buffer x = device_array(backend, c.x), d_y = device_array(backend, c.grad_out);
  const Buffer clip = device_array(backend, {&ceiling, 1});
  const std::vector<float> zeros(c.x.size());
  const Buffer y = device_array(backend, zeros), d_x = device_array(backend, zeros);
  const Buffer saved = device_array(backend, {zeros.data(), 1}), d_clip = device_array(backend, {zeros.data(), 1});
  const Buffer scratch(backend, backend.norm_act_scratch_bytes(geometry));
  backend.norm_act_forward({.geometry = geometry,
                            .rule = rule,
                            .x = x.data(),
                            .parameters = {.clip = clip.as<float>()},
                            .saved = {.act_scale = saved.as<float>()},
                            .y = y.data(),
                            .scratch = scratch.data(),
                            .act_scale = clip.as<float>()});
  backend.norm_act_backward({.geometry = geometry,
                             .rule = rule,
                             .d_y = d_y.data(),
                             .x = x.data(),
                             .parameters = {.clip = clip.as<float>()},
                             .saved = {.act_scale = saved.as<float>()},
                             .d_x = d_x.data(),
                             .gradients = {.d_clip = d_clip.as<float>()},
                             .scratch = scratch.data()});
  const auto check = [&](const std::string& name, double error, double tolerance) {
    comparison.check(backend.name() + " " + c.title + "activations, " + name, error, tolerance);
  };
  const std::vector<float> grad_x = download_array(backend, d_x.as<float>(), c.x.size());
  check("y", largest_error(download_array(backend, y.as<float>(), c.x.size()), c.y), kRoundingTolerance);
  check("grad x", largest_error(grad_x, c.grad_x), kRoundingTolerance);
  check("zeros of grad x", zeros_that_differ(grad_x, c.grad_x), 0);
  const double scale = double{c.tensor.grad_scale} * size_of_terms(c.tensor, c.x, c.step, c.grad_out);
  const double grad_step = double{download_array(backend, d_clip.as<float>(), 1)[0]} / double{high};
  const double error = std::abs(grad_step - double{c.grad_step});
  check("grad step", scale > 0 ? error / scale : error, kSumTolerance);
}

/// How much of the initial step, relative to it, the values stand for that were moved: it is of x before those within a
/// thousandth of a step of a boundary or an end were moved away from there, by a hundredth.
double moved_share(const LsqCase& c) {
  constexpr double distance = 0.01, reach = 0.0111;
  double count = 0;
  for (const float x : c.x) {
    const double quotient = std::abs(double{x} / c.step);
    const double to_boundary = std::abs(quotient - std::floor(quotient) - 0.5);
    const double to_end =
        std::min(std::abs(double{x} / c.step - c.tensor.low), std::abs(double{x} / c.step - c.tensor.high));
    count += std::min(to_boundary, to_end) < reach ? 1 : 0;
  }
  const double mean = distance * c.step * count / static_cast<double>(c.x.size());
  return 2 * mean / std::sqrt(static_cast<double>(c.tensor.high)) / c.initial_step;
}

/// What the host computes, which knows grids of 2^bits - 1 levels above 0 alone, and as many below or one more.
void compare_host(const LsqCase& c, Comparison& comparison) {
  int bits = 1;
  while ((1 << bits) - 1 < c.tensor.high) ++bits;
  if ((1 << bits) - 1 != c.tensor.high) return;
  const std::vector<float> x(c.x.begin(), c.x.end());
  comparison.check("host " + c.title + "initial step", relative_error(lsq_start_step(x, bits), c.initial_step),
                   kRoundingTolerance + moved_share(c));
  const bool is_lopsided = c.tensor.low == -c.tensor.high - 1;
  if (c.tensor.low != -c.tensor.high && !is_lopsided) return;
  const std::vector<int> levels = lsq_levels({.bits = bits, .step = c.step, .w = x, .is_lopsided = is_lopsided});
  comparison.check("host " + c.title + "levels",
                   count_different(std::vector<float>(levels.begin(), levels.end()),
                                   std::vector<float>(c.levels.begin(), c.levels.end())),
                   0);
}

}  // namespace

void compare_lsq_cases(const TensorFile& trace, Comparison& comparison) {
  std::vector<LsqCase> cases;
  std::string offsets, beyond;
  for (const nlohmann::json& entry : json_at(trace, "cases")) {
    if (entry.at("quantizer") != "lsq") {
      offsets += fmt::format(" case{:02} ({})", entry.at("case").get<int>(), entry.at("quantizer").get<std::string>());
      continue;
    }
    const LsqCase c = read_case(trace, entry);
    if (is_within_reach(c.tensor))
      cases.push_back(c);
    else
      beyond += fmt::format(" {} ({} to {})", c.prefix, c.tensor.low, c.tensor.high);
  }
  if (!offsets.empty()) comparison.note("not run: there are no offsets yet:" + offsets);
  if (!beyond.empty()) comparison.note("not run: no tensor has such levels:" + beyond);
  if (cases.empty()) throw Skipped("there are no offsets yet, nor levels beyond 255:" + offsets + beyond);
  for (const LsqCase& c : cases) compare_host(c, comparison);
  on_every_backend(comparison, [&](Backend& backend) {
    for (const LsqCase& c : cases) compare_on(backend, c, comparison);
    for (const LsqCase& c : cases)
      if (activation_bits(c.tensor) > 0) compare_activation(backend, c, comparison);
  });
}

}  // namespace bsq::golden
