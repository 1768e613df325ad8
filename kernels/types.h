// The vocabulary every floor shares: element types, shapes, non-owning views, and the small structs an operation takes.
//
// Layouts: activations are NHWC, filters OHWI, both dense. PyTorch's NCHW / OIHW exists only in files.
// No vendor type and no fmt in here: CUDA sources include this header.
#pragma once

#include <array>
#include <compare>
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

/// What convolutions multiply; they always accumulate in float32. tf32: float32 operands of which the multiplication
/// sees 11 significant bits.
enum class Precision : std::uint8_t { fp32, tf32, bf16 };

constexpr const char* name_of(Precision precision) {
  constexpr const char* names[] = {"fp32", "tf32", "bf16"};
  return names[static_cast<int>(precision)];
}

/// Of activations and filters in memory.
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

/// What a stored 1 is worth: the product of two numbers in device memory, each 1 where null. Integer levels are stored
/// as such, so that convolutions of them are exact; gradients are those with respect to what is stored. METHOD 9.
struct TensorUnit {
  float* activation = nullptr;    // S / (2^k - 1) of the activations that a tensor holds, or was computed from
  const float* weight = nullptr;  // s / (2^n - 1) of the weights, likewise

  /// For code that runs where the numbers are.
  constexpr float value() const {
    return (activation == nullptr ? 1.0F : *activation) * (weight == nullptr ? 1.0F : *weight);
  }
};

/// Non-owning, trivially copied. Owners are bsq::Buffer (engine/buffer.h).
struct TensorView {
  DType dtype = DType::f32;
  Shape shape;
  void* data = nullptr;
  TensorUnit unit = {};

  template <typename T>
  T* as() const {
    return static_cast<T*>(data);
  }
  std::size_t size_bytes() const { return static_cast<std::size_t>(shape.numel()) * size_of(dtype); }
};

/// Whether a gradient replaces what its buffer holds or is added to it.
enum class GradMode : std::uint8_t { overwrite, accumulate };

/// A 2-D convolution with square filters and equal stride and padding on both axes.
struct ConvGeometry {
  int batch = 0;
  int height = 0;
  int width = 0;
  int in_channels = 0;
  int out_channels = 0;
  int kernel = 3;
  int stride = 1;
  int padding = 1;
  DType dtype = DType::f32;  // of input, weights, output and gradients; d_weight is float32 always

  constexpr int out_height() const { return (height + 2 * padding - kernel) / stride + 1; }
  constexpr int out_width() const { return (width + 2 * padding - kernel) / stride + 1; }
  constexpr Shape input_shape() const { return {batch, height, width, in_channels}; }
  constexpr Shape output_shape() const { return {batch, out_height(), out_width(), out_channels}; }
  constexpr Shape weight_shape() const { return {out_channels, kernel, kernel, in_channels}; }
  /// Multiply-adds count two; padding counts.
  constexpr double flops() const {
    return 2.0 * static_cast<double>(output_shape().numel()) * kernel * kernel * in_channels;
  }
  friend constexpr auto operator<=>(const ConvGeometry&, const ConvGeometry&) = default;
};

/// The passes of a convolution: the output, the gradient of the input, the gradient of the weights.
enum class ConvPass : std::uint8_t { forward, backward_data, backward_weight };

constexpr const char* name_of(ConvPass pass) {
  constexpr const char* names[] = {"forward", "backward data", "backward weight"};
  return names[static_cast<int>(pass)];
}

/// A set of them.
struct ConvPasses {
  bool forward = true;
  bool backward_data = true;
  bool backward_weight = true;

  constexpr bool contains(ConvPass pass) const {
    return pass == ConvPass::forward ? forward : pass == ConvPass::backward_data ? backward_data : backward_weight;
  }
};

constexpr ConvPasses kAllPasses{};
constexpr ConvPasses kForwardPass{true, false, false};

/// A convolution that will be run, for what has to be planned before.
struct ConvRequest {
  ConvGeometry geometry;
  ConvPasses passes;
  bool runs_often = false;  // at every step of a training: seconds of planning are well spent
};

enum class Activation : std::uint8_t { none, relu, relu6, pact };

constexpr const char* name_of(Activation activation) {
  constexpr const char* names[] = {"none", "relu", "relu6", "pact"};
  return names[static_cast<int>(activation)];
}

/// Rows are pixels (N*H*W), columns channels: all that batch norm needs to know of an NHWC tensor.
struct NormActGeometry {
  std::int64_t rows = 0;
  int channels = 0;
  DType dtype = DType::f32;
};

struct NormActRule {
  Activation activation = Activation::relu;
  int act_bits = 0;              // 0: activations are not quantized
  bool batch_statistics = true;  // false: running statistics, which stay as they are (evaluation)
  float epsilon = 1e-5F;
  float momentum = 0.1F;  // PyTorch's convention: running += momentum * (batch - running), variance unbiased
};

struct NormParameters {
  const float* gamma = nullptr;   // [C]
  const float* beta = nullptr;    // [C]
  float* running_mean = nullptr;  // [C], updated by a forward pass with batch statistics
  float* running_var = nullptr;   // [C], likewise
  const float* clip = nullptr;    // [1], PACT's learned ceiling; null for every other activation
};

/// What forward leaves for backward.
struct NormSaved {
  float* mean = nullptr;       // [C], of the statistics used
  float* inv_std = nullptr;    // [C], 1 / sqrt(var + epsilon)
  float* act_scale = nullptr;  // [1], max|y| before quantization; written only where act_bits > 0
};

struct NormGradients {
  float* d_gamma = nullptr;  // [C], overwritten
  float* d_beta = nullptr;   // [C], overwritten
  float* d_clip = nullptr;   // [1], overwritten; null unless PACT
};

struct PoolGeometry {
  int batch = 0;
  int pixels = 0;  // H * W, all averaged into one
  int channels = 0;
  DType dtype = DType::f32;  // of the input and its gradient; the pooled side is float32
};

struct LinearGeometry {
  int batch = 0;
  int in_features = 0;
  int out_features = 0;
};

/// What changes from step to step. Lives in device memory, so that a captured step can be replayed.
struct StepInputs {
  float learning_rate = 0;
  std::int32_t epoch = 0;  // counts from 0 within the stage; keys the augmentation together with `augment_stream`
  std::int64_t first_sample = 0;  // where this batch starts in the epoch's order
  std::int64_t metrics_slot = 0;  // which StepMetrics this step writes
};

/// What the quantized weights of a tensor are made of.
struct WeightCounts {
  std::int64_t zeros = 0;              // effective weights that are 0
  std::int64_t nans = 0;               // weights without a level
  std::array<std::int64_t, 8> ones{};  // of each plane, the most significant first; 0 beyond the tensor's bits
  friend bool operator==(const WeightCounts&, const WeightCounts&) = default;
};

/// What one step leaves behind; sums, not means, so that batches and ranks add up exactly.
struct StepMetrics {
  double loss_sum = 0;  // cross entropy, summed over the samples
  double penalty = 0;   // R of METHOD 2 (the group penalty, without alpha)
  std::int64_t top1 = 0;
  std::int64_t top5 = 0;
  std::int64_t samples = 0;
};

/// Crop, flip and normalise (uint8 -> (x / 255 - mean) / std, zero padding before normalisation).
struct AugmentRule {
  int height = 0;
  int width = 0;
  int channels = 3;
  int crop_padding = 0;         // 0: no random crop
  bool random_flip = false;     // horizontal, p = 1/2
  std::array<float, 3> mean{};  // per channel
  std::array<float, 3> std{};   // per channel
  std::uint64_t seed = 0;       // Philox key
  std::uint32_t stream = 0;     // Philox stream, see random.h
};

/// Images a device can see, and the order they are visited in.
struct SampleSource {
  const std::uint8_t* images = nullptr;  // [M, H, W, 3]
  const std::int32_t* labels = nullptr;  // [M]
  const std::int32_t* order = nullptr;   // sample indices of the epoch; a batch is order[first_sample ...]
};

/// SGD with momentum as in PyTorch: v = momentum v + g + weight_decay x; x -= learning_rate v.
struct SgdRule {
  float momentum = 0.9F;
  float weight_decay = 1e-4F;
};

/// How effective weights are stored: as they are, or as the integers q (2^n - 1) that a unit multiplies.
enum class WeightStorage : std::uint8_t { values, integers, integers_bf16 };

/// One quantized tensor inside the arena of bit planes. Plane b of p starts at plane_offset + b * numel, plane b of n
/// at plane_offset + (bits + b) * numel; b = 0 is the most significant. The momentum arena has the same layout.
struct PlaneTensor {
  std::int64_t numel = 0;
  std::int64_t plane_offset = 0;                  // floats
  std::int64_t weight_offset = 0;                 // floats, in the effective weights and in d_weight
  std::int32_t bits = 0;                          // 1..8
  WeightStorage storage = WeightStorage::values;  // integers_bf16: at the same place in bytes
  std::int32_t first_plane = 0;                   // index of plane 0 in plane_norms
  float penalty_weight = 0;                       // numel * bits / P of the group penalty
};

/// One tensor of fixed-point weights: u at weight_offset of its arena, of the effective weights and of d_weight.
struct FixedTensor {
  std::int64_t numel = 0;
  std::int64_t weight_offset = 0;
  std::int32_t bits = 0;  // 0: the tensor is zero and stays zero
  WeightStorage storage = WeightStorage::values;
};

/// A table both sides can read: `host` for sizes, `device` for kernels. The same memory on the CPU.
template <typename T>
struct DeviceTable {
  std::span<const T> host;
  const T* device = nullptr;
};

}  // namespace bsq
