// oneDNN primitives for convolutions, built once per geometry and kept.
#include "kernels/cpu/onednn.h"

#include "kernels/cpu/onednn_convolution.h"
#include "kernels/error.h"

#include <algorithm>

namespace bsq {
namespace {

using Desc = dnnl::memory::desc;
using Dims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;
using Type = dnnl::memory::data_type;

constexpr std::size_t kAlignment = 64;

std::size_t aligned(std::size_t size_bytes) {
  return (size_bytes + kAlignment - 1) / kAlignment * kAlignment;
}

Type type_of(DType dtype) {
  require(dtype == DType::f32 || dtype == DType::bf16, "convolution in {}: only f32 and bf16", name_of(dtype));
  return dtype == DType::bf16 ? Type::bf16 : Type::f32;
}

}  // namespace

ConvolutionDescs::ConvolutionDescs(const ConvGeometry& g) {
  const Type type = type_of(g.dtype);
  const Dims weight_dims{g.out_channels, g.in_channels, g.kernel, g.kernel};
  input = Desc({g.batch, g.in_channels, g.height, g.width}, type, Tag::nhwc);
  output = Desc({g.batch, g.out_channels, g.out_height(), g.out_width()}, type, Tag::nhwc);
  weight = Desc(weight_dims, type, Tag::any);
  d_weight = Desc(weight_dims, Type::f32, Tag::any);
  stored_weight = Desc(weight_dims, type, Tag::ohwi);
  stored_d_weight = Desc(weight_dims, Type::f32, Tag::ohwi);
  strides = {g.stride, g.stride};
  padding = {g.padding, g.padding};
}

ConvolutionCache::Convolution ConvolutionCache::build(const ConvGeometry& geometry) {
  const ConvolutionDescs descs(geometry);
  const auto [forward, backward_data, backward_weight] = make_convolution(descs, engine_);
  Convolution result;
  result.input_desc = descs.input;
  result.output_desc = descs.output;
  result.weight_desc = descs.stored_weight;
  result.d_weight_desc = descs.stored_d_weight;

  const auto fill = [&](Direction& direction, dnnl::primitive primitive, const Desc& weight, const Desc& scratchpad,
                        bool into_primitive) {
    direction.primitive = std::move(primitive);
    direction.weight_desc = weight;
    direction.scratchpad_desc = scratchpad;
    const Desc& stored = into_primitive ? result.weight_desc : result.d_weight_desc;
    direction.reorders = weight != stored;
    if (direction.reorders) {
      const auto reorder = into_primitive ? dnnl::reorder::primitive_desc(engine_, stored, engine_, weight)
                                          : dnnl::reorder::primitive_desc(engine_, weight, engine_, stored);
      direction.reorder = dnnl::reorder(reorder);
    }
    result.scratch_bytes = std::max(result.scratch_bytes, aligned(weight.get_size()) + aligned(scratchpad.get_size()));
  };
  fill(result.forward, dnnl::convolution_forward(forward), forward.weights_desc(), forward.scratchpad_desc(), true);
  fill(result.backward_data, dnnl::convolution_backward_data(backward_data), backward_data.weights_desc(),
       backward_data.scratchpad_desc(), true);
  fill(result.backward_weight, dnnl::convolution_backward_weights(backward_weight), backward_weight.diff_weights_desc(),
       backward_weight.scratchpad_desc(), false);
  result.scratch_bytes += aligned(input_bytes(geometry));
  return result;
}

const ConvolutionCache::Convolution& ConvolutionCache::find(const ConvGeometry& geometry) {
  const auto known = convolutions_.find(geometry);
  if (known != convolutions_.end()) return known->second;
  try {
    return convolutions_.emplace(geometry, build(geometry)).first->second;
  } catch (const dnnl::error& error) {
    fail(ErrorKind::device, "oneDNN has no {} convolution {}x{}x{}x{} -> {} channels, kernel {}, stride {}: {}",
         name_of(geometry.dtype), geometry.batch, geometry.height, geometry.width, geometry.in_channels,
         geometry.out_channels, geometry.kernel, geometry.stride, error.what());
  }
}

ConvolutionCache::Scratch ConvolutionCache::carve(const Direction& direction, void* scratch) const {
  auto* bytes = static_cast<std::byte*>(scratch);
  return {dnnl::memory(direction.weight_desc, engine_, bytes),
          dnnl::memory(direction.scratchpad_desc, engine_, bytes + aligned(direction.weight_desc.get_size()))};
}

std::size_t ConvolutionCache::input_bytes(const ConvGeometry& geometry) {
  return static_cast<std::size_t>(geometry.input_shape().numel()) * size_of(geometry.dtype);
}

std::size_t ConvolutionCache::scratch_bytes(const ConvGeometry& geometry) {
  return find(geometry).scratch_bytes;
}

void ConvolutionCache::forward(const ConvGeometry& geometry, const void* input, const void* weight, void* output,
                               void* scratch) {
  const Convolution& conv = find(geometry);
  Scratch temporary = carve(conv.forward, scratch);
  dnnl::memory source(conv.weight_desc, engine_, const_cast<void*>(weight));
  if (conv.forward.reorders) conv.forward.reorder.execute(stream_, source, temporary.weight);
  conv.forward.primitive.execute(stream_,
                                 {{DNNL_ARG_SRC, dnnl::memory(conv.input_desc, engine_, const_cast<void*>(input))},
                                  {DNNL_ARG_WEIGHTS, conv.forward.reorders ? temporary.weight : source},
                                  {DNNL_ARG_DST, dnnl::memory(conv.output_desc, engine_, output)},
                                  {DNNL_ARG_SCRATCHPAD, temporary.scratchpad}});
}

void ConvolutionCache::backward_data(const ConvGeometry& geometry, const void* d_output, const void* weight,
                                     void* d_input, void* scratch) {
  const Convolution& conv = find(geometry);
  Scratch temporary = carve(conv.backward_data, scratch);
  dnnl::memory source(conv.weight_desc, engine_, const_cast<void*>(weight));
  if (conv.backward_data.reorders) conv.backward_data.reorder.execute(stream_, source, temporary.weight);
  conv.backward_data.primitive.execute(
      stream_, {{DNNL_ARG_DIFF_DST, dnnl::memory(conv.output_desc, engine_, const_cast<void*>(d_output))},
                {DNNL_ARG_WEIGHTS, conv.backward_data.reorders ? temporary.weight : source},
                {DNNL_ARG_DIFF_SRC, dnnl::memory(conv.input_desc, engine_, d_input)},
                {DNNL_ARG_SCRATCHPAD, temporary.scratchpad}});
}

void ConvolutionCache::backward_weight(const ConvGeometry& geometry, const void* input, const void* d_output,
                                       float* d_weight, void* scratch) {
  const Convolution& conv = find(geometry);
  Scratch temporary = carve(conv.backward_weight, scratch);
  dnnl::memory target(conv.d_weight_desc, engine_, d_weight);
  conv.backward_weight.primitive.execute(
      stream_, {{DNNL_ARG_SRC, dnnl::memory(conv.input_desc, engine_, const_cast<void*>(input))},
                {DNNL_ARG_DIFF_DST, dnnl::memory(conv.output_desc, engine_, const_cast<void*>(d_output))},
                {DNNL_ARG_DIFF_WEIGHTS, conv.backward_weight.reorders ? temporary.weight : target},
                {DNNL_ARG_SCRATCHPAD, temporary.scratchpad}});
  if (conv.backward_weight.reorders) conv.backward_weight.reorder.execute(stream_, temporary.weight, target);
}

void gemm(bool transpose_a, bool transpose_b, int m, int n, int k, const float* a, const float* b, float* c) {
  const auto status = dnnl::sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, 1.0F, a,
                                  transpose_a ? m : k, b, transpose_b ? k : n, 0.0F, c, n);
  if (status != dnnl::status::success) fail(ErrorKind::device, "oneDNN sgemm {}x{}x{} failed", m, n, k);
}

std::string describe_onednn() {
  const dnnl_version_t* version = dnnl::version();
  const auto isa = dnnl::get_effective_cpu_isa();
  const char* name = isa >= dnnl::cpu_isa::avx512_core_bf16 ? "avx512_core_bf16"
                     : isa >= dnnl::cpu_isa::avx512_core    ? "avx512_core"
                     : isa >= dnnl::cpu_isa::avx2           ? "avx2"
                                                            : "no avx2";
  return fmt::format("oneDNN {}.{}.{} ({})", version->major, version->minor, version->patch, name);
}

bool onednn_has_bf16() {
  return dnnl::get_effective_cpu_isa() >= dnnl::cpu_isa::avx512_core_bf16;
}

}  // namespace bsq
