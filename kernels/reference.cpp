// The oracle, first half: memory, input, convolution, norm_act and the head. Contracts and formulas: backend.h.
//
// Activations are read and written one element at a time through load() and store(), whatever their dtype; every
// sum runs in double, in the order of the loops; results are rounded once, when they are stored.
#include "kernels/reference.h"

#include "kernels/error.h"
#include "kernels/host_memory.h"
#include "kernels/random.h"
#include "kernels/reference_elements.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace bsq {
namespace {

using reference::load;
using reference::store;
using reference::store_gradient;

class ReplayedFunction final : public CapturedWork {
 public:
  explicit ReplayedFunction(std::function<void()> enqueue) : enqueue_(std::move(enqueue)) {}
  void replay() override { enqueue_(); }

 private:
  std::function<void()> enqueue_;
};

}  // namespace

std::unique_ptr<Backend> make_reference_backend() {
  return std::make_unique<ReferenceBackend>();
}

bool ReferenceBackend::supports(Precision precision, std::string& why) const {
  if (precision != Precision::tf32) return true;
  why = "tf32 is a number format of GPUs";
  return false;
}

// ---- memory -------------------------------------------------------------------------------------------------------

void* ReferenceBackend::allocate(std::size_t size_bytes) {
  return allocate_host_memory(size_bytes);
}

void ReferenceBackend::release(void* data) noexcept {
  std::free(data);
}

void ReferenceBackend::upload(void* device, const void* host, std::size_t size_bytes) {
  if (size_bytes > 0) std::memcpy(device, host, size_bytes);
}

void ReferenceBackend::download(void* host, const void* device, std::size_t size_bytes) {
  if (size_bytes > 0) std::memcpy(host, device, size_bytes);
}

void ReferenceBackend::fill_zero(void* device, std::size_t size_bytes) {
  if (size_bytes > 0) std::memset(device, 0, size_bytes);
}

std::unique_ptr<CapturedWork> ReferenceBackend::capture(std::function<void()> enqueue) {
  return std::make_unique<ReplayedFunction>(std::move(enqueue));
}

// ---- input --------------------------------------------------------------------------------------------------------

void ReferenceBackend::augment(const AugmentArgs& args) {
  const auto& [rule, source, inputs, batch, output, labels] = args;
  const std::int64_t image_size = std::int64_t{rule.height} * rule.width * rule.channels;
  for (int i = 0; i < batch; ++i) {
    const std::int32_t sample = source.order[inputs->first_sample + i];
    labels[i] = source.labels[sample];
    const CropFlip draw =
        draw_crop_flip(rule.seed, rule.stream, inputs->epoch, sample, rule.crop_padding, rule.random_flip);
    const std::uint8_t* image = source.images + sample * image_size;
    for (int y = 0; y < rule.height; ++y) {
      for (int x = 0; x < rule.width; ++x) {
        const int from_y = y + draw.top - rule.crop_padding;
        const int from_x = (draw.flip ? rule.width - 1 - x : x) + draw.left - rule.crop_padding;
        const bool inside = from_y >= 0 && from_y < rule.height && from_x >= 0 && from_x < rule.width;
        for (int c = 0; c < rule.channels; ++c) {
          const double pixel =
              inside ? image[(std::int64_t{from_y} * rule.width + from_x) * rule.channels + c] / 255.0 : 0.0;
          const auto channel = static_cast<std::size_t>(c);
          store(output.dtype, output.data, i * image_size + (std::int64_t{y} * rule.width + x) * rule.channels + c,
                (pixel - rule.mean[channel]) / rule.std[channel]);
        }
      }
    }
  }
}

// ---- convolution --------------------------------------------------------------------------------------------------

namespace {

/// Row-major indices of pixel (n, y, x), channel 0, and of filter tap (o, ky, kx), channel 0.
std::int64_t input_index(const ConvGeometry& g, int n, int y, int x) {
  return ((std::int64_t{n} * g.height + y) * g.width + x) * g.in_channels;
}
std::int64_t output_index(const ConvGeometry& g, int n, int y, int x) {
  return ((std::int64_t{n} * g.out_height() + y) * g.out_width() + x) * g.out_channels;
}
std::int64_t weight_index(const ConvGeometry& g, int o, int ky, int kx) {
  return ((std::int64_t{o} * g.kernel + ky) * g.kernel + kx) * g.in_channels;
}

/// The output coordinate that reads input coordinate `in` through tap `k`, or -1.
int output_coordinate(const ConvGeometry& g, int in, int k, int out_size) {
  const int strided = in + g.padding - k;
  return strided >= 0 && strided % g.stride == 0 && strided / g.stride < out_size ? strided / g.stride : -1;
}

/// output[n, y, x, o] = sum over taps and input channels of input[n, y stride - padding + ky, ...] weight[o, ky, kx,
/// i].
double output_element(const ConvGeometry& g, const void* input, const void* weight, int n, int y, int x, int o) {
  double sum = 0;
  for (int ky = 0; ky < g.kernel; ++ky) {
    const int in_y = y * g.stride - g.padding + ky;
    if (in_y < 0 || in_y >= g.height) continue;
    for (int kx = 0; kx < g.kernel; ++kx) {
      const int in_x = x * g.stride - g.padding + kx;
      if (in_x < 0 || in_x >= g.width) continue;
      const std::int64_t from = input_index(g, n, in_y, in_x);
      const std::int64_t tap = weight_index(g, o, ky, kx);
      for (int i = 0; i < g.in_channels; ++i) sum += load(g.dtype, input, from + i) * load(g.dtype, weight, tap + i);
    }
  }
  return sum;
}

/// The transpose: the sum over every output that read d_input[n, y, x, i].
double d_input_element(const ConvGeometry& g, const void* d_output, const void* weight, int n, int y, int x, int i) {
  double sum = 0;
  for (int ky = 0; ky < g.kernel; ++ky) {
    const int out_y = output_coordinate(g, y, ky, g.out_height());
    if (out_y < 0) continue;
    for (int kx = 0; kx < g.kernel; ++kx) {
      const int out_x = output_coordinate(g, x, kx, g.out_width());
      if (out_x < 0) continue;
      const std::int64_t from = output_index(g, n, out_y, out_x);
      for (int o = 0; o < g.out_channels; ++o) {
        sum += load(g.dtype, d_output, from + o) * load(g.dtype, weight, weight_index(g, o, ky, kx) + i);
      }
    }
  }
  return sum;
}

/// d_weight[o, ky, kx, i] = sum over outputs (n, y, x) of d_output[n, y, x, o] and the input that tap read.
double d_weight_element(const ConvGeometry& g, const void* input, const void* d_output, int o, int ky, int kx, int i) {
  double sum = 0;
  for (int n = 0; n < g.batch; ++n) {
    for (int y = 0; y < g.out_height(); ++y) {
      const int in_y = y * g.stride - g.padding + ky;
      if (in_y < 0 || in_y >= g.height) continue;
      for (int x = 0; x < g.out_width(); ++x) {
        const int in_x = x * g.stride - g.padding + kx;
        if (in_x < 0 || in_x >= g.width) continue;
        sum += load(g.dtype, d_output, output_index(g, n, y, x) + o) *
               load(g.dtype, input, input_index(g, n, in_y, in_x) + i);
      }
    }
  }
  return sum;
}

}  // namespace

void ReferenceBackend::conv2d_forward(const ConvGeometry& geometry, const void* input, const void* weight, void* output,
                                      void* /*scratch*/) {
  for (int n = 0; n < geometry.batch; ++n) {
    for (int y = 0; y < geometry.out_height(); ++y) {
      for (int x = 0; x < geometry.out_width(); ++x) {
        for (int o = 0; o < geometry.out_channels; ++o) {
          store(geometry.dtype, output, output_index(geometry, n, y, x) + o,
                output_element(geometry, input, weight, n, y, x, o));
        }
      }
    }
  }
}

void ReferenceBackend::conv2d_backward_data(const ConvGeometry& geometry, const void* d_output, const void* weight,
                                            void* d_input, GradMode mode, void* /*scratch*/) {
  for (int n = 0; n < geometry.batch; ++n) {
    for (int y = 0; y < geometry.height; ++y) {
      for (int x = 0; x < geometry.width; ++x) {
        for (int i = 0; i < geometry.in_channels; ++i) {
          store_gradient(geometry.dtype, d_input, input_index(geometry, n, y, x) + i,
                         d_input_element(geometry, d_output, weight, n, y, x, i), mode);
        }
      }
    }
  }
}

void ReferenceBackend::conv2d_backward_weight(const ConvGeometry& geometry, const void* input, const void* d_output,
                                              float* d_weight, void* /*scratch*/) {
  for (int o = 0; o < geometry.out_channels; ++o) {
    for (int ky = 0; ky < geometry.kernel; ++ky) {
      for (int kx = 0; kx < geometry.kernel; ++kx) {
        for (int i = 0; i < geometry.in_channels; ++i) {
          d_weight[weight_index(geometry, o, ky, kx) + i] =
              static_cast<float>(d_weight_element(geometry, input, d_output, o, ky, kx, i));
        }
      }
    }
  }
}

// ---- batch norm + shortcut + activation + quantizer ---------------------------------------------------------------

namespace {

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
  /// min and max in this order of arguments hand a NaN on.
  double activated(std::int64_t index, int c) const {
    const double value = z(index, c);
    return rule.activation == Activation::none ? value : std::min(std::max(value, 0.0), ceiling());
  }
  /// Whether the activation lets a gradient through.
  bool passes(double value) const { return rule.activation == Activation::none || (value > 0 && value < ceiling()); }
};

/// Mean and variance of one channel of the batch; the running statistics take the unbiased variance.
void batch_statistics(const NormActForwardArgs& args, int c) {
  const auto& [geometry, rule, x, shortcut, parameters, saved, y, scratch, x_unit, shortcut_unit, y_unit] = args;
  const auto rows = static_cast<double>(geometry.rows);
  const double unit = x_unit.value();
  double sum = 0;
  for (std::int64_t row = 0; row < geometry.rows; ++row)
    sum += unit * load(geometry.dtype, x, row * geometry.channels + c);
  const double mean = sum / rows;
  double square_sum = 0;
  for (std::int64_t row = 0; row < geometry.rows; ++row) {
    const double centred = unit * load(geometry.dtype, x, row * geometry.channels + c) - mean;
    square_sum += centred * centred;
  }
  const double unbiased_variance = square_sum / std::max(rows - 1, 1.0);
  const double momentum = rule.momentum;
  saved.mean[c] = static_cast<float>(mean);
  saved.inv_std[c] = static_cast<float>(1.0 / std::sqrt(square_sum / rows + rule.epsilon));
  parameters.running_mean[c] = static_cast<float>((1 - momentum) * parameters.running_mean[c] + momentum * mean);
  parameters.running_var[c] =
      static_cast<float>((1 - momentum) * parameters.running_var[c] + momentum * unbiased_variance);
}

/// The integer level of y; a NaN scale makes every level one.
double level_of(double y, double scale, int bits) {
  return scale == 0 ? 0 : std::nearbyint(y * ((1 << bits) - 1) / scale);
}

}  // namespace

void ReferenceBackend::norm_act_forward(const NormActForwardArgs& args) {
  const auto& [geometry, rule, x, shortcut, parameters, saved, y, scratch, x_unit, shortcut_unit, y_unit] = args;
  for (int c = 0; c < geometry.channels; ++c) {
    if (rule.batch_statistics) {
      batch_statistics(args, c);
    } else {
      saved.mean[c] = parameters.running_mean[c];
      saved.inv_std[c] = static_cast<float>(1.0 / std::sqrt(double{parameters.running_var[c]} + rule.epsilon));
    }
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
    *saved.act_scale = static_cast<float>(largest);
    if (y_unit != nullptr) *y_unit = static_cast<float>(*saved.act_scale / levels);
  }
  for (std::int64_t index = 0; index < count; ++index) {  // y may be x: each element is read before it is written
    double value = element.activated(index, static_cast<int>(index % geometry.channels));
    if (rule.act_bits > 0) {
      const double level = level_of(value, *saved.act_scale, rule.act_bits);
      value = y_unit != nullptr ? level : *saved.act_scale * level / levels;
    }
    store(geometry.dtype, y, index, value);
  }
}

void ReferenceBackend::norm_act_backward(const NormActBackwardArgs& args) {
  const auto& [geometry, rule, d_y, x, shortcut, parameters, saved, d_x, d_shortcut, shortcut_mode, gradients, scratch,
               x_unit, shortcut_unit, y_unit] = args;
  require(rule.batch_statistics, "norm_act_backward: runs with batch statistics only");
  const NormActElement element{geometry, rule, x, shortcut, parameters, saved, x_unit.value(), shortcut_unit.value()};
  const double per_stored_y = y_unit == nullptr ? 1.0 : *y_unit == 0 ? 0.0 : 1.0 / double{*y_unit};
  const auto rows = static_cast<double>(geometry.rows);
  double d_clip = 0;
  for (int c = 0; c < geometry.channels; ++c) {
    double d_beta = 0;
    double d_gamma = 0;
    for (std::int64_t row = 0; row < geometry.rows; ++row) {
      const std::int64_t index = row * geometry.channels + c;
      const double z = element.z(index, c);
      const double d_out = per_stored_y * load(geometry.dtype, d_y, index);
      if (rule.activation == Activation::pact && z >= element.ceiling()) d_clip += d_out;
      if (!element.passes(z)) continue;
      d_beta += d_out;
      d_gamma += d_out * element.x_hat(index, c);
    }
    for (std::int64_t row = 0; row < geometry.rows;
         ++row) {  // d_x may be d_y: each element is read before it is written
      const std::int64_t index = row * geometry.channels + c;
      const double d_z = element.passes(element.z(index, c)) ? per_stored_y * load(geometry.dtype, d_y, index) : 0.0;
      if (d_shortcut != nullptr)
        store_gradient(geometry.dtype, d_shortcut, index, element.shortcut_unit * d_z, shortcut_mode);
      store(geometry.dtype, d_x, index,
            element.x_unit * parameters.gamma[c] * saved.inv_std[c] *
                (d_z - d_beta / rows - element.x_hat(index, c) * d_gamma / rows));
    }
    gradients.d_beta[c] = static_cast<float>(d_beta);
    gradients.d_gamma[c] = static_cast<float>(d_gamma);
  }
  if (rule.activation == Activation::pact) *gradients.d_clip = static_cast<float>(d_clip);
}

}  // namespace bsq
