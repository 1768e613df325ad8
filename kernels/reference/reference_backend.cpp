// The oracle, first part: memory, input, convolution. Contracts and formulas: backend.h.
//
// Activations are read and written one element at a time through load() and store(), whatever their dtype; every
// sum runs in double, in the order of the loops; results are rounded once, when they are stored.
#include "kernels/reference/reference_backend.h"

#include "kernels/base/error.h"
#include "kernels/host_memory.h"
#include "kernels/random.h"
#include "kernels/reference/elements.h"

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

void ReferenceBackend::copy(void* to, const void* from, std::size_t size_bytes) {
  if (size_bytes > 0) std::memcpy(to, from, size_bytes);
}

void ReferenceBackend::fill_zero(void* device, std::size_t size_bytes) {
  if (size_bytes > 0) std::memset(device, 0, size_bytes);
}

std::unique_ptr<CapturedWork> ReferenceBackend::capture(std::function<void()> enqueue) {
  return std::make_unique<ReplayedFunction>(std::move(enqueue));
}

// ---- input --------------------------------------------------------------------------------------------------------

void ReferenceBackend::take_step_inputs(const StepInputs* steps, std::int64_t* taken, StepInputs* inputs) {
  *inputs = steps[(*taken)++];
}

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
  planned_.check(geometry, ConvPass::forward);
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
  planned_.check(geometry, ConvPass::backward_data);
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
  planned_.check(geometry, ConvPass::backward_weight);
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

}  // namespace bsq
