// kind = requantize_cases: caseNN.in.{p,n,scale} -> requantize -> caseNN.quant.* -> adjust_precision -> caseNN.out.*.
// Bits and planes are discrete and must match exactly; scales and weights have float32 rounding, 1e-6 relative.
#include "engine/methods/bsq/bit_planes.h"
#include "tests/golden/trace.h"

#include <fmt/core.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <utility>

namespace bsq::golden {
namespace {

constexpr double kRoundingTolerance = 1e-6;

BitPlanes planes_at(const TensorFile& trace, const std::string& prefix) {
  const HostTensor& p = trace.at(prefix + ".p");
  const HostTensor& n = trace.at(prefix + ".n");
  if (p.shape != n.shape) fail(ErrorKind::checkpoint, "{0}.p and {0}.n are of two shapes", prefix);
  std::vector<float> positive = plane_major(p);
  const auto bits = static_cast<int>(p.shape.back());
  return {bits, scalar_at(trace, prefix + ".scale"), p.numel() / bits, std::move(positive), plane_major(n)};
}

void compare(const std::string& name, const BitPlanes& actual, const BitPlanes& expected, Comparison& comparison) {
  comparison.check(name + ": bits", std::abs(actual.bits - expected.bits), 0);
  comparison.check(name + ": planes", count_different(actual.p, expected.p) + count_different(actual.n, expected.n), 0);
  comparison.check(name + ": scale", largest_error({&actual.scale, 1}, {&expected.scale, 1}), kRoundingTolerance);
}

}  // namespace

void compare_requantize_cases(const TensorFile& trace, Comparison& comparison) {
  const int max_bits = integer_at(trace, "max_bits", 1, kMaxBits);
  for (const nlohmann::json& entry : json_at(trace, "cases")) {
    const std::string prefix = fmt::format("case{:02}", entry.at("case").get<int>());
    const auto threshold_percent = entry.at("threshold_percent").get<double>();

    BitPlanes planes = planes_at(trace, prefix + ".in");
    requantize(planes, max_bits);
    compare(prefix + " re-quantized", planes, planes_at(trace, prefix + ".quant"), comparison);
    adjust_precision(planes, threshold_percent);
    compare(fmt::format("{} adjusted at {} %", prefix, threshold_percent), planes, planes_at(trace, prefix + ".out"),
            comparison);
    comparison.check(prefix + " effective weight",
                     largest_error(effective_weights(planes), trace.at(prefix + ".out.weight").values<float>()),
                     kRoundingTolerance);
  }
}

}  // namespace bsq::golden
