// The CUDA backend: own kernels, and DenseMath for convolutions and matrix products, on one stream.
#pragma once

#include "kernels/backend.h"
#include "kernels/cuda/device_memory.h"
#include "kernels/cuda/ops/launchers.h"
#include "kernels/cuda/stream.h"
#include "kernels/cuda/vendor/dense_math.h"

#include <cuda_runtime_api.h>

namespace bsq::cuda {

class CudaBackend final : public Backend {
 public:
  using MathFactory = std::function<std::unique_ptr<DenseMath>(cudaStream_t)>;

  /// Makes `device` the current one. Throws Error(device) if it cannot be used.
  CudaBackend(int device, const MathFactory& make_math);

  std::string name() const override { return "cuda"; }
  std::string describe() const override;
  std::size_t memory_bytes() const override;
  std::vector<std::string> notes() const override;
  std::vector<EngineNote> engines() const override { return math_->engines(); }
  /// All precisions.
  bool supports(Precision precision, std::string& why) const override;
  /// Connects the ranks by NCCL.
  std::unique_ptr<Communicator> connect(Communicator& ranks) override;

  void* allocate(std::size_t size_bytes) override;
  void release(void* data) noexcept override;
  void upload(void* device, const void* host, std::size_t size_bytes) override;
  void download(void* host, const void* device, std::size_t size_bytes) override;
  std::unique_ptr<Marker> marker() override;
  void download_after(const Marker& marker, void* host, const void* device, std::size_t size_bytes) override;
  void download_aside(const Marker* marker, void* host, const void* device, std::size_t size_bytes) override;
  /// Page-locked, so that a copy is the device's own work.
  void* allocate_host(std::size_t size_bytes) override;
  void release_host(void* data) noexcept override;
  std::unique_ptr<Marker> upload_aside(const Marker* after, void* device, const void* host,
                                       std::size_t size_bytes) override;
  void wait(const Marker& marker) override;
  void copy(void* to, const void* from, std::size_t size_bytes) override;
  void fill_zero(void* device, std::size_t size_bytes) override;
  void synchronize() override;
  /// Records a CUDA graph, which does not run before its first replay.
  std::unique_ptr<CapturedWork> capture(std::function<void()> enqueue) override;
  double device_seconds(const std::function<void()>& enqueue) override;

  /// NVTX ranges.
  void begin_range(const char* name) override;
  void end_range() noexcept override;

  void plan_convolutions(std::span<const ConvRequest> requests) override { math_->plan_convolutions(requests); }
  void plan_linear(const LinearGeometry& geometry, bool backward) override;

  int gradient_parts(const ConvGeometry& geometry) override { return math_->gradient_parts(geometry); }
  void sum_gradient_parts(std::span<const GradientParts> gradients) override {
    cuda::sum_gradient_parts(gradients, stream_.get());
  }

  // The operations, one file per family in ops/.
#define BSQ_OPERATION(family, name, Args) void name(const Args& args) override;
#define BSQ_SCRATCH(family, name, Of) std::size_t name(const Of& of) override;
#include "kernels/ops/operations.def"

 private:
  int compute_capability() const {
    return properties_.major * 10 + properties_.minor;
  }
  DeviceContext context() const;

  int device_;
  cudaDeviceProp properties_;
  Stream stream_;
  Stream copies_;   // for download_after, beside the work
  Stream aside_;    // for download_aside, beside both
  Stream uploads_;  // for upload_aside
  std::unique_ptr<DenseMath> math_;
  DeviceMemory counters_;           // of the grid memory
  DeviceMemory sums_;               // likewise
  std::vector<std::string> notes_;  // of the backend itself
};

}  // namespace bsq::cuda
