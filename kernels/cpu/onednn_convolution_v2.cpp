// oneDNN 2: operation descriptors first, primitive descriptors from them.
#include "kernels/cpu/onednn_convolution.h"

#include <string>

namespace bsq {
namespace {

/// The first implementation of `primitive` that can be trusted. With several groups, brgconv for AMX reads memory that
/// it has not written, and now and then crashes where it is made (seen in 2.6.3).
template <typename PrimitiveDesc>
PrimitiveDesc trusted(PrimitiveDesc primitive, bool has_groups) {
  const auto is_faulty = [](const std::string& name) {
    return name.starts_with("brgconv") && name.ends_with("amx_bf16");
  };
  while (has_groups && is_faulty(primitive.impl_info_str()))
    if (!primitive.next_impl()) throw dnnl::error(dnnl_unimplemented, "none but brgconv for AMX");
  return primitive;
}

}  // namespace

ConvolutionPrimitives make_convolution(const ConvolutionDescs& d, const dnnl::engine& engine) {
  constexpr auto direct = dnnl::algorithm::convolution_direct;
  constexpr int kDimsWithGroups = 5;
  const bool has_groups = d.weight.data.ndims == kDimsWithGroups;
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  ConvolutionPrimitives result;
  result.forward = trusted<dnnl::convolution_forward::primitive_desc>(
      {{dnnl::prop_kind::forward_training, direct, d.input, d.weight, d.output, d.strides, d.padding, d.padding},
       attributes,
       engine},
      has_groups);
  result.backward_data = trusted<dnnl::convolution_backward_data::primitive_desc>(
      {{direct, d.input, d.weight, d.output, d.strides, d.padding, d.padding}, attributes, engine, result.forward},
      has_groups);
  result.backward_weight = trusted<dnnl::convolution_backward_weights::primitive_desc>(
      {{direct, d.input, d.d_weight, d.output, d.strides, d.padding, d.padding}, attributes, engine, result.forward},
      has_groups);
  return result;
}

}  // namespace bsq
