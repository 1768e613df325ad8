// The loops that stand in for cuDNN, and the passes around a convolution.
#include "kernels/base/error.h"
#include "kernels/bf16.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/ops/launchers.h"
#include "kernels/reference/reference_backend.h"
#include "tests/cuda_on_host/device_array.h"
#include "tests/kernels/ops/parity.h"
#include "tests/support/random_tensors.h"

namespace bsq::test {
namespace {

class DirectMath final : public cuda::DenseMath {
 public:
  explicit DirectMath(cudaStream_t stream) : stream_(stream) {}

  std::string describe() const override { return "own loops"; }
  void plan_convolutions(std::span<const ConvRequest>) override {}
  std::size_t conv2d_scratch_bytes(const ConvGeometry&, const ConvPasses&) const override { return 0; }
  void conv2d_forward(const ConvForwardArgs& args) override { cuda::direct_conv2d_forward(args, stream_); }
  void conv2d_backward_data(const ConvBackwardDataArgs& args) override {
    cuda::direct_conv2d_backward_data(args, stream_);
  }
  void conv2d_backward_weight(const ConvBackwardWeightArgs& args) override {
    cuda::direct_conv2d_backward_weight(args, stream_);
  }
  void gemm(const cuda::GemmGeometry&, const float*, const float*, const float*, GradMode, float*) override {
    require(false, "convolutions only");
  }

 private:
  cudaStream_t stream_;
};

/// The gradient of the filters takes a block per tap of a filter, and ThreadSanitizer a hundred times as long: there
/// only filters with few taps, of which every kind has some.
#ifdef __SANITIZE_THREAD__
constexpr int kMostTaps = 300;
#else
constexpr int kMostTaps = 10'000;
#endif

/// The emulation runs every thread: the tails, and one layer of full width.
std::vector<cases::ConvCase> emulated_cases() {
  std::vector<cases::ConvCase> all = cases::conv_cases();
  all.push_back({"64 to 40 channels", 0, 1, 4, 4, 64, 40, 3, 1, 1});
  std::vector<cases::ConvCase> chosen;
  for (const cases::ConvCase& c : all)
    if (c.layers == 0 && c.out_channels * c.kernel * c.kernel <= kMostTaps) chosen.push_back(c);
  return chosen;
}

}  // namespace

TEST_CASE("convolutions by own loops agree with the reference, overwriting and accumulating") {
  cuda::CudaBackend backend(0, [](cudaStream_t stream) { return std::make_unique<DirectMath>(stream); });
  const auto oracle = make_reference_backend();
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const cases::ConvCase& c : emulated_cases()) {
      INFO(c.name << ", " << name_of(dtype));
      const ConvInputs inputs = make_inputs(c);
      const ConvGeometry geometry = c.geometry(dtype);
      check_outputs(run_twice([&] { return run_conv_forward(backend, geometry, inputs); }),
                    run_conv_forward(*oracle, geometry, inputs));
      for (const GradMode mode : grad_modes)
        check_outputs(run_twice([&] { return run_conv_backward(backend, geometry, inputs, mode); }),
                      run_conv_backward(*oracle, geometry, inputs, mode));
    }
  }
}

TEST_CASE("adding a gradient to another touches every element once, whatever the tail") {
  for (const std::int64_t numel : {1, 7, 8, 9, 255, 2048, 2055}) {
    INFO(numel);
    const std::vector<float> a = RandomTensors("a").normal(numel, 0, 1);
    const std::vector<float> b = RandomTensors("b").normal(numel, 0, 1);
    const DeviceArray<float> sum(a);
    const DeviceArray<float> addend(b);
    cuda::add(DType::f32, numel, addend.data(), sum.data(), nullptr);
    std::vector<float> expected = a;
    for (std::size_t i = 0; i < a.size(); ++i) expected[i] += b[i];
    CHECK(sum.get() == expected);

    std::vector<bfloat16> narrow_a(a.size()), narrow_b(b.size());
    std::ranges::transform(a, narrow_a.begin(), to_bfloat16);
    std::ranges::transform(b, narrow_b.begin(), to_bfloat16);
    const DeviceArray<bfloat16> narrow_sum(narrow_a);
    const DeviceArray<bfloat16> narrow_addend(narrow_b);
    cuda::add(DType::bf16, numel, narrow_addend.data(), narrow_sum.data(), nullptr);
    const std::vector<bfloat16> sums = narrow_sum.get();
    for (std::size_t i = 0; i < a.size(); ++i)
      CHECK(sums[i].bits == to_bfloat16(to_float(narrow_a[i]) + to_float(narrow_b[i])).bits);

    const DeviceArray<float> widened(a.size());
    cuda::widen_bf16(numel, narrow_addend.data(), widened.data(), nullptr);
    const std::vector<float> wide = widened.get();
    for (std::size_t i = 0; i < a.size(); ++i) CHECK(wide[i] == to_float(narrow_b[i]));
  }
}

}  // namespace bsq::test
