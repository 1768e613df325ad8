// The parameters of a network: their names, their start values, and their places in memory.
//
// Two groups: `quantized` (convolutions and the classifier as a rule, what BSQ gives bit widths to) and `plain` (batch
// norm, learned ceilings, layers that are to stay float). Each group is one flat arena; all gradients together are one
// flat buffer, quantized first, which is all that data-parallel ranks have to reduce. Layout in memory: OHWI; in files:
// PyTorch's OIHW.
#pragma once

#include "engine/memory/device_memory.h"
#include "kernels/ops/sgd.h"
#include "kernels/types.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bsq {

enum class Initializer : std::uint8_t {
  he_fan_out,     // N(0, sqrt(2 / (kernel^2 out))): convolutions (He et al. 2015, as in the published code)
  torch_default,  // U(-1/sqrt(fan_in), 1/sqrt(fan_in)): classifier, shortcut convolutions
  normal,         // N(0, deviation)
  constant,
};

enum class ParameterGroup : std::uint8_t { quantized, plain };

/// What a parameter or a state is to its layer.
enum class Role : std::uint8_t {
  weight,
  bias,
  norm_gamma,
  norm_beta,
  clip,
  lsq_clip,
  quantizer_step,
  quantizer_offset,
  running_mean,
  running_var,
  act_scale,
  value_range
};

/// What the network says of the bits of a quantized parameter; what it does not say, the configuration does.
struct WidthRule {
  int start = 0;       // at the conversion; 0: not said
  int most = 0;        // after a re-quantization; 0: not said
  bool fixed = false;  // `start`, which is said, is kept: no penalty, no re-quantization to other widths

  bool operator==(const WidthRule&) const = default;
};

struct ParameterSpec {
  std::string name;  // PyTorch's: layer1.0.conv1.weight
  Shape shape;       // OHWI, [O, I] or [C]
  ParameterGroup group = ParameterGroup::plain;
  Initializer initializer = Initializer::constant;
  float constant = 0;
  float deviation = 0;      // for normal
  std::int64_t fan_in = 0;  // of the layer (a bias has its weight's); for torch_default
  Role role = Role::weight;
  bool optional = false;   // a file of the network may lack it, it then keeps its start value
  WidthRule widths = {};   // of the quantized group
  bool is_normed = false;  // of a filter: only norms read its output, where the scale of a channel means nothing

  /// Bits at the conversion: its own, or else these, as far as it may have them.
  int start_bits(int otherwise) const;
  /// The most bits that it may come to: its own, or else these, but no fewer than it starts with.
  int most_bits(int otherwise) const;
};

/// A running statistic: part of the model, not trained.
struct StateSpec {
  std::string name;
  std::int64_t numel = 0;
  float initial = 0;
  Role role = Role::running_mean;
  bool optional = false;  // as that of a parameter
};

using ParameterId = int;
using StateId = int;

/// A parameter inside its group's arena. Offsets are floats, multiples of 16 (one cache line).
struct ParameterSlot {
  ParameterSpec spec;
  std::int64_t offset = 0;
  DType dtype = DType::f32;   // of the effective values: what layers read
  DecayedParts decay = {};    // `scale`: of the store that has one
  double bit_operations = 0;  // of one image, per bit of the weight (multiplications.h); 0 for what multiplies nothing

  bool is_filter() const { return spec.shape.rank == 4; }  // of a convolution
};

/// Parameters that weight decay leaves alone, by their roles.
struct NoDecay {
  bool norms = false;   // gamma and beta
  bool biases = false;  // with their scales
  bool pact = false;    // PACT's ceilings
  bool scales = false;  // of bit planes and of fixed-point weights
};

/// The flat layout of one group.
struct ArenaLayout {
  std::vector<ParameterSlot> slots;
  std::int64_t numel = 0;       // with padding
  std::int64_t parameters = 0;  // without padding
  /// Of a packed file, at most: the bytes that are neither bits nor signs of these parameters (Network::packed_rest).
  std::int64_t packed_rest = 0;
};

/// `filter_dtype`: the type of the effective values of convolution filters; everything else is float32.
ArenaLayout lay_out(const std::vector<ParameterSpec>& parameters, ParameterGroup group, DType filter_dtype = DType::f32,
                    const NoDecay& no_decay = {});

/// Of every slot; see ParameterSpec.
std::vector<int> start_bits(const ArenaLayout& layout, int otherwise);
std::vector<int> most_bits(const ArenaLayout& layout, int otherwise);

/// Start values, a function of (seed, parameter's name) alone.
std::vector<float> initial_values(const ParameterSpec& spec, std::uint64_t seed);

/// OHWI <-> OIHW; values of another rank are returned as they are.
std::vector<float> to_file_layout(const std::vector<float>& values, const Shape& shape);
std::vector<float> from_file_layout(const std::vector<float>& values, const Shape& shape);
/// The index in a file of each element in memory order.
std::vector<std::size_t> file_places(const Shape& shape);
/// The shape a file shows: OIHW, or the shape itself.
std::vector<std::int64_t> file_shape(const Shape& shape);

}  // namespace bsq
