// oneDNN 2: operation descriptors first, primitive descriptors from them.
#include "kernels/cpu/onednn_convolution.h"

namespace bsq {

ConvolutionPrimitives make_convolution(const ConvolutionDescs& d, const dnnl::engine& engine) {
  constexpr auto direct = dnnl::algorithm::convolution_direct;
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  ConvolutionPrimitives result;
  result.forward = {
      {dnnl::prop_kind::forward_training, direct, d.input, d.weight, d.output, d.strides, d.padding, d.padding},
      attributes,
      engine};
  result.backward_data = {
      {direct, d.input, d.weight, d.output, d.strides, d.padding, d.padding}, attributes, engine, result.forward};
  result.backward_weight = {
      {direct, d.input, d.d_weight, d.output, d.strides, d.padding, d.padding}, attributes, engine, result.forward};
  return result;
}

}  // namespace bsq
