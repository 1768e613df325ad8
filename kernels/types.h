// The vocabulary every floor shares: element types, shapes, non-owning views, and what operations of several families
// take. What one family takes is in its header of kernels/ops/.
//
// Layouts: activations are NHWC, filters OHWI, both dense. PyTorch's NCHW / OIHW exists only in files.
// No vendor type and no fmt in here: CUDA sources include this header.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>

namespace bsq {

enum class DType : std::uint8_t { f32, bf16, u8, i32, i64, f64 };

constexpr std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::u8: return 1;
    case DType::bf16: return 2;
    case DType::f32:
    case DType::i32: return 4;
    case DType::i64:
    case DType::f64: return 8;
  }
  return 0;
}

constexpr const char* name_of(DType dtype) {
  constexpr const char* names[] = {"f32", "bf16", "u8", "i32", "i64", "f64"};
  return names[static_cast<int>(dtype)];
}

/// The numbers that convolutions multiply; sums are float32 always. tf32: float32 operands of which the multiplication
/// sees 11 significant bits.
enum class Precision : std::uint8_t { fp32, tf32, bf16 };

constexpr const char* name_of(Precision precision) {
  constexpr const char* names[] = {"fp32", "tf32", "bf16"};
  return names[static_cast<int>(precision)];
}

/// The type of activations and filters in memory.
constexpr DType dtype_of(Precision precision) {
  return precision == Precision::bf16 ? DType::bf16 : DType::f32;
}

/// Up to four dimensions, outermost first; a scalar has none.
struct Shape {
  std::array<std::int64_t, 4> dims{};
  int rank = 0;

  constexpr Shape() = default;
  constexpr Shape(std::initializer_list<std::int64_t> sizes) {
    for (const std::int64_t size : sizes) dims[static_cast<std::size_t>(rank++)] = size;
  }
  constexpr std::int64_t operator[](int axis) const { return dims[static_cast<std::size_t>(axis)]; }
  constexpr std::int64_t& operator[](int axis) { return dims[static_cast<std::size_t>(axis)]; }
  constexpr std::int64_t numel() const {
    std::int64_t count = 1;
    for (int axis = 0; axis < rank; ++axis) count *= dims[static_cast<std::size_t>(axis)];
    return count;
  }
  friend constexpr bool operator==(const Shape&, const Shape&) = default;
};

/// What a stored 1 is worth: the product of two numbers in device memory; a null pointer counts as 1. Integer levels
/// are stored as such, so that convolutions of them are exact; gradients are with respect to what is stored. METHOD 9.
struct TensorUnit {
  float* activation = nullptr;    // S / (2^k - 1) of the activations that a tensor holds, or was computed from
  const float* weight = nullptr;  // s / (2^n - 1) of the weights, likewise

  /// For code that runs on the device which has the numbers.
  constexpr float value() const {
    return (activation == nullptr ? 1.0F : *activation) * (weight == nullptr ? 1.0F : *weight);
  }
};

/// Non-owning, trivially copied. Owners are bsq::Buffer (engine/memory/device_memory.h).
struct TensorView {
  DType dtype = DType::f32;
  Shape shape;
  void* data = nullptr;
  TensorUnit unit = {};
  std::int64_t pitch = 0;  // numbers from one pixel to the next: a part of wider pixels; 0: the channels

  template <typename T>
  T* as() const {
    return static_cast<T*>(data);
  }
  std::size_t size_bytes() const { return static_cast<std::size_t>(shape.numel()) * size_of(dtype); }
};

/// Whether a gradient replaces what its buffer holds or is added to it.
enum class GradMode : std::uint8_t { overwrite, accumulate };

/// How a step mixes its images with those of its batch in reverse (kernels/ops/mixing.h).
struct BatchMix {
  float weight = 1;       // of an image's own label, and of its pixels if no box is cut
  std::int32_t cuts = 0;  // 1: the pixels of the box are the other image's, and all others its own
  std::int32_t top = 0;
  std::int32_t left = 0;
  std::int32_t height = 0;
  std::int32_t width = 0;
};

/// What changes from step to step. Lives in device memory, so that a captured step can be replayed.
struct StepInputs {
  float learning_rate = 0;
  std::int32_t epoch = 0;  // counts from 0 within the stage; keys augmentation and dropout together with their streams
  std::int64_t first_sample = 0;  // where this batch starts in the epoch's order
  std::int64_t metrics_slot = 0;  // which StepMetrics this step writes
  std::array<float, 4> method{};  // numbers of the method that change by epoch; 0 if it has fewer
  BatchMix mix = {};              // of a step that mixes its images
};

/// What one step leaves behind; sums, not means, so that batches and ranks add up exactly.
struct StepMetrics {
  double loss_sum = 0;  // cross entropy, summed over the samples
  double penalty = 0;   // R of METHOD 2 (the group penalty, without alpha)
  std::int64_t top1 = 0;
  std::int64_t top5 = 0;
  std::int64_t samples = 0;
};

/// The most bits that a quantized weight has.
inline constexpr int kMaxBits = 8;

/// How effective weights are stored: as they are, or as the integers q (2^n - 1) that a unit multiplies.
enum class WeightStorage : std::uint8_t { values, integers, integers_bf16 };

/// A table that host and device can read: `host` for sizes, `device` for kernels. On the CPU both are the same memory.
template <typename T>
struct DeviceTable {
  std::span<const T> host;
  const T* device = nullptr;
};

}  // namespace bsq
