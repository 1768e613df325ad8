#include "tests/cuda_on_host/host_math.h"

#include "kernels/cuda/cuda_backend.h"
#include "kernels/reference.h"

namespace bsq::test {
namespace {

// Runs at once, also while a stream records: what is captured here are kernels, copies and fills only.
class HostMath final : public cuda::DenseMath {
 public:
  std::string describe() const override { return "reference loops"; }
  std::size_t conv2d_scratch_bytes(const ConvGeometry& geometry) override {
    return reference_.conv2d_scratch_bytes(geometry);
  }
  void conv2d_forward(const ConvGeometry& geometry, const void* input, const void* weight, void* output,
                      void* scratch) override {
    reference_.conv2d_forward(geometry, input, weight, output, scratch);
  }
  void conv2d_backward_data(const ConvGeometry& geometry, const void* d_output, const void* weight, void* d_input,
                            GradMode mode, void* scratch) override {
    reference_.conv2d_backward_data(geometry, d_output, weight, d_input, mode, scratch);
  }
  void conv2d_backward_weight(const ConvGeometry& geometry, const void* input, const void* d_output, float* d_weight,
                              void* scratch) override {
    reference_.conv2d_backward_weight(geometry, input, d_output, d_weight, scratch);
  }
  void gemm(const cuda::GemmGeometry& geometry, const float* a, const float* b, GradMode mode, float* c) override {
    const auto [m, n, k, transpose_a, transpose_b] = geometry;
    for (int row = 0; row < m; ++row) {
      for (int column = 0; column < n; ++column) {
        double sum = mode == GradMode::accumulate ? c[row * n + column] : 0.0;
        for (int i = 0; i < k; ++i)
          sum += double{a[transpose_a ? i * m + row : row * k + i]} * b[transpose_b ? column * k + i : i * n + column];
        c[row * n + column] = static_cast<float>(sum);
      }
    }
  }

 private:
  ReferenceBackend reference_;
};

}  // namespace

std::unique_ptr<Backend> make_cuda_backend_on_host() {
  return std::make_unique<cuda::CudaBackend>(0, [](cudaStream_t) { return std::make_unique<HostMath>(); });
}

}  // namespace bsq::test
