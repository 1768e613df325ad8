// Atomics on integers, loads, bits and the float functions that CUDA has and libm has not.
//
// There are no atomics on floats, on purpose: their sums depend on the order of the threads.
#pragma once

#include "tests/cuda_on_host/emulator/scheduler.h"

#include <atomic>
#include <bit>
#include <cmath>
#include <concepts>
#include <type_traits>

namespace bsq::cuda_on_host {

/// Relaxed, as on the device: an atomic orders nothing but itself, unless there are fences.
template <std::integral T, typename Update>
T update_atomically(T* address, Update update) {
  note_atomic(address);
  const std::atomic_ref<T> value(*address);
  T before = value.load(std::memory_order_relaxed);
  while (!value.compare_exchange_weak(before, update(before), std::memory_order_relaxed)) {
  }
  return before;
}

}  // namespace bsq::cuda_on_host

template <std::integral T>
T atomicAdd(T* address, std::type_identity_t<T> value) {
  return bsq::cuda_on_host::update_atomically(address, [value](T before) { return static_cast<T>(before + value); });
}
template <std::integral T>
T atomicMax(T* address, std::type_identity_t<T> value) {
  return bsq::cuda_on_host::update_atomically(address, [value](T before) { return before < value ? value : before; });
}
/// Counts 0 .. last and then from 0 again.
inline unsigned atomicInc(unsigned* address, unsigned last) {
  return bsq::cuda_on_host::update_atomically(address, [last](unsigned n) { return n >= last ? 0U : n + 1; });
}

template <typename T>
T __ldg(const T* address) {
  return *address;
}

inline int __popc(unsigned value) {
  return std::popcount(value);
}
inline int __clz(int value) {
  return std::countl_zero(static_cast<unsigned>(value));
}
/// The position of the lowest bit, from 1; 0 where there is none.
inline int __ffs(int value) {
  return value == 0 ? 0 : std::countr_zero(static_cast<unsigned>(value)) + 1;
}
inline unsigned __float_as_uint(float value) {
  return std::bit_cast<unsigned>(value);
}
inline int __float_as_int(float value) {
  return std::bit_cast<int>(value);
}
inline float __uint_as_float(unsigned bits) {
  return std::bit_cast<float>(bits);
}
inline float __int_as_float(int bits) {
  return std::bit_cast<float>(bits);
}

/// Half to even.
inline int __float2int_rn(float value) {
  return static_cast<int>(std::nearbyint(value));
}
/// These are never contracted into a fused multiply-add.
inline float __fmul_rn(float a, float b) {
  return a * b;
}
inline float __fdiv_rn(float a, float b) {
  return a / b;
}
inline float __fadd_rn(float a, float b) {
  return a + b;
}
inline double __dmul_rn(double a, double b) {
  return a * b;
}
inline double __dadd_rn(double a, double b) {
  return a + b;
}
inline float rsqrtf(float value) {
  return 1.0F / std::sqrt(value);
}

template <std::integral T>
constexpr T min(T a, T b) {
  return b < a ? b : a;
}
template <std::integral T>
constexpr T max(T a, T b) {
  return a < b ? b : a;
}
