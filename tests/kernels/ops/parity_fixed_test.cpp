// Fixed-point weights: see parity.h.
#include "tests/kernels/ops/parity.h"
#include "tests/support/catch.h"

namespace bsq::test {
namespace {

TEST_CASE("weights_from_fixed agrees with the reference, to a level at a rounding boundary") {
  for_each_compared_backend([](Backend& backend, Backend& oracle) {
    for (const cases::FixedCase& c : cases::fixed_cases()) {
      INFO("case " << c.name);
      const FixedInputs inputs = make_inputs(c);
      const Outputs expected = run_weights_from_fixed(oracle, c, inputs);
      std::vector<double> levels(inputs.u.size(), 0.0);
      std::vector<double> steps(levels.size(), 0.0);
      const std::vector<FixedTensor> tensors = c.tensors();
      for (std::size_t t = 0; t < tensors.size(); ++t) {
        if (tensors[t].bits == 0) continue;
        const double top_level = (1 << tensors[t].bits) - 1;
        for (std::int64_t i = 0; i < tensors[t].numel; ++i) {
          const auto at = static_cast<std::size_t>(tensors[t].weight_offset + i);
          levels[at] = inputs.u[at] * top_level;
          steps[at] = c.storage == WeightStorage::values ? inputs.scales[t] / top_level : 1;
        }
      }
      check_outputs_on_grid(run_twice([&] { return run_weights_from_fixed(backend, c, inputs); }), expected, "weights",
                            levels, steps);
    }
  });
}

TEST_CASE("fixed_step agrees with the reference") {
  check_cases(cases::fixed_cases(), run_fixed_step);
}

}  // namespace
}  // namespace bsq::test
