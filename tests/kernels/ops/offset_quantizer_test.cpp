// The quantizer of LSQ+: levels by hand, PyTorch's gradients, differences, numbers that are none.
#include "tests/kernels/ops/op_runs.h"
#include "tests/support/backends.h"
#include "tests/support/compare.h"
#include "tests/support/random_tensors.h"
#include "tests/support/tolerances.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace bsq::test {
namespace {

using Values = std::vector<double>;

OffsetQuantizerInputs inputs_of(std::vector<float> input, float step, float offset) {
  OffsetQuantizerInputs inputs{std::move(input), {}, {}, {step}, {offset}};
  inputs.d_output.assign(inputs.input.size(), 1);
  inputs.d_input_before.assign(inputs.input.size(), 0);
  return inputs;
}

OffsetQuantizerGeometry geometry_of(const OffsetQuantizerInputs& inputs, int bits) {
  return {static_cast<std::int64_t>(inputs.input.size()), DType::f32, bits};
}

/// The numbers that PyTorch was given.
OffsetQuantizerInputs published_inputs(float step) {
  OffsetQuantizerInputs inputs =
      inputs_of({-1.3F, -0.9F, -0.61F, -0.25F, 0, 0.17F, 0.33F, 0.58F, 0.9F, 1.45F}, step, -0.75F);
  inputs.d_output = {0.5F, -1.25F, 0.75F, 2, -0.375F, 1.5F, -0.625F, 0.25F, -1, 3};
  return inputs;
}

}  // namespace

TEST_CASE("numbers of either sign become the nearest level from the offset on, half to even, and no other") {
  for_each_backend([](Backend& backend) {
    const OffsetQuantizerInputs inputs =
        inputs_of({-3, -1, -0.76F, -0.75F, -0.74F, -0.25F, 0, 0.25F, 0.5F, 0.6F, 9}, 0.5F, -1);
    CHECK(run_offset_quantizer_forward(backend, geometry_of(inputs, 2), inputs).at("output").values ==
          Values{-1, -1, -1, -1, -0.5, 0, 0, 0, 0.5, 0.5, 0.5});
    const OffsetQuantizerInputs one_bit = inputs_of({-3, -0.5F, 0.1F, 0.2F, 7}, 1.25F, -0.5F);
    CHECK(run_offset_quantizer_forward(backend, geometry_of(one_bit, 1), one_bit).at("output").values ==
          Values{-0.5, -0.5, -0.5, 0.75, 0.75});
  });
}

TEST_CASE("the quantizer of LSQ+ and its gradients are those of PyTorch's autograd of the published formulas") {
  for_each_backend([](Backend& backend) {
    OffsetQuantizerInputs inputs = published_inputs(0.13F);
    inputs.gain = 0.11547005383792514F;  // 1 / sqrt(5 * 15)
    CHECK(run_offset_quantizer_forward(backend, geometry_of(inputs, 4), inputs).at("output").values ==
          Values{-0.75, -0.75, -0.6200000047683716, -0.23000001907348633, 0.029999971389770508, 0.15999996662139893,
                 0.28999996185302734, 0.5499999523162842, 0.9399999380111694, 1.1999999284744263});
    Outputs gradients = run_offset_quantizer_backward(backend, geometry_of(inputs, 4), inputs, GradMode::overwrite);
    CHECK(gradients.at("d_input").values == Values{0, 0, 0.75, 2, -0.375, 1.5, -0.625, 0.25, -1, 0});
    const double within = relative_tolerance(DType::f32);
    CHECK(gradients.at("d_step").values[0] == Approx(5.181718349456787).epsilon(within));
    CHECK(gradients.at("d_offset").values[0] == Approx(0.25980761647224426).epsilon(within));

    inputs = published_inputs(0.4F);
    inputs.gain = 0.5F;
    CHECK(run_offset_quantizer_forward(backend, geometry_of(inputs, 2), inputs).at("output").values ==
          Values{-0.75, -0.75, -0.75, -0.3499999940395355, 0.050000011920928955, 0.050000011920928955,
                 0.4500000476837158, 0.4500000476837158, 0.4500000476837158, 0.4500000476837158});
    gradients = run_offset_quantizer_backward(backend, geometry_of(inputs, 2), inputs, GradMode::overwrite);
    CHECK(gradients.at("d_input").values == Values{0, 0, 0.75, 2, -0.375, 1.5, -0.625, 0, 0, 0});
    CHECK(gradients.at("d_step").values[0] == Approx(2.651562452316284).epsilon(within));
    CHECK(gradients.at("d_offset").values[0] == Approx(0.75).epsilon(within));
  });
}

TEST_CASE("gradients of step and offset are differences of the loss in which rounding errors, in levels, stay") {
  for_each_backend([](Backend& backend) {
    for (const int bits : {1, 3, 8}) {
      INFO(bits << " bits");
      const double most = (1 << bits) - 1;
      OffsetQuantizerInputs inputs =
          inputs_of(RandomTensors("differences").normal(500, 0, 1), static_cast<float>(2.5 / most), -1.1F);
      inputs.d_output = RandomTensors("gradients").normal(500, 0, 1);
      const double step = double{inputs.step[0]}, offset = double{inputs.offset[0]};
      const auto loss = [&](double s, double b) {
        double sum = 0;
        for (std::size_t i = 0; i < inputs.input.size(); ++i) {
          const double at = std::clamp((double{inputs.input[i]} - offset) / step, 0.0, most);
          const double error = std::nearbyint(at) - at;
          const double place = std::clamp((double{inputs.input[i]} - b) / s, 0.0, most);
          sum += double{inputs.d_output[i]} * (s * (place + error) + b);
        }
        return sum;
      };
      constexpr double width = 1e-6;
      const Outputs gradients =
          run_offset_quantizer_backward(backend, geometry_of(inputs, bits), inputs, GradMode::overwrite);
      const auto check = [&](const char* name, double up, double down) {
        INFO(name);
        CHECK(gradients.at(name).values[0] == Approx((up - down) / (2 * width)).epsilon(1e-3).margin(1e-3));
      };
      check("d_step", loss(step + width, offset), loss(step - width, offset));
      check("d_offset", loss(step, offset + width), loss(step, offset - width));
    }
  });
}

TEST_CASE("a NaN stays one behind the quantizer of LSQ+, and reaches the step, and infinity is an end of the levels") {
  for_each_backend([](Backend& backend) {
    const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
    OffsetQuantizerInputs inputs = inputs_of({infinity, -infinity}, 0.5F, -1);
    CHECK(run_offset_quantizer_forward(backend, geometry_of(inputs, 2), inputs).at("output").values == Values{0.5, -1});
    Outputs gradients = run_offset_quantizer_backward(backend, geometry_of(inputs, 2), inputs, GradMode::overwrite);
    CHECK(gradients.at("d_step").values == Values{3});
    CHECK(gradients.at("d_offset").values == Values{2});
    inputs = inputs_of({nan, 0.5F}, 0.5F, -1);
    const Values y = run_offset_quantizer_forward(backend, geometry_of(inputs, 2), inputs).at("output").values;
    CHECK(std::isnan(y[0]));
    CHECK(y[1] == 0.5);
    gradients = run_offset_quantizer_backward(backend, geometry_of(inputs, 2), inputs, GradMode::overwrite);
    CHECK(std::isnan(gradients.at("d_step").values[0]));
  });
}

}  // namespace bsq::test
