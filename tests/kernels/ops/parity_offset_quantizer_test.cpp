// The quantizer of LSQ+: see parity.h. Every device finds the same levels, bit for bit.
#include "tests/kernels/ops/parity.h"
#include "tests/support/catch.h"

#include <cmath>

namespace bsq::test {
namespace {

/// Those of the sums, whose terms cancel.
std::map<std::string, double> sizes_of_terms(const cases::OffsetQuantizerCase& c) {
  const double root = std::sqrt(static_cast<double>(c.batch * c.numel));
  return {{"d_step", root}, {"d_offset", root}};
}

TEST_CASE("the quantizer of LSQ+ agrees with the reference, its levels and the gradient of its input bit for bit") {
  for_each_compared_backend([](Backend& backend, Backend& oracle) {
    for (const DType dtype : activation_dtypes(backend)) {
      for (const cases::OffsetQuantizerCase& c : cases::offset_quantizer_cases()) {
        INFO("case " << c.name << ", " << name_of(dtype));
        const OffsetQuantizerInputs inputs = make_inputs(c);
        const OffsetQuantizerGeometry geometry = c.geometry(dtype);
        const auto forward = [&](Backend& on) { return run_offset_quantizer_forward(on, geometry, inputs); };
        CHECK(run_twice([&] { return forward(backend); }).at("output").values == forward(oracle).at("output").values);
        for (const GradMode mode : grad_modes) {
          const auto backward = [&](Backend& on) { return run_offset_quantizer_backward(on, geometry, inputs, mode); };
          const Outputs own = run_twice([&] { return backward(backend); }), expected = backward(oracle);
          check_outputs(own, expected, sizes_of_terms(c));
          if (mode == GradMode::overwrite) CHECK(own.at("d_input").values == expected.at("d_input").values);
        }
      }
    }
  });
}

}  // namespace
}  // namespace bsq::test
