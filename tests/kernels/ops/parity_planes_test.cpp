// Bit planes: see parity.h.
#include "tests/kernels/ops/parity.h"
#include "tests/support/catch.h"

namespace bsq::test {
namespace {

TEST_CASE("weights_from_planes agrees with the reference, to a level at a rounding boundary") {
  for_each_compared_backend([](Backend& backend, Backend& oracle) {
    for (const cases::PlaneCase& c : compared_plane_cases()) {
      INFO("case " << c.name);
      const PlaneInputs inputs = make_inputs(c);
      const Outputs expected = run_weights_from_planes(oracle, c, inputs);
      std::vector<double> levels(expected.at("weights").values.size(), 0.0);
      std::vector<double> steps(levels.size(), 0.0);
      const std::vector<PlaneTensor> tensors = c.tensors();
      for (std::size_t t = 0; t < tensors.size(); ++t) {
        const PlaneTensor& tensor = tensors[t];
        for (std::int64_t i = 0; i < tensor.numel; ++i) {
          const auto at = static_cast<std::size_t>(tensor.weight_offset + i);
          for (int b = 0; b < tensor.bits; ++b) {
            const auto p = static_cast<std::size_t>(tensor.plane_offset + b * tensor.numel + i);
            const auto n = p + static_cast<std::size_t>(tensor.bits * tensor.numel);
            levels[at] += (1 << (tensor.bits - 1 - b)) * (double{inputs.planes[p]} - inputs.planes[n]);
          }
          steps[at] = c.storage == WeightStorage::values ? double{inputs.scales[t]} / ((1 << tensor.bits) - 1) : 1;
        }
      }
      check_outputs_on_grid(run_twice([&] { return run_weights_from_planes(backend, c, inputs); }), expected, "weights",
                            levels, steps);
    }
  });
}

TEST_CASE("planes_step agrees with the reference") {
  check_cases(compared_plane_cases(), run_planes_step);
}

}  // namespace
}  // namespace bsq::test
