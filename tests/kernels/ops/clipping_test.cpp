// Gradient clipping: PyTorch's numbers, gradients of integers, what is short enough, what is no number.
#include "tests/kernels/ops/op_runs.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/tolerances.h"

#include <cmath>

namespace bsq::test {
namespace {

std::vector<double> clipped(Backend& backend, const cases::ClipCase& c, const ClipInputs& inputs) {
  return run_clip_gradients(backend, c, inputs).at("gradients").values;
}

const cases::ClipCase kTwoTensors{"two tensors", 0, {3, 2}, 1, 2.5F};

}  // namespace

TEST_CASE("clip_gradients gives the numbers of PyTorch's clip_grad_norm_") {
  // a.grad = tensor([3., -4, 12]); b.grad = tensor([0.5, -2]); torch.nn.utils.clip_grad_norm_([a, b], 2.5)
  const std::vector<double> expected = {0.56980288, -0.759737134, 2.27921152, 0.0949671417, -0.379868567};
  for_each_backend([&](Backend& backend) {
    const std::vector<double> found = clipped(backend, kTwoTensors, {{3, -4, 12, 0.5F, -2}, {1, 1}});
    CHECK(compare_scaled(found, expected, relative_tolerance(DType::f32)).ok());
  });
}

TEST_CASE("gradients that are short enough keep their bits, and equal ones are cut by PyTorch's margin") {
  for_each_backend([](Backend& backend) {
    const std::vector<float> gradients = {1e-3F, -2e-3F, 1e-3F, 0.1F, 0.3F};
    const cases::ClipCase c{"short", 0, {3, 2}, 1, 0.32F};
    CHECK(clipped(backend, c, {gradients, {1, 1}}) == std::vector<double>(gradients.begin(), gradients.end()));
    const cases::ClipCase small{"margin", 0, {1}, 1, 1e-6F};  // 1e-6 / (1e-6 + 1e-6)
    CHECK(clipped(backend, small, {{1e-6F}, {1}})[0] == Approx(5e-7).epsilon(relative_tolerance(DType::f32)));
    CHECK(clipped(backend, kTwoTensors, {std::vector<float>(5), {1, 1}}) == std::vector<double>(5));
  });
}

TEST_CASE("the norm is that of the gradients of weights, also of those that are stored as integers") {
  for_each_backend([](Backend& backend) {
    cases::ClipCase c = kTwoTensors;
    c.some_integers = true;
    const float unit = -0.125F;  // of the second; a scale may be negative
    const std::vector<double> found = clipped(backend, c, {{3, -4, 12, 0.5F * unit, -2 * unit}, {7, unit}});
    const std::vector<double> expected = {0.56980288, -0.759737134, 2.27921152, 0.0949671417 * double{unit},
                                          -0.379868567 * double{unit}};
    CHECK(compare(found, expected, {relative_tolerance(DType::f32), 0}).ok());
    // A unit of 0: no weight, so no gradient; what is stored is multiplied like all others.
    const std::vector<double> without = clipped(backend, c, {{3, -4, 12, 100, 200}, {7, 0}});
    CHECK(
        compare(without, {3 * 2.5 / 13, -4 * 2.5 / 13, 12 * 2.5 / 13, 100 * 2.5 / 13, 200 * 2.5 / 13}, {1e-6, 0}).ok());
  });
}

TEST_CASE("a gradient that is no number makes all of them none, and an infinite one the others zero") {
  for_each_backend([](Backend& backend) {
    for (const double value : clipped(backend, kTwoTensors, {{3, NAN, 12, 0.5F, -2}, {1, 1}})) CHECK(std::isnan(value));
    const std::vector<double> found = clipped(backend, kTwoTensors, {{3, INFINITY, 12, 0.5F, -2}, {1, 1}});
    CHECK(std::isnan(found[1]));
    for (const std::size_t i : {0, 2, 3, 4}) CHECK(found[i] == 0);
    cases::ClipCase c = kTwoTensors;
    c.some_integers = true;
    for (const double value : clipped(backend, c, {{3, 4, 12, NAN, -2}, {1, 0}})) CHECK(std::isnan(value));
  });
}

TEST_CASE("squares beyond the range of a float are added up") {
  for_each_backend([](Backend& backend) {
    const std::vector<double> found = clipped(backend, kTwoTensors, {{3e25F, -4e25F, 0, 0, 0}, {1, 1}});
    CHECK(compare(found, {1.5, -2, 0, 0, 0}, {relative_tolerance(DType::f32), 0}).ok());
  });
}

}  // namespace bsq::test
