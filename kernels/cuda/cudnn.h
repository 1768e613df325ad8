// cuDNN's graph interface, as far as a convolution needs it: handles that free themselves, and a plan for one
// operation.
#pragma once

#include "kernels/types.h"

#include <cudnn.h>

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace bsq::cuda {

/// As fail_library().
[[noreturn]] void fail_cudnn(cudnnStatus_t status, const char* call, const char* file, int line);

class CudnnHandle {
 public:
  explicit CudnnHandle(cudaStream_t stream);
  CudnnHandle(const CudnnHandle&) = delete;
  CudnnHandle& operator=(const CudnnHandle&) = delete;
  ~CudnnHandle();
  cudnnHandle_t get() const { return handle_; }

 private:
  cudnnHandle_t handle_ = nullptr;
};

/// "9.19.0", of the library that is loaded.
std::string cudnn_version();

class CudnnDescriptor {
 public:
  explicit CudnnDescriptor(cudnnBackendDescriptorType_t type);
  CudnnDescriptor(CudnnDescriptor&& other) noexcept;
  CudnnDescriptor& operator=(CudnnDescriptor&& other) noexcept;
  ~CudnnDescriptor();
  cudnnBackendDescriptor_t get() const { return descriptor_; }

  void set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count, const void* values);
  void set(cudnnBackendAttributeName_t name, const CudnnDescriptor& value);
  void set(cudnnBackendAttributeName_t name, const std::vector<std::int64_t>& values);
  /// Whether it succeeds tells whether cuDNN supports it.
  cudnnStatus_t try_finalize();
  void finalize();

 private:
  cudnnBackendDescriptor_t descriptor_ = nullptr;
};

/// For what device plans are made.
class CudnnTarget {
 public:
  /// The handle's, whose plans can be run. Must outlive the target.
  explicit CudnnTarget(const CudnnHandle& handle) : handle_(handle.get()) {}
  /// One that need not be there: its properties in cuDNN's own JSON (CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION).
  explicit CudnnTarget(const std::string& properties_json);

  bool is_there() const { return handle_ != nullptr; }
  void set_on_graph(CudnnDescriptor& graph) const;
  void set_on_engine(CudnnDescriptor& engine) const;
  void set_on_heuristics(CudnnDescriptor& heuristics) const;
  void set_on_plan(CudnnDescriptor& plan) const;

 private:
  cudnnHandle_t handle_ = nullptr;
  std::optional<CudnnDescriptor> properties_;
};

struct ConvolutionPlanOptions {
  bool allow_tf32 = false;
  std::size_t most_workspace_bytes = 0;
};

/// One pass of a convolution with a deterministic engine, the first that cuDNN's heuristics name and that runs here.
class ConvolutionPlan {
 public:
  /// None where no engine fits. The pass backward_weight writes float32.
  static std::optional<ConvolutionPlan> find(const CudnnTarget& target, const ConvGeometry& geometry, ConvPass pass,
                                             const ConvolutionPlanOptions& options);

  std::size_t workspace_bytes() const { return workspace_bytes_; }
  /// input: x or dx; weight: w or dw; output: y or dy.
  void run(const CudnnHandle& handle, const void* input, const void* weight, const void* output, void* workspace) const;

 private:
  ConvolutionPlan() : plan_(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR) {}
  bool try_engine(const CudnnTarget& target, const CudnnDescriptor& config, const ConvolutionPlanOptions& options,
                  DType dtype);

  CudnnDescriptor plan_;
  std::size_t workspace_bytes_ = 0;
};

}  // namespace bsq::cuda

#define BSQ_CUDNN_CHECK(...)                                                       \
  do {                                                                             \
    const cudnnStatus_t bsq_cudnn_status = (__VA_ARGS__);                          \
    if (bsq_cudnn_status != CUDNN_STATUS_SUCCESS)                                  \
      ::bsq::cuda::fail_cudnn(bsq_cudnn_status, #__VA_ARGS__, __FILE__, __LINE__); \
  } while (false)
