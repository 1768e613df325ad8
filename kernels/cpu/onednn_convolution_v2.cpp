// oneDNN 2: operation descriptors first, primitive descriptors from them.
#include "kernels/cpu/onednn_convolution.h"

#include <string>

namespace bsq {
namespace {

/// The first implementation of `primitive` that can be trusted. brgconv for AMX reads memory that it has not written,
/// and now and then crashes where it is made (seen in 2.6.3, with a stride).
template <typename PrimitiveDesc>
PrimitiveDesc trusted(PrimitiveDesc primitive) {
  const auto is_faulty = [](const std::string& name) {
    return name.starts_with("brgconv") && name.find("amx") != std::string::npos;
  };
  while (is_faulty(primitive.impl_info_str()))
    if (!primitive.next_impl()) throw dnnl::error(dnnl_unimplemented, "none but brgconv for AMX");
  return primitive;
}

}  // namespace

ConvolutionPrimitives make_convolution(const ConvolutionDescs& d, const dnnl::engine& engine) {
  constexpr auto direct = dnnl::algorithm::convolution_direct;
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  ConvolutionPrimitives result;
  result.forward = trusted<dnnl::convolution_forward::primitive_desc>(
      {{dnnl::prop_kind::forward_training, direct, d.input, d.weight, d.output, d.strides, d.padding, d.padding},
       attributes,
       engine});
  result.backward_data = trusted<dnnl::convolution_backward_data::primitive_desc>(
      {{direct, d.input, d.weight, d.output, d.strides, d.padding, d.padding}, attributes, engine, result.forward});
  result.backward_weight = trusted<dnnl::convolution_backward_weights::primitive_desc>(
      {{direct, d.input, d.d_weight, d.output, d.strides, d.padding, d.padding}, attributes, engine, result.forward});
  return result;
}

}  // namespace bsq
