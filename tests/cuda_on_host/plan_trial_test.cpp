// What a library's plan must do before it is taken; the library is a function here.
#include "kernels/base/error.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/stream.h"
#include "kernels/cuda/vendor/plan_trial.h"
#include "tests/cuda_on_host/emulator/runtime.h"
#include "tests/support/catch.h"

#include <algorithm>
#include <cstring>
#include <vector>

namespace bsq::test {
namespace {

constexpr ConvGeometry kGeometry{.batch = 2, .height = 5, .width = 4, .in_channels = 3, .out_channels = 2};
constexpr ConvPass kPasses[] = {ConvPass::forward, ConvPass::backward_data, ConvPass::backward_weight};

const void* result_of(ConvPass pass, const cuda::TrialOperands& on) {
  return pass == ConvPass::forward ? on.output : pass == ConvPass::backward_data ? on.input : on.weight;
}

/// Runs a trial whose plan writes `value(time)` as the last of the numbers it has to.
bool tries(ConvPass pass, const std::function<float(int time)>& value) {
  const cuda::Stream stream;
  const Shape shape = pass == ConvPass::forward         ? kGeometry.output_shape()
                      : pass == ConvPass::backward_data ? kGeometry.input_shape()
                                                        : kGeometry.weight_shape();
  int time = 0;
  return cuda::runs_twice_alike(kGeometry, pass, 100, stream.get(), [&](const cuda::TrialOperands& on) {
    auto* const floats = static_cast<float*>(const_cast<void*>(result_of(pass, on)));
    const auto count = static_cast<std::size_t>(shape.numel());
    BSQ_CUDA_CHECK(cuda_on_host::enqueue("a library's kernel", stream.get(), [=] {
      std::fill_n(floats, count, 1.0F);
      floats[count - 1] = value(time);
    }));
    ++time;
    return true;
  });
}

}  // namespace

TEST_CASE("a plan is taken where two runs give the same bits, and not where one bit differs") {
  for (const ConvPass pass : kPasses) {
    INFO(name_of(pass));
    CHECK(tries(pass, [](int) { return 2.0F; }));
    CHECK_FALSE(tries(pass, [](int time) { return time == 0 ? 2.0F : std::nextafter(2.0F, 3.0F); }));
    CHECK_FALSE(tries(pass, [](int time) { return time == 0 ? 0.0F : -0.0F; }));
  }
}

TEST_CASE("a plan that the library does not run is not taken") {
  const cuda::Stream stream;
  for (const ConvPass pass : kPasses)
    CHECK_FALSE(
        cuda::runs_twice_alike(kGeometry, pass, 0, stream.get(), [](const cuda::TrialOperands&) { return false; }));
}

TEST_CASE("a trial's operands are numbers between -1 and 1, in either type") {
  const cuda::Stream stream;
  const auto is_filled = [&](DType dtype) {
    ConvGeometry geometry = kGeometry;
    geometry.dtype = dtype;
    std::vector<std::uint32_t> bits(static_cast<std::size_t>(geometry.input_shape().numel()));
    cuda::runs_twice_alike(geometry, ConvPass::backward_weight, 0, stream.get(), [&](const cuda::TrialOperands& on) {
      BSQ_CUDA_CHECK(cudaStreamSynchronize(stream.get()));
      std::vector<std::byte> bytes(bits.size() * size_of(dtype));
      BSQ_CUDA_CHECK(cudaMemcpyAsync(bytes.data(), on.input, bytes.size(), cudaMemcpyDeviceToHost, stream.get()));
      BSQ_CUDA_CHECK(cudaStreamSynchronize(stream.get()));
      const std::size_t size = size_of(dtype);  // bf16: the upper half of a float
      for (std::size_t i = 0; i < bits.size(); ++i)
        std::memcpy(reinterpret_cast<std::byte*>(&bits[i]) + 4 - size, &bytes[i * size], size);
      return true;
    });
    std::vector<float> values;
    for (const std::uint32_t each : bits) values.push_back(std::bit_cast<float>(each));
    CHECK(std::ranges::all_of(values, [](float value) { return value >= -1 && value <= 1; }));
    std::ranges::sort(values);
    return std::ranges::unique(values).begin() - values.begin();
  };
  CHECK(is_filled(DType::f32) > 100);
  CHECK(is_filled(DType::bf16) > 80);
}

}  // namespace bsq::test
