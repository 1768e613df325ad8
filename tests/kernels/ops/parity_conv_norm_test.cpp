// A convolution beside a norm that it is told of: a backend may do a part of the norm on the way, and must come to what
// the two operations come to one after the other. See parity.h.
#include "tests/kernels/ops/parity.h"
#include "tests/support/random_tensors.h"

namespace bsq::test {
namespace {

struct PairCase {
  cases::ConvCase conv;
  cases::NormActCase norm;  // its geometry is that of the tensor between the two
};

/// What is asked of the norm.
std::vector<cases::NormActCase> norms() {
  using enum Activation;
  return {
      {.name = "relu6, 4 bits", .rule = {.activation = relu6, .act_bits = 4}},
      {.name = "relu6, 4 bits, shortcut, units", .shortcut = true, .rule = {relu6, 4}, .units = true},
      {.name = "no activation, units", .rule = {.activation = none}, .units = true},
      {.name = "pact, 3 bits, units", .rule = {.activation = pact, .act_bits = 3}, .units = true},
      {.name = "pact, shortcut", .shortcut = true, .rule = {.activation = pact}},
      {.name = "lsq, 3 bits, units", .rule = {.activation = lsq, .act_bits = 3, .clip_gain = 5}, .units = true},
      {.name = "relu, a bias before it", .rule = {.activation = relu}, .input_bias = true},
  };
}

/// Convolutions that a device may have kernels of its own for, whole patches and tails of them, and those of another.
std::vector<cases::ConvCase> convolutions() {
  return {
      {"stage1", 0, 2, 32, 32, 16, 16},        {"stage2", 0, 3, 16, 16, 32, 32},
      {"stage3", 0, 5, 8, 8, 64, 64},          {"one pixel", 0, 3, 1, 1, 16, 16},
      {"tails", 0, 3, 17, 19, 16, 32},         {"narrow tails", 0, 3, 9, 7, 64, 32},
      {"strided", 0, 2, 32, 32, 16, 32, 3, 2}, {"strided tails", 0, 3, 15, 18, 32, 64, 3, 2},
      {"1x1", 0, 3, 16, 17, 32, 64, 1, 2, 0},  {"many patches", 0, 150, 3, 3, 16, 64},
      {"17 channels", 0, 2, 9, 9, 17, 17},
  };
}

std::vector<PairCase> pairs(bool forward) {
  std::vector<cases::ConvCase> convs = convolutions();
  if (forward) {
    convs.push_back({"stem", 0, 2, 19, 33, 3, 16});
    convs.push_back({"stem, 32 channels", 0, 3, 9, 8, 3, 32});
  }
  constexpr std::size_t kNormsEach = 2;  // so that each norm is asked for three times
  const std::vector<cases::NormActCase> all_norms = norms();
  std::vector<PairCase> pairs;
  for (std::size_t i = 0; i < convs.size(); ++i) {
    for (std::size_t k = 0; k < kNormsEach; ++k) {
      cases::NormActCase norm = all_norms[(i + 1 + 3 * k) % all_norms.size()];
      const ConvGeometry g = convs[i].geometry(DType::bf16);
      const Shape between = forward ? g.output_shape() : g.input_shape();
      norm.name = convs[i].name + ", " + norm.name;
      norm.batch = static_cast<int>(between[0]);
      norm.pixels = static_cast<int>(between[1] * between[2]);
      norm.channels = static_cast<int>(between[3]);
      pairs.push_back({convs[i], norm});
    }
  }
#if defined(__SANITIZE_THREAD__)  // looks for races, and takes a hundred times as long
  std::erase_if(pairs, [](const PairCase& c) { return c.conv.name.starts_with("stage") || c.conv.name == "strided"; });
#endif
  return pairs;
}

/// Of which every sum is exact, so that all backends write the same tensor between the two.
ConvInputs make_levels(const ConvGeometry& geometry) {
  RandomTensors random("levels");
  const auto integers = [&](const Shape& shape, int most) {
    std::vector<float> values;
    for (const std::int32_t value : random.integers(shape.numel(), static_cast<std::uint32_t>(2 * most + 1)))
      values.push_back(static_cast<float>(value - most));
    return values;
  };
  return {integers(geometry.input_shape(), 3), integers(geometry.weight_shape(), 2),
          integers(geometry.output_shape(), 3), integers(geometry.input_shape(), 9)};
}

void check_forward(Backend& backend, Backend& oracle, const PairCase& c, DType dtype, const ConvInputs& conv) {
  INFO("case " << c.norm.name << ", " << name_of(dtype));
  const ConvGeometry geometry = c.conv.geometry(dtype);
  NormActInputs inputs = make_inputs(c.norm, dtype);
  const Outputs actual = run_twice([&] { return run_conv_norm_forward(backend, geometry, conv, c.norm.rule, inputs); });
  const Outputs expected = run_conv_norm_forward(oracle, geometry, conv, c.norm.rule, inputs);
  if (c.norm.rule.act_bits == 0) return check_outputs(actual, expected);
  const std::vector<double>& x = expected.at("x").values;
  inputs.x.assign(x.begin(), x.end());
  const double act_scale = expected.at("act_scale").values[0];
  const std::vector<double> levels = levels_before_rounding(oracle, c.norm, dtype, inputs, act_scale);
  const double stored_step = c.norm.units ? 1 : act_scale / ((1 << c.norm.rule.act_bits) - 1);
  check_outputs_on_grid(actual, expected, "y", levels, std::vector<double>(levels.size(), stored_step));
}

TEST_CASE("a convolution and the norm behind it agree with the reference if the one knows of the other") {
  for_each_compared_backend([](Backend& backend, Backend& oracle) {
    for (const DType dtype : activation_dtypes(backend))
      for (const PairCase& c : pairs(/*forward=*/true))
        check_forward(backend, oracle, c, dtype, make_levels(c.conv.geometry(dtype)));
  });
}

TEST_CASE("a channel far from zero keeps its variance where a convolution leaves the statistics") {
  for_each_compared_backend([](Backend& backend, Backend& oracle) {
    for (const DType dtype : activation_dtypes(backend)) {
      for (const PairCase& c : pairs(/*forward=*/true)) {
        if (c.norm.rule.act_bits != 0 || c.norm.shortcut || c.norm.input_bias) continue;
        ConvInputs conv = make_levels(c.conv.geometry(dtype));
        for (float& weight : conv.weight) weight = 1;  // so that all channels are the same sum of an image
        for (float& input : conv.input) input += 7;
        check_forward(backend, oracle, c, dtype, conv);
      }
    }
  });
}

TEST_CASE("a channel of equal pixels has no variance where a convolution leaves the statistics") {
  int checked = 0;
  for_each_compared_backend([&](Backend& backend, Backend& oracle) {
    for (const DType dtype : activation_dtypes(backend)) {
      for (const PairCase& c : pairs(/*forward=*/true)) {
        if (c.conv.kernel != 1 || c.norm.rule.activation != Activation::none) continue;
        ConvInputs conv = make_levels(c.conv.geometry(dtype));
        conv.input.assign(conv.input.size(), 3.0F);
        const NormActInputs inputs = make_inputs(c.norm, dtype);
        const auto run = [&](Backend& on) {
          Outputs outputs = run_conv_norm_forward(on, c.conv.geometry(dtype), conv, c.norm.rule, inputs);
          outputs.erase("y");  // 316 times the difference between x and its mean, rounding errors both
          return outputs;
        };
        check_outputs(run(backend), run(oracle));
        ++checked;
      }
    }
  });
  CHECK(checked > 0);
}

TEST_CASE("a convolution and the norm before it agree with the reference backward if the one knows of the other") {
  for_each_compared_backend([](Backend& backend, Backend& oracle) {
    for (const DType dtype : activation_dtypes(backend)) {
      for (const GradMode mode : grad_modes) {
        for (const PairCase& c : pairs(/*forward=*/false)) {
          INFO("case " << c.norm.name << ", " << name_of(dtype));
          const ConvGeometry geometry = c.conv.geometry(dtype);
          const ConvInputs conv = make_levels(geometry);
          NormActInputs inputs = make_inputs(c.norm, dtype);
          const auto run = [&](Backend& on) {
            return run_conv_norm_backward(on, geometry, conv, c.norm.rule, inputs, mode);
          };
          const Outputs expected = run(oracle);
          const std::vector<double>& d_y = expected.at("d_y").values;
          inputs.d_y.assign(d_y.begin(), d_y.end());
          check_outputs(run_twice([&] { return run(backend); }), expected,
                        {{"d_x", size_of_d_x_terms(oracle, c.norm, dtype, inputs)}});
        }
      }
    }
  });
}

TEST_CASE("a convolution that makes its input of what the norm before it reads has the bits of one that reads it") {
  int made = 0;
  for_each_compared_backend([&](Backend& backend, Backend& /*oracle*/) {
    for (const DType dtype : activation_dtypes(backend)) {
      for (const PairCase& c : pairs(/*forward=*/true)) {
        if (c.norm.shortcut) continue;
#if defined(__SANITIZE_THREAD__)
        if (c.conv.name.find("tails") == std::string::npos) continue;
#endif
        INFO("case " << c.norm.name << ", " << name_of(dtype));
        const ConvGeometry first = c.conv.geometry(dtype);
        for (const int stride : {1, 2}) {
          const ConvGeometry second{.batch = first.batch,
                                    .height = first.out_height(),
                                    .width = first.out_width(),
                                    .in_channels = first.out_channels,
                                    .out_channels = 16,
                                    .stride = stride,
                                    .dtype = dtype};
          const NormActInputs inputs = make_inputs(c.norm, dtype);
          const auto run = [&](bool told) {
            return run_norm_between_convs(backend, first, make_levels(first), c.norm.rule, inputs, second,
                                          make_levels(second), told);
          };
          Outputs expected = run(false);
          Outputs actual = run_twice([&] { return run(true); });
          made += actual.at("y").values != expected.at("y").values ? 1 : 0;  // not written, but poisoned
          expected.erase("y");
          for (const auto& [name, output] : expected) {
            INFO(name << ", stride " << stride);
            CHECK(compare_exactly(actual.at(name).values, output.values).ok());
          }
        }
      }
    }
    if (backend.name() == "cuda") CHECK(made >= 4);
  });
}

}  // namespace
}  // namespace bsq::test
