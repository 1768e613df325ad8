// Handles, descriptors and targets.
#include "kernels/cuda/vendor/cudnn.h"

#include "kernels/base/error.h"
#include "kernels/cuda/check.h"

#include <utility>

namespace bsq::cuda {

void fail_cudnn(cudnnStatus_t status, const char* call, const char* file, int line) {
  const bool is_out_of_memory = status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED ||
                                status == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
  fail_library(cudnnGetErrorString(status), is_out_of_memory, call, file, line);
}

CudnnHandle::CudnnHandle(cudaStream_t stream) {
  BSQ_CUDNN_CHECK(cudnnCreate(&handle_));
  const cudnnStatus_t status = cudnnSetStream(handle_, stream);
  if (status == CUDNN_STATUS_SUCCESS) return;
  cudnnDestroy(handle_);
  BSQ_CUDNN_CHECK(status);
}

CudnnHandle::~CudnnHandle() {
  cudnnDestroy(handle_);
}

std::string cudnn_version() {
  constexpr std::size_t major = 10000;
  constexpr std::size_t minor = 100;
  const std::size_t version = cudnnGetVersion();
  return fmt::format("{}.{}.{}", version / major, version % major / minor, version % minor);
}

// ---- descriptors ----------------------------------------------------------------------------------------------------

CudnnDescriptor::CudnnDescriptor(cudnnBackendDescriptorType_t type) {
  BSQ_CUDNN_CHECK(cudnnBackendCreateDescriptor(type, &descriptor_));
}

CudnnDescriptor::CudnnDescriptor(CudnnDescriptor&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, nullptr)) {}

CudnnDescriptor& CudnnDescriptor::operator=(CudnnDescriptor&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

CudnnDescriptor::~CudnnDescriptor() {
  if (descriptor_ != nullptr) cudnnBackendDestroyDescriptor(descriptor_);
}

void CudnnDescriptor::set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count,
                          const void* values) {
  BSQ_CUDNN_CHECK(cudnnBackendSetAttribute(descriptor_, name, type, count, values));
}

void CudnnDescriptor::set(cudnnBackendAttributeName_t name, const CudnnDescriptor& value) {
  const cudnnBackendDescriptor_t raw = value.get();
  set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &raw);
}

void CudnnDescriptor::set(cudnnBackendAttributeName_t name, const std::vector<std::int64_t>& values) {
  set(name, CUDNN_TYPE_INT64, static_cast<std::int64_t>(values.size()), values.data());
}

cudnnStatus_t CudnnDescriptor::try_finalize() {
  return cudnnBackendFinalize(descriptor_);
}

void CudnnDescriptor::finalize() {
  BSQ_CUDNN_CHECK(cudnnBackendFinalize(descriptor_));
}

// ---- targets --------------------------------------------------------------------------------------------------------

CudnnTarget::CudnnTarget(const std::string& properties_json) {
  CudnnDescriptor properties(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
  properties.set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, std::ssize(properties_json),
                 properties_json.data());
  properties.finalize();
  properties_ = std::make_shared<const CudnnDescriptor>(std::move(properties));
}

void CudnnTarget::set_on_graph(CudnnDescriptor& graph) const {
  if (!is_there()) return;
  const cudnnHandle_t handle = handle_->get();
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
}

void CudnnTarget::set_on_heuristics(CudnnDescriptor& heuristics) const {
  if (!is_there()) heuristics.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, *properties_);
}

void CudnnTarget::set_on_plan(CudnnDescriptor& plan) const {
  if (!is_there()) return plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, *properties_);
  const cudnnHandle_t handle = handle_->get();
  plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle);
}

}  // namespace bsq::cuda
