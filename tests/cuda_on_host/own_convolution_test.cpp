// Our own convolutions: equal bits where sums are exact, the oracle's numbers elsewhere, whatever the tail.
#include "kernels/base/error.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/ops/launchers.h"
#include "kernels/reference/reference_backend.h"
#include "tests/kernels/ops/parity.h"
#include "tests/support/random_tensors.h"

#include <cmath>
#include <cstdlib>
#include <limits>

namespace bsq::test {
namespace {

/// Sizes that no patch divides, and those that it does; every mixture of channels.
std::vector<cases::ConvCase> stride_1_cases() {
  std::vector<cases::ConvCase> chosen = {
      {"stage1", 0, 1, 32, 32, 16, 16},
      {"stage2", 0, 2, 16, 16, 32, 32},
      {"stage3", 0, 2, 8, 8, 64, 64},
      {"stage3, an image too few", 0, 3, 8, 8, 64, 64},
      {"one pixel", 0, 3, 1, 1, 16, 16},
      {"one pixel, 64 channels", 0, 1, 1, 1, 64, 64},
      {"one row", 0, 1, 1, 19, 16, 32},
      {"one column", 0, 2, 19, 1, 32, 16},
      {"a row and a column too many", 0, 1, 17, 17, 16, 16},
      {"a row and a column too few", 0, 3, 15, 31, 16, 16},
      {"9 columns", 0, 1, 9, 9, 64, 64},
      {"7 rows, 5 columns", 0, 3, 7, 5, 64, 32},
  };
  for (const int in : {16, 32, 64}) {
    for (const int out : {16, 32, 64}) {
      chosen.push_back({"narrow", 0, 3, 5, 6, in, out});
      chosen.push_back({"wide", 0, 1, 3, 11, in, out});
    }
  }
  return chosen;
}

/// Of a stride of 2, filters 3x3 and 1x1.
std::vector<cases::ConvCase> stride_2_cases() {
  std::vector<cases::ConvCase> sizes = {
      {"stage2", 0, 1, 32, 32, 16, 32},          {"stage3", 0, 3, 16, 16, 32, 64},
      {"one pixel", 0, 3, 1, 1, 16, 16},         {"two by two", 0, 1, 2, 2, 32, 32},
      {"one row", 0, 1, 1, 37, 16, 32},          {"one column", 0, 2, 35, 1, 32, 16},
      {"even and odd", 0, 1, 34, 17, 16, 16},    {"odd and even", 0, 3, 15, 34, 16, 16},
      {"a pixel too many", 0, 1, 33, 33, 16, 32}};
  for (const int in : {16, 32, 64}) {
    for (const int out : {16, 32, 64}) {
      sizes.push_back({"narrow", 0, 3, 7, 10, in, out});
      sizes.push_back({"wide", 0, 1, 6, 21, in, out});
    }
  }
  std::vector<cases::ConvCase> chosen;
  for (cases::ConvCase c : sizes) {
    for (const int kernel : {1, 3}) {
      c.kernel = kernel;
      c.stride = 2;
      c.padding = kernel / 2;
      chosen.push_back(c);
    }
  }
  return chosen;
}

std::vector<cases::ConvCase> stem_cases() {
  return {{"stem", 0, 2, 32, 32, 3, 16},
          {"stem, one pixel", 0, 3, 1, 1, 3, 16},
          {"stem, tails", 0, 3, 33, 17, 3, 16},
          {"stem, one row", 0, 1, 1, 40, 3, 32},
          {"stem, 64 channels", 0, 2, 15, 18, 3, 64}};
}

std::vector<float> integers(RandomTensors& random, std::int64_t count, int most) {
  std::vector<float> values;
  for (const std::int32_t value : random.integers(count, static_cast<std::uint32_t>(2 * most + 1)))
    values.push_back(static_cast<float>(value - most));
  return values;
}

/// Of which every sum is exact in float32.
ConvInputs make_levels(const ConvGeometry& geometry) {
  RandomTensors random("levels");
  return {integers(random, geometry.input_shape().numel(), 15), integers(random, geometry.weight_shape().numel(), 127),
          integers(random, geometry.output_shape().numel(), 100),
          integers(random, geometry.input_shape().numel(), 200)};
}

class OwnMath final : public cuda::DenseMath {
 public:
  explicit OwnMath(cudaStream_t stream) : stream_(stream) {}

  std::string describe() const override { return "own convolutions"; }
  void plan_convolutions(std::span<const ConvRequest>) override {}
  std::size_t conv2d_scratch_bytes(const ConvGeometry&, const ConvPasses&) const override { return 0; }
  void conv2d_forward(const ConvForwardArgs& args) override {
    REQUIRE(cuda::own_forward_serves(args.geometry));
    cuda::own_conv2d_forward(args, {}, stream_);
  }
  void conv2d_backward_data(const ConvBackwardDataArgs& args) override {
    REQUIRE(cuda::own_backward_data_serves(args.geometry));
    cuda::own_conv2d_backward_data(args, {}, stream_);
  }
  void conv2d_backward_weight(const ConvBackwardWeightArgs&) override { require(false, "not of these"); }
  void gemm(const cuda::GemmGeometry&, const float*, const float*, const float*, GradMode, float*) override {
    require(false, "convolutions only");
  }

 private:
  cudaStream_t stream_;
};

std::unique_ptr<Backend> make_own_backend() {
  return std::make_unique<cuda::CudaBackend>(0, [](cudaStream_t stream) { return std::make_unique<OwnMath>(stream); });
}

Outputs run_backward_data(Backend& backend, const ConvGeometry& geometry, const ConvInputs& inputs, GradMode mode) {
  RunMemory memory(backend);
  const void* d_output = memory.input("d_output", geometry.dtype, inputs.d_output);
  const void* weight = memory.input("weight", geometry.dtype, inputs.weight);
  void* d_input = mode == GradMode::accumulate
                      ? memory.in_out("d_input", geometry.dtype, inputs.d_input_before)
                      : memory.output("d_input", geometry.dtype, geometry.input_shape().numel());
  constexpr ConvPasses pass{.forward = false, .backward_weight = false};
  void* scratch = memory.scratch(backend.conv2d_scratch_bytes({geometry, pass}));
  backend.conv2d_backward_data({geometry, d_output, weight, d_input, mode, scratch});
  return memory.finish();
}

/// `run` on our own kernels and on the oracle: equal bits of `output` on integer levels, agreement on other numbers.
template <typename Run>
void check_cases(const std::vector<cases::ConvCase>& all_cases, const std::string& output, Run run) {
  const auto backend = make_own_backend();
  const auto oracle = make_reference_backend();
  for (const cases::ConvCase& c : all_cases) {
    INFO(c.name << ", " << c.in_channels << " to " << c.out_channels << ", kernel " << c.kernel);
    const ConvGeometry geometry = c.geometry(DType::bf16);
    const ConvInputs levels = make_levels(geometry);
    CHECK(run(*backend, geometry, levels).at(output).values == run(*oracle, geometry, levels).at(output).values);
    const ConvInputs inputs = make_inputs(c);
    check_outputs(run(*backend, geometry, inputs), run(*oracle, geometry, inputs));
  }
}

void check_forward(const std::vector<cases::ConvCase>& all_cases) {
  check_cases(all_cases, "output", run_conv_forward);
}

void check_backward_data(const std::vector<cases::ConvCase>& all_cases) {
  for (const GradMode mode : grad_modes)
    check_cases(all_cases, "d_input", [mode](Backend& backend, const ConvGeometry& geometry, const ConvInputs& inputs) {
      return run_backward_data(backend, geometry, inputs, mode);
    });
}

}  // namespace

TEST_CASE("our own convolution: the output agrees with the reference, to the bit where sums are exact") {
  check_forward(stride_1_cases());
  check_forward(stem_cases());
}

TEST_CASE("our own convolution with a stride: the output agrees") {
  std::vector<cases::ConvCase> chosen = stride_2_cases();
  std::erase_if(chosen, [](const cases::ConvCase& c) { return c.kernel == 3 && c.in_channels == 64; });
  check_forward(chosen);
}

TEST_CASE("our own convolution: the gradient of the input agrees, overwriting and accumulating") {
  check_backward_data(stride_1_cases());
}

TEST_CASE("our own convolution with a stride: the gradient of the input agrees, overwriting and accumulating") {
  check_backward_data(stride_2_cases());
}

TEST_CASE("a NaN in an image reaches the outputs whose filters lie over it, and no others") {
  const auto backend = make_own_backend();
  for (const int in : {3, 16, 64}) {
    INFO(in << " channels");
    const ConvGeometry geometry{1, 9, 21, in, 16, 3, 1, 1, DType::bf16};
    ConvInputs inputs{std::vector<float>(static_cast<std::size_t>(geometry.input_shape().numel()), 1.0F),
                      std::vector<float>(static_cast<std::size_t>(geometry.weight_shape().numel()), 1.0F),
                      {},
                      {}};
    const int y = 4;
    const int x = 10;
    inputs.input[static_cast<std::size_t>((y * geometry.width + x) * in)] = std::numeric_limits<float>::quiet_NaN();
    const std::vector<double> output = run_conv_forward(*backend, geometry, inputs).at("output").values;
    for (std::size_t i = 0; i < output.size(); ++i) {
      const int pixel = static_cast<int>(i) / geometry.out_channels;
      const bool is_near = std::abs(pixel / geometry.width - y) <= 1 && std::abs(pixel % geometry.width - x) <= 1;
      CHECK(std::isnan(output[i]) == is_near);
    }
  }
}

TEST_CASE("our own convolution serves what it has kernels for, and nothing else") {
  const ConvGeometry served{1, 8, 8, 16, 32, 3, 1, 1, DType::bf16};
  CHECK(cuda::own_forward_serves(served));
  CHECK(cuda::own_backward_data_serves(served));
  const auto refuses = [&](auto change) {
    ConvGeometry other = served;
    change(other);
    CHECK_FALSE(cuda::own_forward_serves(other));
    CHECK_FALSE(cuda::own_backward_data_serves(other));
  };
  refuses([](ConvGeometry& g) { g.dtype = DType::f32; });
  refuses([](ConvGeometry& g) { g.in_channels = 17; });
  refuses([](ConvGeometry& g) { g.out_channels = 128; });
  refuses([](ConvGeometry& g) { g.kernel = 5; });
  refuses([](ConvGeometry& g) { g.padding = 0; });
  refuses([](ConvGeometry& g) { g.stride = 3; });
  refuses([](ConvGeometry& g) { g.kernel = 1, g.padding = 0; });
  refuses([](ConvGeometry& g) { g.batch = 0; });
  refuses([](ConvGeometry& g) { g.batch = 1 << 16; });
  refuses([](ConvGeometry& g) { g.height = g.width = 1 << 15; });
  const ConvGeometry stem{1, 8, 8, 3, 16, 3, 1, 1, DType::bf16};
  CHECK(cuda::own_forward_serves(stem));
  CHECK_FALSE(cuda::own_backward_data_serves(stem));
  const ConvGeometry strided{1, 8, 8, 64, 16, 3, 2, 1, DType::bf16};
  CHECK_FALSE(cuda::own_forward_serves(strided));
  CHECK(cuda::own_backward_data_serves(strided));
}

}  // namespace bsq::test
