// Device memory of one benchmark, filled with what an operator may meet: no zeros, no denormals, no NaN.
#pragma once

#include "engine/memory/device_memory.h"
#include "kernels/backend.h"
#include "kernels/bf16.h"

#include <algorithm>
#include <list>
#include <random>
#include <vector>

namespace bsq::bench {

class Arguments {
 public:
  explicit Arguments(Backend& backend) : backend_(backend) {}

  void* scratch(std::size_t size_bytes) { return buffers_.emplace_back(backend_, std::max(size_bytes, 64UL)).data(); }
  template <typename T>
  T* array(const std::vector<T>& values) {
    T* data = static_cast<T*>(scratch(values.size() * sizeof(T)));
    upload_array(backend_, data, values);
    return data;
  }
  float* uniform(std::int64_t count, float low = -1, float high = 1) {
    return repeated(host_uniform(std::min(count, kPeriod), low, high), count);
  }
  void* uniform(DType dtype, const Shape& shape) {
    if (dtype == DType::f32) return uniform(shape.numel());
    const std::vector<float> values = host_uniform(std::min(shape.numel(), kPeriod), -1, 1);
    std::vector<bfloat16> rounded(values.size());
    std::ranges::transform(values, rounded.begin(), to_bfloat16);
    return repeated(rounded, shape.numel());
  }
  std::uint8_t* bytes(std::int64_t count) {
    std::vector<std::uint8_t> values(static_cast<std::size_t>(std::min(count, kPeriod)));
    for (auto& value : values) value = static_cast<std::uint8_t>(std::uniform_int_distribution(1, 127)(random_));
    return repeated(values, count);
  }
  std::int32_t* below(int limit, int count) {
    std::vector<std::int32_t> values(static_cast<std::size_t>(count));
    for (auto& value : values) value = std::uniform_int_distribution(0, limit - 1)(random_);
    return array(values);
  }
  /// A learning rate of 0 costs the same and keeps every call alike.
  const StepInputs* step_inputs(const StepInputs& inputs = {}) { return array(std::vector<StepInputs>{inputs}); }
  StepMetrics* metrics() { return array(std::vector<StepMetrics>(1)); }

 private:
  static constexpr std::int64_t kPeriod = 1'048'573;  // a prime: no row of a tensor is like another

  /// `values` again and again, `count` in all.
  template <typename T>
  T* repeated(const std::vector<T>& values, std::int64_t count) {
    T* data = static_cast<T*>(scratch(static_cast<std::size_t>(count) * sizeof(T)));
    const std::int64_t period = std::ssize(values);
    for (std::int64_t at = 0; at < count; at += period)
      backend_.upload(data + at, values.data(), static_cast<std::size_t>(std::min(period, count - at)) * sizeof(T));
    backend_.synchronize();  // `values` ends here
    return data;
  }
  std::vector<float> host_uniform(std::int64_t count, float low, float high) {
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) value = std::uniform_real_distribution(low, high)(random_);
    return values;
  }

  Backend& backend_;
  std::list<Buffer> buffers_;
  std::minstd_rand random_{1};
};

}  // namespace bsq::bench
