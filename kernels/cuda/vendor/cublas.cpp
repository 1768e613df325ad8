// cuBLAS thinks in columns: the product c = a b of row-major matrices is c^T = b^T a^T there, operands swapped.
#include "kernels/cuda/vendor/cublas.h"

#include "kernels/base/error.h"
#include "kernels/cuda/check.h"

#include <cublas_v2.h>

namespace bsq::cuda {
namespace {

[[noreturn]] void fail_cublas(cublasStatus_t status, const char* call, const char* file, int line) {
  fail_library(cublasGetStatusString(status), status == CUBLAS_STATUS_ALLOC_FAILED, call, file, line);
}

constexpr std::size_t kWorkspaceBytes = std::size_t{32} << 20;  // what cuBLAS takes by itself on an H100

#define BSQ_CUBLAS_CHECK(...)                                                                                         \
  do {                                                                                                                \
    const cublasStatus_t bsq_cublas_status = (__VA_ARGS__);                                                           \
    if (bsq_cublas_status != CUBLAS_STATUS_SUCCESS) fail_cublas(bsq_cublas_status, #__VA_ARGS__, __FILE__, __LINE__); \
  } while (false)

}  // namespace

CublasHandle::CublasHandle(cudaStream_t stream, bool allow_tf32) {
  BSQ_CUBLAS_CHECK(cublasCreate(&handle_));
  cublasStatus_t status = cublasSetStream(handle_, stream);
  // The workspace is our own memory: otherwise cuBLAS allocates some in every graph that is captured. cublasSetStream
  // would take it away again.
  if (status == CUBLAS_STATUS_SUCCESS && cudaMalloc(&workspace_, kWorkspaceBytes) != cudaSuccess)
    status = CUBLAS_STATUS_ALLOC_FAILED;
  if (status == CUBLAS_STATUS_SUCCESS) status = cublasSetWorkspace(handle_, workspace_, kWorkspaceBytes);
  // Without atomics and on one stream the same call gives the same bits.
  if (status == CUBLAS_STATUS_SUCCESS) status = cublasSetAtomicsMode(handle_, CUBLAS_ATOMICS_NOT_ALLOWED);
  if (status == CUBLAS_STATUS_SUCCESS)
    status = cublasSetMathMode(handle_, allow_tf32 ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_PEDANTIC_MATH);
  constexpr float zero_and_one[] = {0, 1};
  if (status == CUBLAS_STATUS_SUCCESS &&
      (cudaMalloc(&zero_and_one_, sizeof(zero_and_one)) != cudaSuccess ||
       cudaMemcpy(zero_and_one_, zero_and_one, sizeof(zero_and_one), cudaMemcpyHostToDevice) != cudaSuccess))
    status = CUBLAS_STATUS_ALLOC_FAILED;
  if (status == CUBLAS_STATUS_SUCCESS) return;
  destroy();
  BSQ_CUBLAS_CHECK(status);
}

CublasHandle::~CublasHandle() {
  destroy();
}

void CublasHandle::destroy() {
  cublasDestroy(handle_);
  cudaFree(workspace_);
  cudaFree(zero_and_one_);
}

void CublasHandle::gemm(const GemmGeometry& geometry, const float* factor, const float* a, const float* b,
                        GradMode mode, float* c) const {
  const auto [m, n, k, transpose_a, transpose_b] = geometry;
  const bool on_device = factor != nullptr;  // both factors are read there then
  const int which = mode == GradMode::accumulate ? 1 : 0;
  const float on_host[] = {0, 1};
  const float* alpha = on_device ? factor : on_host + 1;
  const float* beta = (on_device ? static_cast<const float*>(zero_and_one_) : on_host) + which;
  if (on_device) BSQ_CUBLAS_CHECK(cublasSetPointerMode(handle_, CUBLAS_POINTER_MODE_DEVICE));
  const cublasStatus_t status =
      cublasSgemm(handle_, transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N, transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N, n, m, k,
                  alpha, b, transpose_b ? k : n, a, transpose_a ? m : k, beta, c, n);
  if (on_device) BSQ_CUBLAS_CHECK(cublasSetPointerMode(handle_, CUBLAS_POINTER_MODE_HOST));
  BSQ_CUBLAS_CHECK(status);
}

std::string cublas_version() {
  int major = 0;
  int minor = 0;
  int patch = 0;
  BSQ_CUBLAS_CHECK(cublasGetProperty(MAJOR_VERSION, &major));
  BSQ_CUBLAS_CHECK(cublasGetProperty(MINOR_VERSION, &minor));
  BSQ_CUBLAS_CHECK(cublasGetProperty(PATCH_LEVEL, &patch));
  return fmt::format("{}.{}.{}", major, minor, patch);
}

}  // namespace bsq::cuda
