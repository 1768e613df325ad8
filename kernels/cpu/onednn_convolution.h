// The three directions of one convolution as oneDNN primitive descriptors: the one place where its versions 2 and 3
// differ. CMake compiles onednn_convolution_v2.cpp or onednn_convolution_v3.cpp.
#pragma once

#include "kernels/ops/convolution.h"

#include <oneapi/dnnl/dnnl.hpp>

namespace bsq {

/// Activations in NHWC; weights in whatever layout the primitive likes best, `stored` ones in OHWI. Logical order is
/// NCHW / OIHW, or GOIHW of several groups.
struct ConvolutionDescs {
  dnnl::memory::desc input, output, weight, d_weight, stored_weight, stored_d_weight;
  dnnl::memory::dims strides, padding;

  explicit ConvolutionDescs(const ConvGeometry& geometry);
};

struct ConvolutionPrimitives {
  dnnl::convolution_forward::primitive_desc forward;
  dnnl::convolution_backward_data::primitive_desc backward_data;
  dnnl::convolution_backward_weights::primitive_desc backward_weight;
};

/// Uses direct algorithms and a scratchpad of the caller. Throws dnnl::error if there is no such convolution.
ConvolutionPrimitives make_convolution(const ConvolutionDescs& descs, const dnnl::engine& engine);

}  // namespace bsq
