// Counts of bits and zeros: see parity.h. They are whole numbers, and the same on every backend.
#include "tests/kernels/ops/parity.h"
#include "tests/support/catch.h"

#include <cmath>

namespace bsq::test {

TEST_CASE("count_planes agrees with the reference") {
  check_cases(compared_plane_cases(), run_count_planes);
}

TEST_CASE("count_fixed agrees with the reference") {
  check_cases(cases::fixed_cases(), run_count_fixed);
}

TEST_CASE("NaNs are counted as such, whatever is beside them, and scales of 0 make nothing but zeros") {
  for_each_compared_backend([](Backend& backend, Backend& oracle) {
    const cases::PlaneCase planes{"with NaNs", 0, {1500, 7}, {8, 3}, 16};
    PlaneInputs of_planes = make_inputs(planes);
    of_planes.planes[3] = of_planes.planes[1200] = NAN;
    of_planes.planes[1499] = -0.0F;
    of_planes.scales = {0.5F, 0.0F};
    const Outputs found = run_count_planes(backend, planes, of_planes);
    check_outputs(found, run_count_planes(oracle, planes, of_planes));
    const std::vector<double>& counts = found.at("counts").values;  // zeros, NaNs, even levels, ones of eight planes
    CHECK(counts[1] == 2);
    CHECK(counts[11] == 7);
    CHECK(counts[12] == 0);

    const cases::FixedCase fixed{"with NaNs", 0, {1500, 7, 9}, {8, 3, 0}, 16};
    FixedInputs of_fixed = make_inputs(fixed);
    of_fixed.u[3] = of_fixed.u[1200] = NAN;
    of_fixed.u[4] = 100.0F;
    of_fixed.scales = {0.5F, 0.0F, 1.0F};
    const Outputs found_fixed = run_count_fixed(backend, fixed, of_fixed);
    check_outputs(found_fixed, run_count_fixed(oracle, fixed, of_fixed));
    CHECK(found_fixed.at("counts").values[1] == 2);
    CHECK(found_fixed.at("counts").values[11] == 7);
    CHECK(found_fixed.at("counts").values[22] == 9);
  });
}

}  // namespace bsq::test
