// Layout, start values and file order of parameters.
#include "engine/network/parameters.h"

#include "kernels/base/error.h"
#include "kernels/base/hash.h"
#include "kernels/random.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace bsq {
namespace {

constexpr std::int64_t kAlignmentFloats = 16;
static_assert(kAlignmentFloats % kMarkBlock == 0);  // a parameter decays as a whole

/// Calls visit(index in OHWI, index in OIHW) for every element of a rank-4 shape.
template <typename Visit>
void visit_layouts(const Shape& shape, Visit visit) {
  const auto [out, height, width, in] = shape.dims;
  std::size_t memory_index = 0;
  for (std::int64_t o = 0; o < out; ++o)
    for (std::int64_t h = 0; h < height; ++h)
      for (std::int64_t w = 0; w < width; ++w)
        for (std::int64_t i = 0; i < in; ++i)
          visit(memory_index++, static_cast<std::size_t>(((o * in + i) * height + h) * width + w));
}

/// What LSQ learns of activations.
bool is_learned_by_lsq(Role role) {
  return role == Role::lsq_clip || role == Role::quantizer_step || role == Role::quantizer_offset;
}

DecayedParts decay_of(Role role, const NoDecay& no_decay) {
  const bool is_norm = role == Role::norm_gamma || role == Role::norm_beta;
  const bool is_spared = (is_norm && no_decay.norms) || (role == Role::bias && no_decay.biases) ||
                         (role == Role::clip && no_decay.pact) || is_learned_by_lsq(role);
  return {.weights = !is_spared, .scale = !is_spared && !no_decay.scales};
}

}  // namespace

int ParameterSpec::start_bits(int otherwise) const {
  if (widths.start > 0) return widths.start;
  return widths.most > 0 ? std::min(otherwise, widths.most) : otherwise;
}

int ParameterSpec::most_bits(int otherwise) const {
  if (widths.fixed) return widths.start;
  return widths.most > 0 ? widths.most : std::max(otherwise, widths.start);
}

std::vector<int> start_bits(const ArenaLayout& layout, int otherwise) {
  std::vector<int> bits;
  for (const ParameterSlot& slot : layout.slots) bits.push_back(slot.spec.start_bits(otherwise));
  return bits;
}

std::vector<int> most_bits(const ArenaLayout& layout, int otherwise) {
  std::vector<int> bits;
  for (const ParameterSlot& slot : layout.slots) bits.push_back(slot.spec.most_bits(otherwise));
  return bits;
}

ArenaLayout lay_out(const std::vector<ParameterSpec>& parameters, ParameterGroup group, DType filter_dtype,
                    const NoDecay& no_decay) {
  ArenaLayout layout;
  for (const ParameterSpec& spec : parameters) {
    if (spec.group != group) continue;
    layout.slots.push_back({spec, layout.numel});
    if (layout.slots.back().is_filter()) layout.slots.back().dtype = filter_dtype;
    layout.slots.back().decay = decay_of(spec.role, no_decay);
    layout.parameters += spec.shape.numel();
    layout.numel += (spec.shape.numel() + kAlignmentFloats - 1) / kAlignmentFloats * kAlignmentFloats;
  }
  return layout;
}

std::vector<float> initial_values(const ParameterSpec& spec, std::uint64_t seed) {
  const auto numel = static_cast<std::size_t>(spec.shape.numel());
  std::vector<float> values(numel, spec.constant);
  if (spec.initializer == Initializer::constant) return values;
  const std::uint64_t name = hash_of(spec.name);
  const auto stream = static_cast<std::uint32_t>(RandomStream::initialize);
  const double fan_out = spec.shape.rank == 4 ? static_cast<double>(spec.shape[0] * spec.shape[1] * spec.shape[2]) : 1;
  const double deviation = spec.initializer == Initializer::normal ? double{spec.deviation} : std::sqrt(2.0 / fan_out);
  const double bound = spec.fan_in > 0 ? 1.0 / std::sqrt(static_cast<double>(spec.fan_in)) : 0.0;
  for (std::size_t i = 0; i < numel; ++i) {
    const PhiloxCounter bits = philox4x32({static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(name),
                                           static_cast<std::uint32_t>(name >> 32), stream},
                                          seed);
    const double u0 = (static_cast<double>(bits[0]) + 0.5) / 4294967296.0;
    const double u1 = (static_cast<double>(bits[1]) + 0.5) / 4294967296.0;
    const double normal = std::sqrt(-2.0 * std::log(u0)) * std::cos(2.0 * std::numbers::pi * u1);  // Box-Muller
    values[i] = static_cast<float>(spec.initializer == Initializer::torch_default ? bound * (2.0 * u0 - 1.0)
                                                                                  : deviation * normal);
  }
  return values;
}

std::vector<float> to_file_layout(const std::vector<float>& values, const Shape& shape) {
  if (shape.rank != 4) return values;
  std::vector<float> result(values.size());
  visit_layouts(shape, [&](std::size_t memory, std::size_t file) { result[file] = values[memory]; });
  return result;
}

std::vector<float> from_file_layout(const std::vector<float>& values, const Shape& shape) {
  if (shape.rank != 4) return values;
  std::vector<float> result(values.size());
  visit_layouts(shape, [&](std::size_t memory, std::size_t file) { result[memory] = values[file]; });
  return result;
}

std::vector<std::size_t> file_places(const Shape& shape) {
  std::vector<std::size_t> places(static_cast<std::size_t>(shape.numel()));
  std::iota(places.begin(), places.end(), std::size_t{0});
  if (shape.rank == 4) visit_layouts(shape, [&](std::size_t memory, std::size_t file) { places[memory] = file; });
  return places;
}

std::vector<std::int64_t> file_shape(const Shape& shape) {
  if (shape.rank == 4) return {shape[0], shape[3], shape[1], shape[2]};
  std::vector<std::int64_t> dims;
  for (int axis = 0; axis < shape.rank; ++axis) dims.push_back(shape[axis]);
  return dims;
}

}  // namespace bsq
