// A scale below zero: the same weights as those of planes that have changed places, or of integers of the other sign,
// under a scale above zero. Files hold the latter; training goes on from either to the same bits.
#include "tests/kernels/ops/parity.h"
#include "tests/support/catch.h"

#include <algorithm>

namespace bsq::test {
namespace {

template <typename Number>
void negate(std::vector<Number>& numbers) {
  for (Number& number : numbers) number = -number;
}

/// Lets p and n of every tensor change places.
template <typename Number>
void swap_planes(std::vector<Number>& arena, const cases::PlaneCase& c) {
  for (const PlaneTensor& tensor : c.tensors()) {
    const auto p = arena.begin() + tensor.plane_offset;
    std::swap_ranges(p, p + tensor.bits * tensor.numel, p + tensor.bits * tensor.numel);
  }
}

PlaneInputs mirrored(PlaneInputs inputs, const cases::PlaneCase& c) {
  swap_planes(inputs.planes, c);
  swap_planes(inputs.momentum, c);
  return inputs;
}

FixedInputs mirrored(FixedInputs inputs, const cases::FixedCase& /*c*/) {
  negate(inputs.u);
  negate(inputs.momentum);
  return inputs;
}

Outputs mirrored(Outputs outputs, const cases::PlaneCase& c) {
  for (const char* name : {"planes", "momentum"})
    if (outputs.count(name) > 0) swap_planes(outputs.at(name).values, c);
  return outputs;
}

Outputs mirrored(Outputs outputs, const cases::FixedCase& /*c*/) {
  for (const char* name : {"u", "momentum"})
    if (outputs.count(name) > 0) negate(outputs.at(name).values);
  return outputs;
}

/// The weights of all tensors, without what lies between them.
template <typename Case>
std::vector<double> weights_in(const Outputs& outputs, const Case& c) {
  std::vector<double> weights;
  for (const auto& tensor : c.tensors()) {
    const auto first = outputs.at("weights").values.begin() + tensor.weight_offset;
    weights.insert(weights.end(), first, first + tensor.numel);
  }
  return weights;
}

/// Compares a run with that of the mirrored inputs. Weights stored as values stay; integers, and with them their
/// gradients, change their sign.
template <typename Case, typename Run>
void check_mirrored(const std::vector<Case>& cases, Run run) {
  for_each_compared_backend([&](Backend& backend, Backend& /*oracle*/) {
    for (const Case& c : cases) {
      INFO("case " << c.name);
      const auto inputs = make_inputs(c);
      const bool stores_integers = c.storage != WeightStorage::values;
      auto below_zero = mirrored(inputs, c);
      negate(below_zero.scales);
      negate(below_zero.scale_momentum);
      if (stores_integers) negate(below_zero.d_weights);
      Outputs expected = run(backend, c, inputs), outputs = mirrored(run(backend, c, below_zero), c);
      for (const char* name : {"scales", "scale_momentum", "weight_units"})
        if (outputs.count(name) > 0) negate(outputs.at(name).values);
      if (expected.count("weights") > 0) {
        std::vector<double> weights = weights_in(outputs, c);
        if (stores_integers) negate(weights);
        CHECK((weights == weights_in(expected, c)));
      }
      // Not compared: what nobody writes.
      for (const char* name : {"weights", "gaps", stores_integers ? "" : "weight_units"}) expected.erase(name);
      for (const auto& [name, output] : expected) {
        INFO(name);
        CHECK((outputs.at(name).values == output.values));
      }
    }
  });
}

}  // namespace

TEST_CASE("planes that change places with the sign of their scale are trained to the same bits", "[bits_alone]") {
  check_mirrored(cases::plane_cases(), run_weights_from_planes);
  check_mirrored(cases::plane_cases(), run_planes_step_to_weights);
}

TEST_CASE("fixed-point weights that change their sign with their scale are trained to the same bits", "[bits_alone]") {
  check_mirrored(cases::fixed_cases(), run_weights_from_fixed);
  check_mirrored(cases::fixed_cases(), run_fixed_step);
}

}  // namespace bsq::test
