// Filter gradients on tensor cores, however many splits there are.
#include "kernels/bf16.h"
#include "kernels/cuda/ops/launchers.h"
#include "kernels/planned_passes.h"
#include "kernels/reference/reference_backend.h"
#include "tests/cuda_on_host/device_array.h"
#include "tests/support/catch.h"
#include "tests/support/random_tensors.h"

#include <cmath>
#include <string>
#include <vector>

namespace bsq::test {
namespace {

/// Small integers, of which no sum rounds.
std::vector<bfloat16> integers(const std::string& name, std::int64_t count) {
  std::vector<bfloat16> values;
  for (const float value : RandomTensors(name).normal(count, 0, 3)) values.push_back(to_bfloat16(std::rint(value)));
  return values;
}

std::vector<float> gradient_on_device(const ConvGeometry& geometry, const std::vector<bfloat16>& input,
                                      const std::vector<bfloat16>& d_output, int multiprocessors) {
  const DeviceArray<bfloat16> on_device_input(input);
  const DeviceArray<bfloat16> on_device_d_output(d_output);
  const DeviceArray<float> d_weight(static_cast<std::size_t>(geometry.weight_shape().numel()));
  const DeviceArray<std::byte> scratch(cuda::own_filter_gradient_scratch_bytes(geometry, multiprocessors));
  cuda::own_filter_gradient(
      {geometry, on_device_input.data(), on_device_d_output.data(), d_weight.data(), scratch.data()}, nullptr,
      multiprocessors);
  return d_weight.get();
}

}  // namespace

TEST_CASE("a filter gradient on tensor cores is exact on integers, in however many splits it is summed") {
  // of each way to cut the work one, with more strips than splits, and fewer
  const ConvGeometry geometries[] = {
      {5, 9, 33, 3, 16, 3, 1, 1, DType::bf16},   {5, 9, 33, 16, 16, 3, 1, 1, DType::bf16},
      {5, 9, 33, 16, 32, 3, 2, 1, DType::bf16},  {3, 17, 10, 32, 32, 3, 1, 1, DType::bf16},
      {7, 8, 8, 64, 64, 3, 1, 1, DType::bf16},   {3, 8, 8, 64, 64, 3, 2, 1, DType::bf16},
      {2, 33, 17, 16, 32, 1, 2, 0, DType::bf16}, {3, 17, 9, 32, 64, 1, 1, 0, DType::bf16},
  };
  const auto reference = make_reference_backend();
  for (const ConvGeometry& geometry : geometries) {
    INFO(describe(geometry));
    REQUIRE(cuda::own_filter_gradient_serves(geometry));
    const std::vector<bfloat16> input = integers("input", geometry.input_shape().numel());
    const std::vector<bfloat16> d_output = integers("d_output", geometry.output_shape().numel());
    std::vector<float> expected(static_cast<std::size_t>(geometry.weight_shape().numel()));
    reference->conv2d_scratch_bytes({geometry, {.forward = false, .backward_data = false}});
    reference->conv2d_backward_weight({geometry, input.data(), d_output.data(), expected.data(), nullptr});
    for (const int multiprocessors : {1, 4, 100}) {
      INFO(multiprocessors << " multiprocessors");
      CHECK(gradient_on_device(geometry, input, d_output, multiprocessors) == expected);
    }
  }
}

TEST_CASE("filter gradients that tensor cores do not serve are left to others") {
  const ConvGeometry served{1, 8, 8, 16, 16, 3, 1, 1, DType::bf16};
  CHECK(cuda::own_filter_gradient_serves(served));
  const auto refuses = [&](auto change) {
    ConvGeometry geometry = served;
    change(geometry);
    return !cuda::own_filter_gradient_serves(geometry);
  };
  CHECK(refuses([](ConvGeometry& g) { g.dtype = DType::f32; }));
  CHECK(refuses([](ConvGeometry& g) { g.in_channels = 17; }));
  CHECK(refuses([](ConvGeometry& g) { g.out_channels = 8; }));
  CHECK(refuses([](ConvGeometry& g) { g.stride = 3; }));
  CHECK(refuses([](ConvGeometry& g) { g.padding = 0; }));
  CHECK(refuses([](ConvGeometry& g) { g.kernel = 5; }));
  CHECK(refuses([](ConvGeometry& g) { g.width = 5000; }));  // not even three rows fit into shared memory
}

}  // namespace bsq::test
