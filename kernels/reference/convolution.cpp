// The oracle: convolution, and the rounding of weights for it. Contracts and formulas: kernels/ops/convolution.h.
#include "kernels/reference/elements.h"
#include "kernels/reference/reference_backend.h"

#include <vector>

namespace bsq {
namespace {

using reference::load;
using reference::store;
using reference::store_gradient;

/// Row-major indices of pixel (n, y, x), channel 0, and of filter tap (o, ky, kx), first channel of its group.
std::int64_t input_index(const ConvGeometry& g, int n, int y, int x) {
  return ((std::int64_t{n} * g.height + y) * g.width + x) * g.in_channels;
}
std::int64_t output_index(const ConvGeometry& g, int n, int y, int x) {
  return ((std::int64_t{n} * g.out_height() + y) * g.out_width() + x) * g.out_channels;
}
std::int64_t weight_index(const ConvGeometry& g, int o, int ky, int kx) {
  return ((std::int64_t{o} * g.kernel + ky) * g.kernel + kx) * g.group_inputs();
}

/// The first input channel that output channel `o` reads.
int first_input(const ConvGeometry& g, int o) {
  return o / g.group_outputs() * g.group_inputs();
}

/// The output coordinate that reads input coordinate `in` through tap `k`, or -1.
int output_coordinate(const ConvGeometry& g, int in, int k, int out_size) {
  const int strided = in + g.padding - k;
  return strided >= 0 && strided % g.stride == 0 && strided / g.stride < out_size ? strided / g.stride : -1;
}

/// output[n, y, x, o] = sum over taps and input channels of o's group of input[n, y stride - padding + ky, ...]
/// weight[o, ky, kx, i].
double output_element(const ConvGeometry& g, const void* input, const void* weight, int n, int y, int x, int o) {
  double sum = 0;
  for (int ky = 0; ky < g.kernel; ++ky) {
    const int in_y = y * g.stride - g.padding + ky;
    if (in_y < 0 || in_y >= g.height) continue;
    for (int kx = 0; kx < g.kernel; ++kx) {
      const int in_x = x * g.stride - g.padding + kx;
      if (in_x < 0 || in_x >= g.width) continue;
      const std::int64_t from = input_index(g, n, in_y, in_x) + first_input(g, o);
      const std::int64_t tap = weight_index(g, o, ky, kx);
      for (int i = 0; i < g.group_inputs(); ++i) sum += load(g.dtype, input, from + i) * load(g.dtype, weight, tap + i);
    }
  }
  return sum;
}

/// The transpose: the sum over every output that read input[n, y, x, i].
double d_input_element(const ConvGeometry& g, const void* d_output, const void* weight, int n, int y, int x, int i) {
  const int first_output = i / g.group_inputs() * g.group_outputs();
  double sum = 0;
  for (int ky = 0; ky < g.kernel; ++ky) {
    const int out_y = output_coordinate(g, y, ky, g.out_height());
    if (out_y < 0) continue;
    for (int kx = 0; kx < g.kernel; ++kx) {
      const int out_x = output_coordinate(g, x, kx, g.out_width());
      if (out_x < 0) continue;
      const std::int64_t from = output_index(g, n, out_y, out_x);
      for (int o = first_output; o < first_output + g.group_outputs(); ++o) {
        sum += load(g.dtype, d_output, from + o) *
               load(g.dtype, weight, weight_index(g, o, ky, kx) + i % g.group_inputs());
      }
    }
  }
  return sum;
}

/// d_weight[o, ky, kx, i] for all i = sum over outputs (n, y, x) of d_output[n, y, x, o] times the input that tap read.
std::vector<double> d_weight_tap(const ConvGeometry& g, const void* input, const void* d_output, int o, int ky,
                                 int kx) {
  std::vector<double> sums(static_cast<std::size_t>(g.group_inputs()));
  for (int n = 0; n < g.batch; ++n) {
    for (int y = 0; y < g.out_height(); ++y) {
      const int in_y = y * g.stride - g.padding + ky;
      if (in_y < 0 || in_y >= g.height) continue;
      for (int x = 0; x < g.out_width(); ++x) {
        const int in_x = x * g.stride - g.padding + kx;
        if (in_x < 0 || in_x >= g.width) continue;
        const double gradient = load(g.dtype, d_output, output_index(g, n, y, x) + o);
        std::int64_t from = input_index(g, n, in_y, in_x) + first_input(g, o);
        for (double& sum : sums) sum += gradient * load(g.dtype, input, from++);
      }
    }
  }
  return sums;
}

}  // namespace

std::size_t ReferenceBackend::conv2d_scratch_bytes(const ConvRequest& request) {
  planned_.add(request.geometry, request.passes);
  return 0;
}

void ReferenceBackend::conv2d_forward(const ConvForwardArgs& args) {
  const auto& [geometry, input, weight, output, scratch, norm, input_norm] = args;
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

void ReferenceBackend::conv2d_backward_data(const ConvBackwardDataArgs& args) {
  const auto& [geometry, d_output, weight, d_input, mode, scratch, norm] = args;
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

void ReferenceBackend::conv2d_backward_weight(const ConvBackwardWeightArgs& args) {
  const auto& [geometry, input, d_output, d_weight, scratch, parts, input_norm] = args;
  planned_.check(geometry, ConvPass::backward_weight);
  for (int o = 0; o < geometry.out_channels; ++o) {
    for (int ky = 0; ky < geometry.kernel; ++ky) {
      for (int kx = 0; kx < geometry.kernel; ++kx) {
        float* to = d_weight + weight_index(geometry, o, ky, kx);
        for (const double sum : d_weight_tap(geometry, input, d_output, o, ky, kx)) *to++ = static_cast<float>(sum);
      }
    }
  }
}

void ReferenceBackend::round_to_bf16(const RoundToBf16Args& args) {
  for (std::int64_t i = 0; i < args.numel; ++i) store(DType::bf16, args.rounded, i, args.values[i]);
}

}  // namespace bsq
