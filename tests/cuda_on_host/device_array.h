// Device memory for tests of kernels that have no operator around them: one allocation of the very size, so that
// AddressSanitizer sees the first byte past its end.
#pragma once

#include "kernels/cuda/check.h"

#include <cstddef>
#include <vector>

namespace bsq::test {

template <typename T>
class DeviceArray {
 public:
  /// Holds whatever fresh memory holds.
  explicit DeviceArray(std::size_t size) : size_(size) {
    void* data = nullptr;
    BSQ_CUDA_CHECK(cudaMalloc(&data, size * sizeof(T)));
    data_ = static_cast<T*>(data);
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) {
    BSQ_CUDA_CHECK(cudaMemcpyAsync(data_, values.data(), size_ * sizeof(T), cudaMemcpyHostToDevice, nullptr));
  }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  ~DeviceArray() { cudaFree(data_); }

  T* data() const { return data_; }
  std::vector<T> get() const {
    std::vector<T> values(size_);
    BSQ_CUDA_CHECK(cudaMemcpyAsync(values.data(), data_, size_ * sizeof(T), cudaMemcpyDeviceToHost, nullptr));
    BSQ_CUDA_CHECK(cudaStreamSynchronize(nullptr));
    return values;
  }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace bsq::test
