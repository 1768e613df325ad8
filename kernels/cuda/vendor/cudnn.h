// cuDNN's graph interface, as far as a convolution needs it: handles and descriptors that free themselves, and devices
// to plan for. A handle is for one thread at a time.
#pragma once

#include "kernels/ops/convolution.h"

#include <cudnn.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
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

/// "9.19.0": the version of the library that is loaded.
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
  /// At most `most` values of an attribute; none if it is not set.
  template <typename T>
  std::vector<T> get(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t most) const {
    std::vector<T> values(static_cast<std::size_t>(most));
    std::int64_t count = 0;
    if (cudnnBackendGetAttribute(descriptor_, name, type, most, &count, values.data()) != CUDNN_STATUS_SUCCESS)
      count = 0;
    values.resize(static_cast<std::size_t>(std::min(count, most)));
    return values;
  }
  /// Finalizes the descriptor: success means that cuDNN supports it.
  cudnnStatus_t try_finalize();
  void finalize();

 private:
  cudnnBackendDescriptor_t descriptor_ = nullptr;
};

/// The device that plans are made for.
class CudnnTarget {
 public:
  /// The device of a handle: its plans can be run.
  explicit CudnnTarget(std::shared_ptr<const CudnnHandle> handle) : handle_(std::move(handle)) {}
  /// A device that need not be there, by its properties in cuDNN's own JSON
  /// (CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION).
  explicit CudnnTarget(const std::string& properties_json);

  bool is_there() const { return handle_ != nullptr; }
  /// Null if the device is not there.
  const std::shared_ptr<const CudnnHandle>& handle() const { return handle_; }
  void set_on_graph(CudnnDescriptor& graph) const;
  void set_on_heuristics(CudnnDescriptor& heuristics) const;
  void set_on_plan(CudnnDescriptor& plan) const;

 private:
  std::shared_ptr<const CudnnHandle> handle_;
  std::shared_ptr<const CudnnDescriptor> properties_;
};

}  // namespace bsq::cuda

#define BSQ_CUDNN_CHECK(...)                                                       \
  do {                                                                             \
    const cudnnStatus_t bsq_cudnn_status = (__VA_ARGS__);                          \
    if (bsq_cudnn_status != CUDNN_STATUS_SUCCESS)                                  \
      ::bsq::cuda::fail_cudnn(bsq_cudnn_status, #__VA_ARGS__, __FILE__, __LINE__); \
  } while (false)
