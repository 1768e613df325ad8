#include "tests/cuda_on_host/host_math.h"

#include "kernels/cuda/check.h"
#include "kernels/cuda/cuda_backend.h"
#include "kernels/cuda/kernel_modules.h"
#include "kernels/reference/reference_backend.h"
#include "tests/cuda_on_host/emulator/runtime.h"

#include <utility>

namespace bsq::test {
namespace {

/// The oracle's loops, as work on a stream: recorded where the stream records.
class HostMath final : public cuda::DenseMath {
 public:
  explicit HostMath(cudaStream_t stream) : stream_(stream) {}

  std::string describe() const override { return "reference loops"; }
  void plan_convolutions(std::span<const ConvRequest> requests) override {
    for (const ConvRequest& request : requests) {
      planned_.add(request.geometry, request.passes);
      reference_.conv2d_scratch_bytes(request);
    }
  }
  std::size_t conv2d_scratch_bytes(const ConvGeometry&, const ConvPasses&) const override { return 0; }
  void conv2d_forward(const ConvForwardArgs& args) override {
    planned_.check(args.geometry, ConvPass::forward);
    enqueue([args, this] { reference_.conv2d_forward(args); });
  }
  void conv2d_backward_data(const ConvBackwardDataArgs& args) override {
    planned_.check(args.geometry, ConvPass::backward_data);
    enqueue([args, this] { reference_.conv2d_backward_data(args); });
  }
  void conv2d_backward_weight(const ConvBackwardWeightArgs& args) override {
    planned_.check(args.geometry, ConvPass::backward_weight);
    enqueue([args, this] { reference_.conv2d_backward_weight(args); });
  }
  void gemm(const cuda::GemmGeometry& geometry, const float* factor, const float* a, const float* b, GradMode mode,
            float* c) override {
    enqueue([=] { multiply(geometry, factor, a, b, mode, c); });
  }

 private:
  static void multiply(const cuda::GemmGeometry& geometry, const float* factor, const float* a, const float* b,
                       GradMode mode, float* c) {
    const auto [m, n, k, transpose_a, transpose_b] = geometry;
    const double of_product = factor == nullptr ? 1.0 : double{*factor};
    for (int row = 0; row < m; ++row) {
      for (int column = 0; column < n; ++column) {
        double sum = mode == GradMode::accumulate ? c[row * n + column] : 0.0;
        for (int i = 0; i < k; ++i)
          sum += of_product * (double{a[transpose_a ? i * m + row : row * k + i]} *
                               b[transpose_b ? column * k + i : i * n + column]);
        c[row * n + column] = static_cast<float>(sum);
      }
    }
  }
  void enqueue(std::function<void()> work) const {
    BSQ_CUDA_CHECK(cuda_on_host::enqueue("a library's kernel", stream_, std::move(work)));
  }

  cudaStream_t stream_;
  PlannedPasses planned_;
  ReferenceBackend reference_;
};

}  // namespace

std::unique_ptr<Backend> make_cuda_backend_on_host() {
  return std::make_unique<cuda::CudaBackend>(0, [](cudaStream_t stream) { return std::make_unique<HostMath>(stream); });
}

}  // namespace bsq::test

// What kernels/cuda/plugin.cpp takes from the vendor's libraries, and cuda_backend.cpp from the driver.
namespace bsq::cuda {

std::string load_kernels() {
  return {};  // they are functions of the program
}

std::string vendor_versions() {
  return "no libraries";
}

std::unique_ptr<DenseMath> make_vendor_math(cudaStream_t stream, bool /*allow_tf32*/) {
  return std::make_unique<test::HostMath>(stream);
}

}  // namespace bsq::cuda
