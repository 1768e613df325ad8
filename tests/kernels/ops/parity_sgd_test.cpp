// Plain parameters: see parity.h.
#include "tests/kernels/ops/parity.h"
#include "tests/support/catch.h"
#include "tests/support/random_tensors.h"

namespace bsq::test {
namespace {

TEST_CASE("sgd_step agrees with the reference") {
  check_cases(cases::sgd_cases(), [](Backend& backend, const cases::SgdCase& c, const SgdInputs& inputs) {
    return run_sgd_step(backend, c.rule, inputs);
  });
}

TEST_CASE("update_average agrees with the reference, and leaves what lies between tensors") {
  check_cases(cases::average_cases(), run_update_average);
}

TEST_CASE("clip_gradients agrees with the reference, and leaves what lies between tensors") {
  check_cases(cases::clip_cases(), run_clip_gradients);
}

TEST_CASE("round_to_bf16 rounds to nearest, ties to even, whatever the tail") {
  for_each_compared_backend([](Backend& backend, Backend& oracle) {
    for (const std::int64_t numel : {1, 7, 8, 9, 255, 2048, 2055}) {
      INFO(numel);
      std::vector<float> values = RandomTensors("values").normal(numel, 0, 1);
      values[0] = 1.00390625F;  // half way between two: to the even one, 1
      CHECK(run_round_to_bf16(backend, values).at("rounded").values ==
            run_round_to_bf16(oracle, values).at("rounded").values);
      CHECK(run_round_to_bf16(backend, values).at("rounded").values[0] == 1);
    }
  });
}

}  // namespace
}  // namespace bsq::test
