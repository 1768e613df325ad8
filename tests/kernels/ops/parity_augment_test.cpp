// Augmentation: see parity.h.
#include "tests/kernels/ops/parity.h"
#include "tests/support/catch.h"

namespace bsq::test {
namespace {

TEST_CASE("augment agrees with the reference") {
  check_cases_by_dtype(cases::augment_cases(),
                       [](Backend& backend, const cases::AugmentCase& c, DType dtype, const AugmentInputs& inputs) {
                         StepInputs step;
                         step.epoch = c.epoch;
                         step.first_sample = c.first_sample;
                         return run_augment(backend, c.rule(), c.batch, step, dtype, inputs);
                       });
}

TEST_CASE("mix_images agrees with the reference") {
  check_cases_by_dtype(cases::mix_cases(), run_mix);
}

}  // namespace
}  // namespace bsq::test
