// oneDNN 3: primitive descriptors from the arguments themselves.
#include "kernels/cpu/onednn_convolution.h"

namespace bsq {

ConvolutionPrimitives make_convolution(const ConvolutionDescs& d, const dnnl::engine& engine) {
  constexpr auto direct = dnnl::algorithm::convolution_direct;
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  ConvolutionPrimitives result;
  result.forward = {engine,    dnnl::prop_kind::forward_training,
                    direct,    d.input,
                    d.weight,  d.output,
                    d.strides, d.padding,
                    d.padding, attributes};
  result.backward_data = {engine,    direct,    d.input,   d.weight,       d.output,
                          d.strides, d.padding, d.padding, result.forward, attributes};
  result.backward_weight = {engine,    direct,    d.input,   d.d_weight,     d.output,
                            d.strides, d.padding, d.padding, result.forward, attributes};
  return result;
}

}  // namespace bsq
