// The oracle: batch norm + shortcut + activation + quantizer. Contracts and formulas: kernels/ops/norm_act.h.
#include "kernels/base/error.h"
#include "kernels/batch_slice.h"
#include "kernels/reference/elements.h"
#include "kernels/reference/reference_backend.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

namespace bsq {
namespace {

using reference::load;
using reference::store;
using reference::store_gradient;

/// What element (row, c) is before and after the activation. Forward and backward see the same numbers: the mean and
/// inv_std as they were saved, in float.
struct NormActElement {
  const NormActGeometry& geometry;
  const NormActRule& rule;
  const void* x;
  const void* shortcut;
  const NormParameters& parameters;
  const NormSaved& saved;
  double x_unit;
  double shortcut_unit;

  double ceiling() const {
    if (rule.activation == Activation::relu6) return 6.0;
    if (rule.activation == Activation::pact) return *parameters.clip;
    return std::numeric_limits<double>::infinity();
  }
  double x_hat(std::int64_t index, int c) const {
    return (x_unit * load(geometry.dtype, x, index) - saved.mean[c]) * saved.inv_std[c];
  }
  double z(std::int64_t index, int c) const {
    const double normalized = parameters.gamma[c] * x_hat(index, c) + parameters.beta[c];
    return shortcut != nullptr ? normalized + shortcut_unit * load(geometry.dtype, shortcut, index) : normalized;
  }
  /// With this order of arguments min and max pass a NaN on.
  double activated(std::int64_t index, int c) const {
    const double value = z(index, c);
    return rule.activation == Activation::none ? value : std::min(std::max(value, 0.0), ceiling());
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
    sum += unit * load(geometry.dtype, args.x, row * geometry.channels + c);
  const double mean = sum / rows;
  double square_sum = 0;
  for (std::int64_t row = 0; row < geometry.rows; ++row) {
    const double centred = unit * load(geometry.dtype, args.x, row * geometry.channels + c) - mean;
    square_sum += centred * centred;
  }
  return {mean, square_sum / rows};
}

/// Saves the statistics; the running ones take the unbiased variance. `rows`: how many rows the statistics are of.
void use_batch_statistics(const NormActForwardArgs& args, int c, const ChannelStatistics& found, double rows) {
  const double momentum = args.rule.momentum;
  float& running_mean = args.parameters.running_mean[c];
  float& running_var = args.parameters.running_var[c];
  const double unbiased_variance = found.variance * rows / std::max(rows - 1, 1.0);
  args.saved.mean[c] = static_cast<float>(found.mean);
  args.saved.inv_std[c] = static_cast<float>(1.0 / std::sqrt(found.variance + args.rule.epsilon));
  running_mean = static_cast<float>((1 - momentum) * running_mean + momentum * found.mean);
  running_var = static_cast<float>((1 - momentum) * running_var + momentum * unbiased_variance);
}

void use_running_statistics(const NormActForwardArgs& args, int c) {
  args.saved.mean[c] = args.parameters.running_mean[c];
  args.saved.inv_std[c] =
      static_cast<float>(1.0 / std::sqrt(double{args.parameters.running_var[c]} + args.rule.epsilon));
}

/// Makes statistics of the whole batch from the slices' moments about the running mean (METHOD 10).
void use_statistics_of_all_slices(const NormActForwardArgs& args) {
  const int channels = args.geometry.channels;
  std::vector<float> moments(static_cast<std::size_t>(2 * channels));
  float* first = moments.data();
  float* second = first + channels;
  for (int c = 0; c < channels; ++c) {
    const ChannelStatistics own = statistics_of(args, c);
    const double offset = own.mean - args.parameters.running_mean[c];
    first[c] = static_cast<float>(offset);
    second[c] = static_cast<float>(own.variance + offset * offset);
  }
  args.slice->average(moments.data(), moments.size());
  const auto rows = static_cast<double>(args.slice->rows_of_batch(args.geometry.rows));
  for (int c = 0; c < channels; ++c) {
    const double offset = first[c];
    use_batch_statistics(args, c,
                         {args.parameters.running_mean[c] + offset, std::max(second[c] - offset * offset, 0.0)}, rows);
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
               slice] = args;
  const bool synchronised = rule.batch_statistics && slice != nullptr;
  if (synchronised) use_statistics_of_all_slices(args);
  for (int c = 0; c < geometry.channels && !synchronised; ++c) {
    if (rule.batch_statistics)
      use_batch_statistics(args, c, statistics_of(args, c), static_cast<double>(geometry.rows));
    else
      use_running_statistics(args, c);
  }
  const NormActElement element{geometry, rule, x, shortcut, parameters, saved, x_unit.value(), shortcut_unit.value()};
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
    }
    store(geometry.dtype, y, index, value);
  }
}

void ReferenceBackend::norm_act_backward(const NormActBackwardArgs& args) {
  const auto& [geometry, rule, d_y, x, shortcut, parameters, saved, d_x, d_shortcut, x_mode, shortcut_mode, gradients,
               scratch, x_unit, shortcut_unit, y_unit, slice] = args;
  require(rule.batch_statistics, "norm_act_backward: runs with batch statistics only");
  const NormActElement element{geometry, rule, x, shortcut, parameters, saved, x_unit.value(), shortcut_unit.value()};
  const double per_stored_y = y_unit == nullptr ? 1.0 : *y_unit == 0 ? 0.0 : 1.0 / double{*y_unit};
  const auto rows = static_cast<double>(geometry.rows);
  const auto channels = static_cast<std::size_t>(geometry.channels);
  std::vector<double> sums(2 * channels);  // d_beta, d_gamma
  double d_clip = 0;
  for (int c = 0; c < geometry.channels; ++c) {
    double& d_beta = sums[static_cast<std::size_t>(c)];
    double& d_gamma = sums[channels + static_cast<std::size_t>(c)];
    for (std::int64_t row = 0; row < geometry.rows; ++row) {
      const std::int64_t index = row * geometry.channels + c;
      const double z = element.z(index, c);
      const double d_out = per_stored_y * load(geometry.dtype, d_y, index);
      if (rule.activation == Activation::pact && z >= element.ceiling()) d_clip += d_out;
      if (!element.passes(z)) continue;
      d_beta += d_out;
      d_gamma += d_out * element.x_hat(index, c);
    }
    gradients.d_beta[c] = static_cast<float>(d_beta);
    gradients.d_gamma[c] = static_cast<float>(d_gamma);
  }
  if (rule.activation == Activation::pact) *gradients.d_clip = static_cast<float>(d_clip);
  if (slice != nullptr) {
    std::vector<float> averaged(sums.begin(), sums.end());
    slice->average(averaged.data(), averaged.size());
    sums.assign(averaged.begin(), averaged.end());
  }
  for (int c = 0; c < geometry.channels; ++c) {
    const double mean_d_z = sums[static_cast<std::size_t>(c)] / rows;
    const double mean_projection = sums[channels + static_cast<std::size_t>(c)] / rows;
    for (std::int64_t row = 0; row < geometry.rows; ++row) {  // d_x may be d_y: read before it is written
      const std::int64_t index = row * geometry.channels + c;
      const double d_z = element.passes(element.z(index, c)) ? per_stored_y * load(geometry.dtype, d_y, index) : 0.0;
      store_gradient(geometry.dtype, d_x, index,
                     element.x_unit * parameters.gamma[c] * saved.inv_std[c] *
                         (d_z - mean_d_z - element.x_hat(index, c) * mean_projection),
                     x_mode);
      if (d_shortcut != nullptr)
        store_gradient(geometry.dtype, d_shortcut, index, element.shortcut_unit * d_z, shortcut_mode);
    }
  }
}

}  // namespace bsq
