// The oracle: batch norm + shortcut + activation + quantizer. Contracts and formulas: kernels/ops/norm_act.h.
#include "kernels/base/error.h"
#include "kernels/batch_slice.h"
#include "kernels/reference/elements.h"
#include "kernels/reference/reference_backend.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

namespace bsq {
namespace {

using reference::load;
using reference::store;
using reference::store_gradient;

/// Where in x and d_x element (row, c) lies that is `index` of a dense tensor.
std::int64_t place_in_x(const NormActGeometry& geometry, std::int64_t index, int c) {
  return index / geometry.channels * geometry.pitch() + c;
}

/// A number on the grid of a range; null: the number. A NaN stays one.
double rounded_to_range(const float* range, double value) {
  constexpr double kTop = 255;
  constexpr double kLeastUnit = 1e-37;
  if (range == nullptr) return value;
  const double low = std::min(double{range[0]}, 0.0), high = std::max(double{range[1]}, 0.0);
  double unit = static_cast<float>((high - low) / kTop);
  double zero = std::nearbyint(-low / unit);
  if (!(unit >= kLeastUnit)) unit = 1, zero = 0;
  return unit * std::min(std::max(std::nearbyint(value / unit), -zero), kTop - zero);
}

/// What element (row, c) is before and after the activation. Forward and backward see the same numbers: the mean and
/// inv_std as they were saved, in float. `index` counts as if all rows were dense.
struct NormActElement {
  const NormActGeometry& geometry;
  const NormActRule& rule;
  const void* x;
  const void* shortcut;
  const NormParameters& parameters;
  const NormSaved& saved;
  double x_unit;
  double shortcut_unit;
  NormActRanges ranges = {};  // of forward

  double ceiling() const {
    if (rule.activation == Activation::relu6) return 6.0;
    if (learns_ceiling(rule.activation)) return *parameters.clip;
    return std::numeric_limits<double>::infinity();
  }
  double value(std::int64_t index, int c) const {
    return x_unit * load(geometry.dtype, x, place_in_x(geometry, index, c));
  }
  double x_hat(std::int64_t index, int c) const { return (value(index, c) - saved.mean[c]) * saved.inv_std[c]; }
  double z(std::int64_t index, int c) const {
    const double beta = parameters.beta == nullptr ? 0.0 : parameters.beta[c];
    const double normalized = beta + (rule.normalize ? parameters.gamma[c] * x_hat(index, c) : value(index, c));
    const double term = rounded_to_range(ranges.term, normalized);
    if (shortcut == nullptr) return term;
    return term + rounded_to_range(ranges.shortcut, shortcut_unit * load(geometry.dtype, shortcut, index));
  }
  /// With this order of arguments min and max pass a NaN on.
  double activated(std::int64_t index, int c) const {
    const double value = z(index, c);
    return rule.activation == Activation::none ? value : std::min(std::max(value, 0.0), ceiling());
  }
  /// How much of dy the learned ceiling gets.
  double share_of_ceiling(double value) const {
    if (value >= ceiling()) return 1;
    if (rule.activation == Activation::pact || !(value > 0)) return 0;
    const double levels = (1 << rule.act_bits) - 1, level = value * levels / ceiling();
    return (std::nearbyint(level) - level) / levels;
  }
  /// Whether the activation lets a gradient through.
  bool passes(double value) const { return rule.activation == Activation::none || (value > 0 && value < ceiling()); }
};

struct ChannelStatistics {
  double mean = 0;
  double variance = 0;  // biased
};

ChannelStatistics statistics_of(const NormActForwardArgs& args, int c) {
  const NormActGeometry& geometry = args.geometry;
  const auto rows = static_cast<double>(geometry.rows);
  const double unit = args.x_unit.value();
  double sum = 0;
  for (std::int64_t row = 0; row < geometry.rows; ++row)
    sum += unit * load(geometry.dtype, args.x, row * geometry.pitch() + c);
  const double mean = sum / rows;
  double square_sum = 0;
  for (std::int64_t row = 0; row < geometry.rows; ++row) {
    const double centred = unit * load(geometry.dtype, args.x, row * geometry.pitch() + c) - mean;
    square_sum += centred * centred;
  }
  return {mean, square_sum / rows};
}

/// Of the convolution before it, which has left it to the norm.
double input_bias(const NormParameters& parameters, int c) {
  return parameters.input_bias == nullptr ? 0.0 : parameters.input_bias[c];
}

/// Saves them; the running statistics take the unbiased variance. `rows`: those that the statistics are of.
void use_batch_statistics(const NormActForwardArgs& args, int c, const ChannelStatistics& found, double rows) {
  const double momentum = args.rule.momentum;
  float& running_mean = args.parameters.running_mean[c];
  float& running_var = args.parameters.running_var[c];
  const double unbiased_variance = found.variance * rows / std::max(rows - 1, 1.0);
  args.saved.mean[c] = static_cast<float>(found.mean);
  args.saved.inv_std[c] = static_cast<float>(1.0 / std::sqrt(found.variance + args.rule.epsilon));
  running_mean =
      static_cast<float>((1 - momentum) * running_mean + momentum * (found.mean + input_bias(args.parameters, c)));
  running_var = static_cast<float>((1 - momentum) * running_var + momentum * unbiased_variance);
}

void use_running_statistics(const NormActForwardArgs& args, int c) {
  args.saved.mean[c] = static_cast<float>(args.parameters.running_mean[c] - input_bias(args.parameters, c));
  args.saved.inv_std[c] =
      static_cast<float>(1.0 / std::sqrt(double{args.parameters.running_var[c]} + args.rule.epsilon));
}

/// Of the whole batch, from the slices' moments about the running mean of x (METHOD 10).
void use_statistics_of_all_slices(const NormActForwardArgs& args) {
  const int channels = args.geometry.channels;
  std::vector<float> moments(static_cast<std::size_t>(2 * channels));
  float* first = moments.data();
  float* second = first + channels;
  const auto running_mean = [&](int c) { return args.parameters.running_mean[c] - input_bias(args.parameters, c); };
  for (int c = 0; c < channels; ++c) {
    const ChannelStatistics own = statistics_of(args, c);
    const double offset = own.mean - running_mean(c);
    first[c] = static_cast<float>(offset);
    second[c] = static_cast<float>(own.variance + offset * offset);
  }
  args.slice->average(moments.data(), moments.size());
  const auto rows = static_cast<double>(args.slice->rows_of_batch(args.geometry.rows));
  for (int c = 0; c < channels; ++c) {
    const double offset = first[c];
    use_batch_statistics(args, c, {running_mean(c) + offset, std::max(second[c] - offset * offset, 0.0)}, rows);
  }
}

void use_statistics(const NormActForwardArgs& args, bool synchronised) {
  if (synchronised) return use_statistics_of_all_slices(args);
  for (int c = 0; c < args.geometry.channels; ++c) {
    if (args.rule.batch_statistics)
      use_batch_statistics(args, c, statistics_of(args, c), static_cast<double>(args.geometry.rows));
    else
      use_running_statistics(args, c);
  }
}

/// The integer level of y; a NaN scale makes every level one.
double level_of(double y, double scale, int bits) {
  return scale == 0 ? 0 : std::nearbyint(y * ((1 << bits) - 1) / scale);
}

}  // namespace

std::size_t ReferenceBackend::norm_act_scratch_bytes(const NormActGeometry& /*of*/) {
  return 0;
}

void ReferenceBackend::norm_act_forward(const NormActForwardArgs& args) {
  const auto& [geometry, rule, x, shortcut, parameters, saved, y, scratch, x_unit, shortcut_unit, y_unit, act_scale,
               slice, x_from, read_by, ranges] = args;
  const bool synchronised = rule.batch_statistics && slice != nullptr;
  if (rule.normalize) use_statistics(args, synchronised);
  const NormActElement element{geometry, rule, x, shortcut, parameters, saved, x_unit.value(), shortcut_unit.value(),
                               ranges};
  const double levels = (1 << rule.act_bits) - 1;
  const std::int64_t count = geometry.rows * geometry.channels;
  if (rule.act_bits > 0) {
    double largest = 0;
    for (std::int64_t index = 0; index < count; ++index) {
      const double magnitude = std::fabs(element.activated(index, static_cast<int>(index % geometry.channels)));
      if (!std::isnan(largest) && !(magnitude <= largest)) largest = magnitude;
    }
    *saved.act_scale = act_scale != nullptr ? *act_scale : static_cast<float>(largest);
    if (synchronised && act_scale == nullptr) slice->maximum(saved.act_scale, 1);
    if (y_unit != nullptr) *y_unit = static_cast<float>(*saved.act_scale / levels);
  }
  for (std::int64_t index = 0; index < count; ++index) {  // y may be x: each element is read before it is written
    double value = element.activated(index, static_cast<int>(index % geometry.channels));
    if (rule.act_bits > 0) {
      const double limit = *saved.act_scale;
      const double level = level_of(std::min(std::max(value, -limit), limit), limit, rule.act_bits);
      value = y_unit != nullptr ? level : *saved.act_scale * level / levels;
    } else {
      value = rounded_to_range(ranges.y, value);
    }
    store(geometry.dtype, y, index, value);
  }
}

namespace {

/// What all elements of a backward pass have in common.
struct NormActGradients {
  const NormActBackwardArgs& args;
  NormActElement element;
  double per_stored_y;  // dy of a d_y with respect to levels

  explicit NormActGradients(const NormActBackwardArgs& of)
      : args(of),
        element{of.geometry,
                of.rule,
                of.x,
                of.shortcut,
                of.parameters,
                of.saved,
                of.x_unit.value(),
                of.shortcut_unit.value()},
        per_stored_y(of.y_unit == nullptr ? 1.0
                     : *of.y_unit == 0    ? 0.0
                                          : 1.0 / double{*of.y_unit}) {}

  double d_y(std::int64_t index) const { return per_stored_y * load(args.geometry.dtype, args.d_y, index); }
  double d_z(std::int64_t index, int c) const {
    const bool reads_nothing = args.rule.activation == Activation::none;
    return reads_nothing || element.passes(element.z(index, c)) ? d_y(index) : 0.0;
  }
};

/// sum dz and sum dz xhat of a channel; 0 for the second one if nothing is normalized. Adds to d_clip.
std::array<double, 2> sums_of(const NormActGradients& of, int c, double& d_clip) {
  const NormActGeometry& geometry = of.args.geometry;
  std::array<double, 2> sums{};
  for (std::int64_t row = 0; row < geometry.rows; ++row) {
    const std::int64_t index = row * geometry.channels + c;
    const bool learns = learns_ceiling(of.args.rule.activation);
    const double share = learns ? of.element.share_of_ceiling(of.element.z(index, c)) : 0.0;
    if (share != 0) d_clip += share * of.d_y(index);
    const double d_z = of.d_z(index, c);
    sums[0] += d_z;
    if (of.args.rule.normalize) sums[1] += d_z * of.element.x_hat(index, c);
  }
  return sums;
}

/// d_x and d_shortcut of a channel. `means`: of its sums, over the rows. d_x may be d_y: read before it is written.
void write_gradients(const NormActGradients& of, int c, const std::array<double, 2>& means) {
  const auto& [args, element, per_stored_y] = of;
  const NormActGeometry& geometry = args.geometry;
  for (std::int64_t row = 0; row < geometry.rows; ++row) {
    const std::int64_t index = row * geometry.channels + c;
    const double d_z = of.d_z(index, c);
    const double d_value = args.rule.normalize ? element.x_unit * args.parameters.gamma[c] * args.saved.inv_std[c] *
                                                     (d_z - means[0] - element.x_hat(index, c) * means[1])
                                               : element.x_unit * d_z;
    store_gradient(geometry.dtype, args.d_x, place_in_x(geometry, index, c), d_value, args.x_mode);
    if (args.d_shortcut != nullptr)
      store_gradient(geometry.dtype, args.d_shortcut, index, element.shortcut_unit * d_z, args.shortcut_mode);
  }
}

}  // namespace

void ReferenceBackend::norm_act_backward(const NormActBackwardArgs& args) {
  require(args.rule.batch_statistics || !args.rule.normalize, "norm_act_backward: runs with batch statistics only");
  const NormActGradients gradients(args);
  const auto channels = static_cast<std::size_t>(args.geometry.channels);
  std::vector<std::array<double, 2>> sums(channels);
  double d_clip = 0;
  for (std::size_t c = 0; c < channels; ++c) {
    sums[c] = sums_of(gradients, static_cast<int>(c), d_clip);
    if (args.gradients.d_beta != nullptr) args.gradients.d_beta[c] = static_cast<float>(sums[c][0]);
    if (args.rule.normalize) args.gradients.d_gamma[c] = static_cast<float>(sums[c][1]);
    if (args.gradients.d_input_bias != nullptr) args.gradients.d_input_bias[c] = 0;
  }
  if (args.rule.activation == Activation::lsq) d_clip *= double{args.rule.clip_gain};
  if (learns_ceiling(args.rule.activation)) *args.gradients.d_clip = static_cast<float>(d_clip);
  if (args.slice != nullptr && args.rule.normalize) {
    std::vector<float> averaged;
    for (const auto& [sum, projection] : sums)
      averaged.insert(averaged.end(), {static_cast<float>(sum), static_cast<float>(projection)});
    args.slice->average(averaged.data(), averaged.size());
    for (std::size_t c = 0; c < channels; ++c) sums[c] = {averaged[2 * c], averaged[2 * c + 1]};
  }
  const auto rows = static_cast<double>(args.geometry.rows);
  for (std::size_t c = 0; c < channels; ++c)
    write_gradients(gradients, static_cast<int>(c), {sums[c][0] / rows, sums[c][1] / rows});
}

}  // namespace bsq
