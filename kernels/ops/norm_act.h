// Batch norm + shortcut + activation + quantizer (METHOD 6).
#pragma once

#include "kernels/types.h"

namespace bsq {

class BatchSlice;
struct ConvGeometry;

enum class Activation : std::uint8_t { none, relu, relu6, pact, lsq };

constexpr const char* name_of(Activation activation) {
  constexpr const char* names[] = {"none", "relu", "relu6", "pact", "lsq"};
  return names[static_cast<int>(activation)];
}

inline constexpr Activation kActivations[] = {Activation::none, Activation::relu, Activation::relu6, Activation::pact,
                                              Activation::lsq};

/// Whether the ceiling is a parameter.
constexpr bool learns_ceiling(Activation activation) {
  return activation == Activation::pact || activation == Activation::lsq;
}

/// Rows are pixels (N*H*W), columns channels: all that batch norm needs to know of an NHWC tensor.
/// norm_act_scratch_bytes: of forward and backward, whatever x_pitch and the rule.
struct NormActGeometry {
  std::int64_t rows = 0;
  int channels = 0;
  DType dtype = DType::f32;
  int x_pitch = 0;  // numbers from one row of x, and of d_x, to the next: a part of wider rows; 0: channels

  constexpr int pitch() const { return x_pitch == 0 ? channels : x_pitch; }
};

struct NormActRule {
  Activation activation = Activation::relu;
  int act_bits = 0;              // 0: activations are not quantized
  bool batch_statistics = true;  // false: running statistics, which stay as they are (evaluation)
  float epsilon = 1e-5F;
  float momentum = 0.1F;  // PyTorch's convention: running += momentum * (batch - running), variance unbiased
  bool normalize = true;  // false: a bias in place of the norm, z = x + beta [+ shortcut]
  float clip_gain = 1;    // what d_clip of lsq is multiplied with
};

/// If nothing is normalized, beta and clip alone are looked at.
struct NormParameters {
  const float* gamma = nullptr;       // [C]
  const float* beta = nullptr;        // [C]; may be null if nothing is normalized: no bias
  float* running_mean = nullptr;      // [C], updated by a forward pass with batch statistics
  float* running_var = nullptr;       // [C], likewise
  const float* clip = nullptr;        // [1], the learned ceiling of pact and lsq; null for every other activation
  const float* input_bias = nullptr;  // [C] or null: of the convolution that wrote x, which has not added it
};

/// What forward leaves for backward, and backward of a convolution for that of the norm behind which it stands. If
/// nothing is normalized, act_scale alone.
struct NormSaved {
  float* mean = nullptr;          // [C], of x without input_bias: that of the statistics used
  float* inv_std = nullptr;       // [C], 1 / sqrt(var + epsilon)
  float* act_scale = nullptr;     // [1], max|y| before quantization; written only if act_bits > 0
  float* coefficients = nullptr;  // [2 C], what d_x takes from x and from 1: of backward, if it has a d_y_from
};

/// If nothing is normalized, d_beta and d_clip alone.
struct NormGradients {
  float* d_gamma = nullptr;       // [C], overwritten
  float* d_beta = nullptr;        // [C], overwritten; null if beta is
  float* d_clip = nullptr;        // [1], overwritten; null unless the ceiling is learned
  float* d_input_bias = nullptr;  // [C], overwritten by zeros, for the norm takes it off; null if input_bias is
};

/// Grids of METHOD 16 that forward rounds numbers to on its way, as the deployed network does: each two floats, the
/// least and the largest number that it is to hold. Null: not rounded. With low = min(range[0], 0), high =
/// max(range[1], 0), unit = (high - low) / 255 in float32 and zero = rint(-low / unit), v becomes
/// unit (min(max(rint(v / unit), -zero), 255 - zero)); unit 1 and zero 0 if unit would be less than 1e-37.
struct NormActRanges {
  const float* term = nullptr;      // gamma (x - mean) inv_std + beta, or x + beta; only if a shortcut is added to it
  const float* shortcut = nullptr;  // the shortcut
  const float* y = nullptr;         // act(z); only if act_bits is 0

  constexpr bool any() const { return term != nullptr || shortcut != nullptr || y != nullptr; }
};

/// norm_act_forward: z = gamma (x - mean) inv_std + beta [+ shortcut];  y = act(z): z, max(z, 0), clamp(z, 0, 6) or
/// clamp(z, 0, clip). If nothing is normalized z = x [+ beta] [+ shortcut].
/// lsq wants act_bits > 0, and clip as act_scale.
/// x of batch norm stands for x + input_bias, of which z feels nothing: running_mean takes mean + input_bias, and where
/// the running statistics are used the mean is running_mean - input_bias.
/// With act_bits = k > 0: S = max|y| over the whole tensor, y = S round(y (2^k - 1) / S) / (2^k - 1); S = 0 gives 0.
/// x, shortcut (null: none) and y: [rows, C] of geometry.dtype, in their units: x means x_unit times what is stored.
/// The numbers between two rows of x are never read, those of d_x never written.
/// If y_unit is given, y is stored as round(y (2^k - 1) / S), and *y_unit = S / (2^k - 1). y may be x if that has no
/// pitch and nothing will run backward. Where `act_scale` is given it is S, and y is clamped to [-S, S] before it is
/// rounded. `ranges`: what else is rounded, before S is found.
/// If `slice` is given, batch statistics and max|y| are those of the whole batch (METHOD 10).
/// `x_from`: the convolution that has written x, and has got these arguments, so that it may have left the statistics.
/// `read_by`: the convolution that alone reads y, and will get these arguments when it does; y may be left to it, and
/// is nobody else's then. Whether a backend does so depends on the convolution and these arguments alone; whoever
/// passes both need not know.
struct NormActForwardArgs {
  NormActGeometry geometry;
  NormActRule rule;
  const void* x = nullptr;
  const void* shortcut = nullptr;
  NormParameters parameters;
  NormSaved saved;
  void* y = nullptr;
  void* scratch = nullptr;
  TensorUnit x_unit = {};
  TensorUnit shortcut_unit = {};
  float* y_unit = nullptr;  // null: y is stored as it is; else as integer levels, and the unit goes here (act_bits > 0)
  const float* act_scale = nullptr;  // [1]; null: S = max|y|; else S is this, and y is clamped to +-S
  BatchSlice* slice = nullptr;       // statistics and S are those of its whole batch; null: they are those of x
  const ConvGeometry* x_from = nullptr;
  const ConvGeometry* read_by = nullptr;
  NormActRanges ranges = {};
};

/// norm_act_backward, straight through the quantizer, and through what forward rounded to ranges or clamped to them: as
/// if it had not. dz = dy [0 < z (< 6 | < clip)]; d_clip of pact = sum dy [z >= clip],
/// of lsq, with v = z (2^k - 1) / clip: clip_gain sum dy (v >= 2^k - 1 ? 1 : v <= 0 ? 0 : (round(v) - v) / (2^k - 1));
/// d_shortcut = dz; d_beta = sum dz, d_gamma = sum dz xhat, xhat = (x - mean) inv_std;
/// dx = gamma inv_std (dz - d_beta / rows - xhat d_gamma / rows)   (batch statistics only).
/// d_y, d_x and d_shortcut are with respect to what is stored: dy = d_y / y_unit (0 if the unit is 0),
/// d_x = x_unit dx, d_shortcut = shortcut_unit dz. If nothing is normalized dx = dz, and without an activation neither
/// x nor shortcut is read. If `slice` is given, the sums in dx are the batch's; the gradients of parameters stay those
/// of the slice. A norm needs rule.batch_statistics. `x_mode` and `shortcut_mode` say how d_x and d_shortcut are
/// written. d_x may be d_y if it is overwritten and has no pitch. d_shortcut is null exactly if shortcut is; it may be
/// d_x, which is written first, if it is added to and has no pitch.
/// `d_y_from`: the convolution whose backward pass has written d_y last, and has got these arguments, so that it may
/// have left the sums over all rows; as x_from in forward.
struct NormActBackwardArgs {
  NormActGeometry geometry;
  NormActRule rule;
  const void* d_y = nullptr;
  const void* x = nullptr;
  const void* shortcut = nullptr;
  NormParameters parameters;
  NormSaved saved;
  void* d_x = nullptr;
  void* d_shortcut = nullptr;
  GradMode x_mode = GradMode::overwrite;
  GradMode shortcut_mode = GradMode::overwrite;
  NormGradients gradients;
  void* scratch = nullptr;
  TensorUnit x_unit = {};
  TensorUnit shortcut_unit = {};
  const float* y_unit = nullptr;  // as in forward
  BatchSlice* slice = nullptr;    // likewise
  const ConvGeometry* d_y_from = nullptr;
};

}  // namespace bsq
