// Contents of test tensors: Philox, keyed by a name, so that every test sees the same numbers on every machine.
#pragma once

#include "kernels/base/hash.h"
#include "kernels/random.h"

#include <cmath>
#include <cstdint>
#include <numbers>
#include <string_view>
#include <vector>

namespace bsq::test {

class RandomTensors {
 public:
  explicit RandomTensors(std::string_view name) : key_(hash_of(name)) {}

  std::vector<float> uniform(std::int64_t count, float low, float high) {
    return make<float>(count,
                       [&](const PhiloxCounter& bits) { return low + (high - low) * uniform_from_bits(bits[0]); });
  }
  std::vector<float> normal(std::int64_t count, float mean, float deviation) {
    return make<float>(count, [&](const PhiloxCounter& bits) {  // Box-Muller
      const double radius = std::sqrt(-2 * std::log(1.0 - uniform_from_bits(bits[0])));
      return static_cast<float>(mean +
                                deviation * radius * std::cos(2 * std::numbers::pi * uniform_from_bits(bits[1])));
    });
  }
  /// Uniform in 0 .. bound - 1.
  template <typename T = std::int32_t>
  std::vector<T> integers(std::int64_t count, std::uint32_t bound) {
    return make<T>(count, [&](const PhiloxCounter& bits) { return static_cast<T>(bounded_from_bits(bits[0], bound)); });
  }

 private:
  template <typename T, typename Draw>
  std::vector<T> make(std::int64_t count, Draw&& draw) {
    std::vector<T> values(static_cast<std::size_t>(count));
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = draw(philox4x32({static_cast<std::uint32_t>(i), tensor_, 0, 0}, key_));
    }
    ++tensor_;
    return values;
  }

  std::uint64_t key_;
  std::uint32_t tensor_ = 0;  // each call draws from a sequence of its own
};

}  // namespace bsq::test
