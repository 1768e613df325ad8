// cuBLAS: a handle that frees itself, and float32 products of row-major matrices.
#pragma once

#include "kernels/cuda/vendor/dense_math.h"

#include <string>

struct cublasContext;  // what cublasHandle_t points to: the vendor's header stays in cublas.cpp

namespace bsq::cuda {

class CublasHandle {
 public:
  /// `allow_tf32`: operands may be rounded to tf32.
  CublasHandle(cudaStream_t stream, bool allow_tf32);
  CublasHandle(const CublasHandle&) = delete;
  CublasHandle& operator=(const CublasHandle&) = delete;
  ~CublasHandle();

  /// As DenseMath has it.
  void gemm(const GemmGeometry& geometry, const float* factor, const float* a, const float* b, GradMode mode,
            float* c) const;

 private:
  void destroy();

  cublasContext* handle_ = nullptr;
  void* workspace_ = nullptr;
  void* zero_and_one_ = nullptr;  // [2] float, in device memory
};

/// "13.0.2": the version of the library that is loaded.
std::string cublas_version();

}  // namespace bsq::cuda
