// Convolutions and matrix products: what the CUDA backend leaves to the vendor's libraries. Contracts: kernels/ops/.
//
// Kernel files include it.
#pragma once

#include "kernels/engine_note.h"

#include <cuda_runtime_api.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace bsq::cuda {

/// c [m, n] = a b, row-major; a is [m, k], or [k, m] if transposed, b is [k, n], or [n, k] if transposed.
struct GemmGeometry {
  int m = 0;
  int n = 0;
  int k = 0;
  bool transpose_a = false;
  bool transpose_b = false;
};

class DenseMath {
 public:
  DenseMath() = default;
  DenseMath(const DenseMath&) = delete;
  DenseMath& operator=(const DenseMath&) = delete;
  virtual ~DenseMath() = default;

  /// Library versions, for logs.
  virtual std::string describe() const = 0;
  /// Backend::notes().
  virtual std::vector<std::string> notes() const { return {}; }
  /// Backend::engines().
  virtual std::vector<EngineNote> engines() const { return {}; }
  /// Chooses the algorithms of those that have not been planned before.
  virtual void plan_convolutions(std::span<const ConvRequest> requests) = 0;
  /// The scratch memory of passes that are planned.
  virtual std::size_t conv2d_scratch_bytes(const ConvGeometry& geometry, const ConvPasses& passes) const = 0;
  virtual void conv2d_forward(const ConvForwardArgs& args) = 0;
  virtual void conv2d_backward_data(const ConvBackwardDataArgs& args) = 0;
  virtual void conv2d_backward_weight(const ConvBackwardWeightArgs& args) = 0;
  /// Backend::gradient_parts().
  virtual int gradient_parts(const ConvGeometry& /*geometry*/) const { return 1; }
  /// Whether conv2d_forward leaves the statistics for the norm that it is given.
  virtual bool leaves_statistics(const ConvGeometry& /*geometry*/, const NormActForwardArgs& /*norm*/) const {
    return false;
  }
  /// Whether conv2d_forward and conv2d_backward_weight make their input of what its norm reads.
  virtual bool applies_norm(const ConvGeometry& /*geometry*/, const NormActForwardArgs& /*norm*/) const {
    return false;
  }
  /// Whether conv2d_backward_data leaves the sums for the norm that it is given.
  virtual bool leaves_sums(const ConvGeometry& /*geometry*/, const NormActBackwardArgs& /*norm*/) const {
    return false;
  }
  /// Runs a product once, on memory of its own.
  virtual void plan_gemm(const GemmGeometry& /*geometry*/, GradMode /*mode*/) {}
  /// In float32, times a number in device memory; null: 1. `mode`: c is overwritten, or added to.
  virtual void gemm(const GemmGeometry& geometry, const float* factor, const float* a, const float* b, GradMode mode,
                    float* c) = 0;
};

/// Versions of the libraries that are loaded: "cuDNN 9.19.0, cuBLAS 13.0.2".
std::string vendor_versions();

/// cuDNN and cuBLAS on `stream`. `allow_tf32`: float32 products may round their operands to tf32.
std::unique_ptr<DenseMath> make_vendor_math(cudaStream_t stream, bool allow_tf32);

}  // namespace bsq::cuda
