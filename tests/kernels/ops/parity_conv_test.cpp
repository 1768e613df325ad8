// Convolutions: see parity.h.
#include "tests/kernels/ops/parity.h"
#include "tests/support/catch.h"

namespace bsq::test {
namespace {

TEST_CASE("conv2d forward agrees with the reference") {
  check_cases_by_dtype(cases::conv_cases(),
                       [](Backend& backend, const cases::ConvCase& c, DType dtype, const ConvInputs& inputs) {
                         return run_conv_forward(backend, c.geometry(dtype), inputs);
                       });
}

/// Runs both backward passes twice on `backend` and holds them against the oracle's.
void check_backward(Backend& backend, Backend& oracle, const cases::ConvCase& c, DType dtype, GradMode mode) {
  INFO("case " << c.name << ", " << name_of(dtype));
  const ConvGeometry geometry = c.geometry(dtype);
  const ConvInputs inputs = make_inputs(c);
  std::map<std::string, double> tolerances;
  if (dtype == DType::bf16 && is_hardware(backend))
    tolerances["d_weight"] = tensor_core_tolerance(geometry.output_shape().numel() / geometry.out_channels);
  check_outputs(run_twice([&] { return run_conv_backward(backend, geometry, inputs, mode); }),
                run_conv_backward(oracle, geometry, inputs, mode), {}, tolerances);
}

TEST_CASE("conv2d backward agrees with the reference, overwriting and accumulating") {
  for_each_compared_backend([&](Backend& backend, Backend& oracle) {
    for (const GradMode mode : grad_modes)
      for (const DType dtype : activation_dtypes(backend))
        for (const cases::ConvCase& c : cases::conv_cases()) check_backward(backend, oracle, c, dtype, mode);
  });
}

TEST_CASE("gradients of layers that are planned together, in bf16, agree with the reference") {
  for_each_compared_backend([&](Backend& backend, Backend& oracle) {
    std::string why;
    if (!backend.supports(Precision::bf16, why)) return;
    std::vector<cases::ConvCase> layers;
    std::vector<ConvRequest> requests;
    for (cases::ConvCase c : cases::conv_cases()) {
      if (c.layers == 0) continue;
      ++c.batch;  // a size that no other test plans on this backend
      layers.push_back(c);
      requests.push_back({c.geometry(DType::bf16), kAllPasses});
    }
    backend.plan_convolutions(requests);
    for (const cases::ConvCase& c : layers) check_backward(backend, oracle, c, DType::bf16, GradMode::overwrite);
  });
}

/// The filter gradients of all cases, each by itself, or in parts that are summed together. `in_parts` counts those.
Outputs run_filter_gradients(Backend& backend, DType dtype, bool together, int& in_parts) {
#if defined(__SANITIZE_THREAD__)
  constexpr int kRepeats = 1;
#else
  constexpr int kRepeats = 4;  // so that there are more than one kernel takes in
#endif
  RunMemory memory(backend);
  std::vector<GradientParts> gradients;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    for (const cases::ConvCase& c : cases::conv_cases()) {
      const ConvGeometry geometry = c.geometry(dtype);
      const ConvInputs inputs = make_inputs(c);
      const void* input = memory.input("input", dtype, inputs.input);
      const void* d_output = memory.input("d_output", dtype, inputs.d_output);
      const std::int64_t numel = geometry.weight_shape().numel();
      auto* d_weight = memory.output<float>(c.name + ", " + std::to_string(repeat), numel);
      const int count = together ? backend.gradient_parts(geometry) : 1;
      auto* parts = count > 1 ? static_cast<float*>(memory.scratch(sizeof(float) * count * numel)) : nullptr;
      constexpr ConvPasses pass{.forward = false, .backward_data = false};
      void* scratch = memory.scratch(backend.conv2d_scratch_bytes({geometry, pass}));
      backend.conv2d_backward_weight({geometry, input, d_output, d_weight, scratch, parts});
      if (count > 1) gradients.push_back({numel, count, parts, d_weight});
    }
  }
  backend.sum_gradient_parts(gradients);
  in_parts = static_cast<int>(gradients.size());
  return memory.finish();
}

TEST_CASE("filter gradients in parts, summed together, have the bits of each summed by itself") {
  for_each_compared_backend([&](Backend& backend, Backend& /*oracle*/) {
    for (const DType dtype : activation_dtypes(backend)) {
      INFO(name_of(dtype));
      int in_parts = 0;
      const Outputs alone = run_filter_gradients(backend, dtype, false, in_parts);
      const Outputs together = run_filter_gradients(backend, dtype, true, in_parts);
      if (backend.name() == "cuda" && dtype == DType::bf16) CHECK(in_parts > 8);
      for (const auto& [name, gradient] : alone) {
        INFO(name);
        CHECK(compare_exactly(together.at(name).values, gradient.values).ok());
      }
    }
  });
}

TEST_CASE("a pass of a convolution that was not planned is refused by name, and can be planned later") {
  for_each_compared_backend([&](Backend& backend, Backend& /*oracle*/) {
    // A size that no other test plans on this backend.
    const ConvGeometry geometry{.batch = 3, .height = 7, .width = 6, .in_channels = 5, .out_channels = 4};
    RunMemory memory(backend);
    void* input = memory.output("input", DType::f32, geometry.input_shape().numel());
    void* weight = memory.output("weight", DType::f32, geometry.weight_shape().numel());
    void* output = memory.output("output", DType::f32, geometry.output_shape().numel());
    auto* d_weight = memory.output<float>("d_weight", geometry.weight_shape().numel());
    void* scratch = memory.scratch(backend.conv2d_scratch_bytes({geometry, kForwardPass}));
    const auto refused = [](ConvPass pass) {
      return Catch::Contains(std::string("convolution 3x7x6x5 -> 4 channels, kernel 3, stride 1, f32: the pass ") +
                             name_of(pass) + " was not planned");
    };
    CHECK_THROWS_WITH(backend.conv2d_backward_weight({geometry, input, output, d_weight, scratch}),
                      refused(ConvPass::backward_weight));
    CHECK_THROWS_WITH(backend.conv2d_backward_data({geometry, output, weight, input, GradMode::overwrite, scratch}),
                      refused(ConvPass::backward_data));
    backend.conv2d_forward({geometry, input, weight, output, scratch});
    void* more = memory.scratch(backend.conv2d_scratch_bytes({geometry, {.forward = false, .backward_data = false}}));
    backend.conv2d_backward_weight({geometry, input, output, d_weight, more});
    CHECK_THROWS_WITH(backend.conv2d_backward_data({geometry, output, weight, input, GradMode::overwrite, scratch}),
                      refused(ConvPass::backward_data));
    backend.synchronize();
    memory.finish();
  });
}

}  // namespace
}  // namespace bsq::test
