// kind = csq_cases: caseNN: planes, scale and mask of a layer -> effective weight, gradients, states after SGD steps
// with the budget, levels when all gates are hard; budgetNN: masks of a network -> gradients of the budget alone.
// Gradients are read from the momentum of a first step without decay.
#include "engine/memory/device_memory.h"
#include "engine/methods/csq/stored_csq.h"
#include "tests/golden/trace.h"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

namespace bsq::golden {
namespace {

constexpr double kTolerance = 1e-5;  // norm of the difference over norm

/// Relative; absolute where 0 is expected.
double number_error(float actual, float expected) {
  return norm_error({&actual, 1}, {&expected, 1});
}

/// The numbers of one tensor or of several, on a device.
class CsqOnDevice {
 public:
  CsqOnDevice(Backend& backend, std::vector<CsqTensor> tensors, const std::vector<float>& planes,
              const std::vector<float>& scales, const std::vector<float>& masks)
      : backend_(backend),
        tensors_(std::move(tensors)),
        table_(array_of(tensors_)),
        planes_(array_of(planes)),
        scales_(array_of(scales)),
        masks_(array_of(masks)),
        plane_momentum_(array_of(std::vector<float>(planes.size()))),
        scale_momentum_(array_of(std::vector<float>(scales.size()))),
        mask_momentum_(array_of(std::vector<float>(masks.size()))),
        weights_(array_of(std::vector<float>(planes.size()))),
        budget_(array_of(std::vector<CsqBudget>(1))),
        scratch_(backend, backend.csq_scratch_bytes(table())) {}

  void place(const CsqNumbers& numbers) {
    const Buffer inputs = inputs_of(numbers, 0);
    backend_.weights_from_csq({.tensors = table(),
                               .inputs = inputs.as<StepInputs>(),
                               .planes = planes_.as<float>(),
                               .scales = scales_.as<float>(),
                               .masks = masks_.as<float>(),
                               .weights = weights_.as<float>(),
                               .budget = budget_.as<CsqBudget>()});
    backend_.synchronize();
  }
  /// place() comes first.
  void step(const CsqNumbers& numbers, const SgdRule& rule, float learning_rate, std::span<const float> d_weights) {
    const Buffer inputs = inputs_of(numbers, learning_rate);
    const Buffer gradients = array_of(std::vector<float>(d_weights.begin(), d_weights.end()));
    backend_.csq_step({.tensors = table(),
                       .rule = rule,
                       .inputs = inputs.as<StepInputs>(),
                       .d_weights = gradients.as<float>(),
                       .budget = budget_.as<CsqBudget>(),
                       .planes = planes_.as<float>(),
                       .plane_momentum = plane_momentum_.as<float>(),
                       .scales = scales_.as<float>(),
                       .scale_momentum = scale_momentum_.as<float>(),
                       .masks = masks_.as<float>(),
                       .mask_momentum = mask_momentum_.as<float>(),
                       .scratch = scratch_.data()});
    backend_.synchronize();
  }

  std::vector<float> planes() const { return read(planes_); }
  std::vector<float> plane_momentum() const { return read(plane_momentum_); }
  float scale() const { return read(scales_)[0]; }
  float scale_momentum() const { return read(scale_momentum_)[0]; }
  std::vector<float> masks() const { return read(masks_); }
  std::vector<float> mask_momentum() const { return read(mask_momentum_); }
  std::vector<float> weights(std::size_t count) const {
    std::vector<float> all = read(weights_);
    all.resize(count);
    return all;
  }
  CsqBudget budget() const { return download_array(backend_, budget_.as<CsqBudget>(), 1)[0]; }

 private:
  template <typename T>
  Buffer array_of(const std::vector<T>& values) const {
    Buffer buffer(backend_, values.size() * sizeof(T));
    upload_array(backend_, buffer.as<T>(), values);
    return buffer;
  }
  Buffer inputs_of(const CsqNumbers& numbers, float learning_rate) const {
    return array_of(std::vector<StepInputs>{{.learning_rate = learning_rate, .method = numbers.to_method()}});
  }
  std::vector<float> read(const Buffer& buffer) const {
    return download_array(backend_, buffer.as<float>(), buffer.size_bytes() / sizeof(float));
  }
  DeviceTable<CsqTensor> table() const { return {tensors_, table_.as<CsqTensor>()}; }

  Backend& backend_;
  std::vector<CsqTensor> tensors_;
  Buffer table_, planes_, scales_, masks_, plane_momentum_, scale_momentum_, mask_momentum_, weights_, budget_,
      scratch_;
};

CsqHardness hardness_of(const nlohmann::json& entry) {
  const auto kind = entry.at("mask_kind").get<std::string>();
  if (kind == "soft") return CsqHardness::none;
  if (kind == "hard") return CsqHardness::masks;
  fail(ErrorKind::checkpoint, "mask_kind '{}', expected soft or hard", kind);
}

/// A layer as it is stored, planes as [p, then n][bit][weight].
struct CsqCase {
  const TensorFile& trace;
  const nlohmann::json& entry;
  std::string prefix;
  std::int64_t numel = 0;
  int bits = 0;
  CsqHardness hardness;
  std::vector<float> temperatures;
  SgdRule rule;

  CsqCase(const TensorFile& file, const nlohmann::json& described)
      : trace(file),
        entry(described),
        prefix(fmt::format("case{:02}", entry.at("case").get<int>())),
        bits(entry.at("bits").get<int>()),
        hardness(hardness_of(entry)),
        temperatures(entry.at("temperatures").get<std::vector<float>>()),
        rule{entry.at("momentum").get<float>(), entry.at("weight_decay").get<float>()} {
    if (bits < 1 || bits > kMaxBits || temperatures.empty())
      fail(ErrorKind::checkpoint, "{}: {} bits, {} temperatures", prefix, bits, temperatures.size());
    numel = trace.at(prefix + ".weight").numel();
  }

  std::vector<float> values(const std::string& name, std::int64_t count) const {
    const auto found = values_at(trace, prefix + name, count);
    return {found.begin(), found.end()};
  }
  std::vector<float> weights(const std::string& name) const { return values(name, numel); }
  std::vector<float> masks(const std::string& name) const { return values(name, bits); }
  float scalar(const std::string& name) const { return scalar_at(trace, prefix + name); }
  /// `.p` and `.n` behind each other.
  std::vector<float> planes(const std::string& of) const {
    std::vector<float> both = plane_major(trace.at(prefix + of + ".p"));
    const std::vector<float> negative = plane_major(trace.at(prefix + of + ".n"));
    both.insert(both.end(), negative.begin(), negative.end());
    if (std::ssize(both) != 2 * bits * numel)
      fail(ErrorKind::checkpoint, "{}{}: {} numbers in planes", prefix, of, both.size());
    return both;
  }
  /// The budget as published, over the one layer: every mask counts alike.
  CsqTensor tensor() const {
    return {.numel = numel, .bits = bits, .share = 1, .pull = 1.0F / static_cast<float>(bits), .masked = true};
  }
  CsqNumbers numbers(std::size_t step, bool with_budget = true) const {
    return {.temperature = temperatures.at(step),
            .hardness = hardness,
            .strength = with_budget ? entry.at("lmbda").get<float>() : 0.0F,
            .target = entry.at("target").get<float>()};
  }
};

class CaseOnBackend {
 public:
  CaseOnBackend(Backend& backend, const CsqCase& c, Comparison& comparison)
      : backend_(backend), c_(c), comparison_(comparison) {}

  void compare() {
    CsqOnDevice device = fresh();
    device.place(c_.numbers(0));
    check("weight", norm_error(device.weights(static_cast<std::size_t>(c_.numel)), c_.weights(".weight")));
    compare_gradients();
    for (std::size_t k = 0; k < c_.temperatures.size(); ++k) {
      const CsqNumbers numbers = c_.numbers(k);
      device.place(numbers);
      const CsqBudget budget = device.budget();
      const std::string step = fmt::format("step {}: ", k + 1);
      check(step + "ratio", std::abs(budget.bits / c_.bits - c_.entry.at("ratio").at(k).get<double>()));
      const double loss = c_.entry.at("budget_loss").at(k).get<double>();
      check(step + "budget loss",
            number_error(static_cast<float>(double{numbers.strength} * budget.loss), static_cast<float>(loss)));
      device.step(numbers, c_.rule, c_.entry.at("lr").get<float>(), c_.weights(fmt::format(".d_weight{}", k + 1)));
      const std::string after = fmt::format(".after{}", k + 1);
      check(step + "planes", norm_error(device.planes(), c_.planes(after)));
      check(step + "scale", number_error(device.scale(), c_.scalar(after + ".scale")));
      check(step + "mask", norm_error(device.masks(), c_.masks(after + ".mask")));
    }
  }

 private:
  CsqOnDevice fresh() const {
    return {backend_, {c_.tensor()}, c_.planes(""), {c_.scalar(".scale")}, c_.masks(".mask")};
  }
  void check(const std::string& name, double error) {
    comparison_.check(backend_.name() + " " + c_.prefix + ": " + name, error, kTolerance);
  }
  /// Those of the cross entropy alone, then that of the budget alone.
  void compare_gradients() {
    const SgdRule plain{0.9F, 0};
    CsqOnDevice device = fresh();
    device.place(c_.numbers(0, false));
    device.step(c_.numbers(0, false), plain, 0.1F, c_.weights(".d_weight1"));
    check("grad planes", norm_error(device.plane_momentum(), c_.planes(".grad")));
    check("grad scale", number_error(device.scale_momentum(), c_.scalar(".grad.scale")));
    check("grad mask", norm_error(device.mask_momentum(), c_.masks(".grad.mask")));
    CsqOnDevice alone = fresh();
    alone.place(c_.numbers(0));
    alone.step(c_.numbers(0), plain, 0.1F, std::vector<float>(static_cast<std::size_t>(c_.numel)));
    check("grad mask of the budget", norm_error(alone.mask_momentum(), c_.masks(".budget.grad.mask")));
  }

  Backend& backend_;
  const CsqCase& c_;
  Comparison& comparison_;
};

/// What the host makes of the state after the last step, when everything is hard.
void compare_hard(const CsqCase& c, Comparison& comparison) {
  const std::string after = fmt::format(".after{}", c.temperatures.size());
  const auto check = [&](const std::string& name, double error, double tolerance) {
    comparison.check("host " + c.prefix + ": hard " + name, error, tolerance);
  };
  const CsqTensorAtRest tensor{.bits = c.bits,
                               .scale = c.scalar(after + ".scale"),
                               .p = plane_major(c.trace.at(c.prefix + after + ".p")),
                               .n = plane_major(c.trace.at(c.prefix + after + ".n")),
                               .mask = c.masks(after + ".mask")};
  const Levels levels = hardened(tensor);
  check("bits", std::abs(levels.bits - c.entry.at("span_bits").get<int>()), 0);
  const auto expected = c.trace.at(c.prefix + ".hard.levels").values<std::int32_t>();
  const int sign = tensor.scale < 0 ? -1 : 1, shift = c.entry.at("shift").get<int>();
  double different = std::ssize(levels.k) == std::ssize(expected) ? 0 : INFINITY;
  std::vector<float> weights(levels.k.size());
  for (std::size_t i = 0; i < levels.k.size() && different < INFINITY; ++i) {
    different += levels.k[i] * (1 << shift) == sign * expected[i] ? 0 : 1;
    weights[i] = static_cast<float>(levels.unit.front() * levels.k[i]);
  }
  check("levels", different, 0);
  check("weight", norm_error(weights, c.weights(".hard.weight")), kTolerance);
  if (levels.bits > 0) check("scale", number_error(scale_of(levels), std::abs(c.scalar(".hard.scale"))), kTolerance);
  const Levels narrow = without_empty_planes(levels);
  std::vector<float> same(narrow.k.size());
  for (std::size_t i = 0; i < same.size(); ++i) same[i] = static_cast<float>(narrow.unit.front() * narrow.k[i]);
  check("weight without empty planes", norm_error(same, weights), kTolerance);
}

/// The masks of a network, each of a tensor of one weight: the ratio counts masks.
void compare_budget(Backend& backend, const TensorFile& trace, const nlohmann::json& entry, Comparison& comparison) {
  const int bits = entry.at("bits").get<int>(), layers = entry.at("layers").get<int>();
  const std::string prefix = fmt::format("budget{:02}", entry.at("budget").get<int>());
  if (bits < 1 || bits > kMaxBits || layers < 1)
    fail(ErrorKind::checkpoint, "{}: {} bits, {} layers", prefix, bits, layers);
  std::vector<CsqTensor> tensors;
  std::vector<float> masks, expected;
  for (int layer = 0; layer < layers; ++layer) {
    tensors.push_back({.numel = 1,
                       .plane_offset = 2 * bits * layer,
                       .weight_offset = layer,
                       .bits = bits,
                       .first_mask = bits * layer,
                       .share = 1.0F / static_cast<float>(layers),
                       .pull = 1.0F / static_cast<float>(bits),
                       .masked = true});
    const auto mask = values_at(trace, fmt::format("{}.mask{}", prefix, layer), bits);
    masks.insert(masks.end(), mask.begin(), mask.end());
    const auto gradient = values_at(trace, fmt::format("{}.grad.mask{}", prefix, layer), bits);
    expected.insert(expected.end(), gradient.begin(), gradient.end());
  }
  const CsqNumbers numbers{.temperature = entry.at("temperature").get<float>(),
                           .hardness = hardness_of(entry),
                           .strength = entry.at("lmbda").get<float>(),
                           .target = entry.at("target").get<float>()};
  const std::vector<float> zeros(tensors.size());
  CsqOnDevice device(backend, tensors, std::vector<float>(2 * masks.size()), zeros, masks);
  device.place(numbers);
  const CsqBudget budget = device.budget();
  device.step(numbers, {0.9F, 0}, 0.1F, zeros);
  const auto check = [&](const std::string& name, double error) {
    comparison.check(backend.name() + " " + prefix + ": " + name, error, kTolerance);
  };
  check("ratio", std::abs(budget.bits / bits - entry.at("ratio").get<double>()));
  check("loss",
        number_error(static_cast<float>(double{numbers.strength} * budget.loss), entry.at("loss").get<float>()));
  check("grad masks", norm_error(device.mask_momentum(), expected));
}

}  // namespace

void compare_csq_cases(const TensorFile& trace, Comparison& comparison) {
  const nlohmann::json entries = json_at(trace, "cases"), budgets = json_at(trace, "budgets");
  std::vector<CsqCase> cases;
  for (const nlohmann::json& entry : entries) cases.emplace_back(trace, entry);
  for (const CsqCase& c : cases) compare_hard(c, comparison);
  on_every_backend(comparison, [&](Backend& backend) {
    for (const CsqCase& c : cases) CaseOnBackend(backend, c, comparison).compare();
    for (const nlohmann::json& entry : budgets) compare_budget(backend, trace, entry, comparison);
  });
}

}  // namespace bsq::golden
