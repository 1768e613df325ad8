// The CPU backend: oneDNN for convolutions and GEMM, own vectorized OpenMP loops (simd/) for everything else.
//
// Results do not depend on the number of threads, except for oneDNN's weight gradients, whose order of summation does.
#pragma once

#include "kernels/backend.h"
#include "kernels/cpu/onednn.h"
#include "kernels/cpu/simd/simd_kernels.h"

namespace bsq {

std::unique_ptr<Backend> make_cpu_backend(const BackendOptions& options);

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(const BackendOptions& options);

  std::string name() const override { return "cpu"; }
  std::string describe() const override;
  std::vector<EngineNote> engines() const override { return convolutions_.engines(); }
  bool supports(Precision precision, std::string& why) const override;

  void* allocate(std::size_t size_bytes) override;
  void release(void* data) noexcept override;
  void upload(void* device, const void* host, std::size_t size_bytes) override;
  void download(void* host, const void* device, std::size_t size_bytes) override;
  void copy(void* to, const void* from, std::size_t size_bytes) override;
  void fill_zero(void* device, std::size_t size_bytes) override;
  void synchronize() override {}
  std::unique_ptr<CapturedWork> capture(std::function<void()> enqueue) override;

  // The operations, one file per family: here, or in simd/ if they are loops for vector instructions.
#define BSQ_OPERATION(family, name, Args) void name(const Args& args) override;
#define BSQ_SCRATCH(family, name, Of) std::size_t name(const Of& of) override;
#include "kernels/ops/operations.def"

 private:
  int threads_;
  SimdKernels simd_;
  ConvolutionCache convolutions_;
};

}  // namespace bsq
