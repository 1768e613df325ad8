// oneDNN primitives for convolutions, built once per geometry and kept.
#include "kernels/cpu/onednn.h"

#include "kernels/cpu/onednn_convolution.h"
#include "kernels/planned_passes.h"

#include <algorithm>

namespace bsq {
namespace {

using Desc = dnnl::memory::desc;
using Dims = dnnl::memory::dims;
using Tag = dnnl::memory::format_tag;
using Type = dnnl::memory::data_type;

constexpr std::size_t kAlignment = 64;

constexpr ConvPass kPasses[] = {ConvPass::forward, ConvPass::backward_data, ConvPass::backward_weight};

std::size_t aligned(std::size_t size_bytes) {
  return (size_bytes + kAlignment - 1) / kAlignment * kAlignment;
}

Type type_of(DType dtype) {
  require(dtype == DType::f32 || dtype == DType::bf16, "convolution in {}: only f32 and bf16", name_of(dtype));
  return dtype == DType::bf16 ? Type::bf16 : Type::f32;
}

/// Whether a row or column of a filter meets the image at some output, and not only padding.
bool meets_image(int tap, int outputs, int size, const ConvGeometry& geometry) {
  for (int output = 0; output < outputs; ++output) {
    const int at = output * geometry.stride - geometry.padding + tap;
    if (at >= 0 && at < size) return true;
  }
  return false;
}

/// Where an image is smaller than the filter some weights see nothing but padding. Of those oneDNN 2.6.3 leaves what
/// was there before (bf16, AVX-512, with a stride).
void clear_taps_in_padding(const ConvGeometry& geometry, float* d_weight) {
  const auto inputs = static_cast<std::ptrdiff_t>(geometry.group_inputs());
  for (int y = 0; y < geometry.kernel; ++y) {
    const bool meets_rows = meets_image(y, geometry.out_height(), geometry.height, geometry);
    for (int x = 0; x < geometry.kernel; ++x) {
      if (meets_rows && meets_image(x, geometry.out_width(), geometry.width, geometry)) continue;
      for (int out = 0; out < geometry.out_channels; ++out)
        std::fill_n(d_weight + ((out * geometry.kernel + y) * geometry.kernel + x) * inputs, inputs, 0.0F);
    }
  }
}

}  // namespace

std::size_t ConvolutionCache::Direction::size_bytes() const {
  return aligned(weight_desc.get_size()) + aligned(scratchpad_desc.get_size());
}

ConvolutionDescs::ConvolutionDescs(const ConvGeometry& g) {
  const Type type = type_of(g.dtype);
  const std::int64_t k = g.kernel, inputs = g.group_inputs(), outputs = g.group_outputs(), filter = k * k * inputs;
  Dims weight_dims{outputs, inputs, k, k};
  Dims weight_strides{filter, 1, k * inputs, inputs};
  if (g.groups > 1) {
    weight_dims.insert(weight_dims.begin(), g.groups);
    weight_strides.insert(weight_strides.begin(), outputs * filter);
  }
  input = Desc({g.batch, g.in_channels, g.height, g.width}, type, Tag::nhwc);
  output = Desc({g.batch, g.out_channels, g.out_height(), g.out_width()}, type, Tag::nhwc);
  weight = Desc(weight_dims, type, Tag::any);
  d_weight = Desc(weight_dims, Type::f32, Tag::any);
  stored_weight = Desc(weight_dims, type, weight_strides);
  stored_d_weight = Desc(weight_dims, Type::f32, weight_strides);
  strides = {g.stride, g.stride};
  padding = {g.padding, g.padding};
}

void ConvolutionCache::build(Convolution& convolution, const ConvGeometry& geometry, const ConvPasses& passes) {
  const ConvolutionDescs descs(geometry);
  const auto [forward, backward_data, backward_weight] = make_convolution(descs, engine_);
  convolution.input_desc = descs.input;
  convolution.output_desc = descs.output;
  convolution.weight_desc = descs.stored_weight;
  convolution.d_weight_desc = descs.stored_d_weight;

  const auto fill = [&]<typename Primitive>(ConvPass pass, const typename Primitive::primitive_desc& primitive,
                                            const Desc& weight, bool into_primitive) {
    Direction& direction = convolution.of(pass);
    if (direction.is_planned || !passes.contains(pass)) return;
    direction.primitive = Primitive(primitive);
    direction.implementation = primitive.impl_info_str();
    direction.weight_desc = weight;
    direction.scratchpad_desc = primitive.scratchpad_desc();
    const Desc& stored = into_primitive ? convolution.weight_desc : convolution.d_weight_desc;
    direction.reorders = weight != stored;
    if (direction.reorders) {
      const auto reorder = into_primitive ? dnnl::reorder::primitive_desc(engine_, stored, engine_, weight)
                                          : dnnl::reorder::primitive_desc(engine_, weight, engine_, stored);
      direction.reorder = dnnl::reorder(reorder);
    }
    direction.is_planned = true;
    engines_.push_back({.geometry = geometry,
                        .pass = pass,
                        .engine = "oneDNN " + direction.implementation,
                        .workspace_bytes = direction.scratchpad_desc.get_size()});
  };
  fill.operator()<dnnl::convolution_forward>(ConvPass::forward, forward, forward.weights_desc(), true);
  fill.operator()<dnnl::convolution_backward_data>(ConvPass::backward_data, backward_data, backward_data.weights_desc(),
                                                   true);
  fill.operator()<dnnl::convolution_backward_weights>(ConvPass::backward_weight, backward_weight,
                                                      backward_weight.diff_weights_desc(), false);
}

ConvolutionCache::Convolution& ConvolutionCache::plan(const ConvGeometry& geometry, const ConvPasses& passes) {
  Convolution& convolution = convolutions_[geometry];
  const bool is_planned = std::ranges::all_of(
      kPasses, [&](ConvPass pass) { return !passes.contains(pass) || convolution.of(pass).is_planned; });
  if (is_planned) return convolution;
  try {
    build(convolution, geometry, passes);
  } catch (const dnnl::error& error) {
    fail(ErrorKind::device, "oneDNN has no convolution {}: {}", describe(geometry), error.what());
  }
  return convolution;
}

ConvolutionCache::Convolution& ConvolutionCache::find(const ConvGeometry& geometry, ConvPass pass) {
  const auto known = convolutions_.find(geometry);
  require_planned(geometry, pass, known != convolutions_.end() && known->second.of(pass).is_planned);
  return known->second;
}

ConvolutionCache::Scratch ConvolutionCache::carve(const Direction& direction, void* scratch) const {
  auto* bytes = static_cast<std::byte*>(scratch);
  return {dnnl::memory(direction.weight_desc, engine_, bytes),
          dnnl::memory(direction.scratchpad_desc, engine_, bytes + aligned(direction.weight_desc.get_size()))};
}

std::size_t ConvolutionCache::room_offset(const ConvGeometry& geometry) {
  return find(geometry, ConvPass::backward_data).of(ConvPass::backward_data).size_bytes();
}

std::size_t ConvolutionCache::scratch_bytes(const ConvGeometry& geometry, const ConvPasses& passes) {
  Convolution& convolution = plan(geometry, passes);
  std::size_t most = 0;
  for (const ConvPass pass : kPasses)
    if (passes.contains(pass)) most = std::max(most, convolution.of(pass).size_bytes());
  if (!passes.backward_data) return most;
  const auto input_bytes = static_cast<std::size_t>(geometry.input_shape().numel()) * size_of(geometry.dtype);
  return std::max(most, room_offset(geometry) + aligned(input_bytes));
}

void ConvolutionCache::forward(const ConvGeometry& geometry, const void* input, const void* weight, void* output,
                               void* scratch) {
  Convolution& conv = find(geometry, ConvPass::forward);
  Direction& pass = conv.of(ConvPass::forward);
  Scratch temporary = carve(pass, scratch);
  dnnl::memory source(conv.weight_desc, engine_, const_cast<void*>(weight));
  if (pass.reorders) pass.reorder.execute(stream_, source, temporary.weight);
  pass.primitive.execute(stream_, {{DNNL_ARG_SRC, dnnl::memory(conv.input_desc, engine_, const_cast<void*>(input))},
                                   {DNNL_ARG_WEIGHTS, pass.reorders ? temporary.weight : source},
                                   {DNNL_ARG_DST, dnnl::memory(conv.output_desc, engine_, output)},
                                   {DNNL_ARG_SCRATCHPAD, temporary.scratchpad}});
}

void ConvolutionCache::backward_data(const ConvGeometry& geometry, const void* d_output, const void* weight,
                                     void* d_input, void* scratch) {
  Convolution& conv = find(geometry, ConvPass::backward_data);
  Direction& pass = conv.of(ConvPass::backward_data);
  Scratch temporary = carve(pass, scratch);
  dnnl::memory source(conv.weight_desc, engine_, const_cast<void*>(weight));
  if (pass.reorders) pass.reorder.execute(stream_, source, temporary.weight);
  pass.primitive.execute(stream_,
                         {{DNNL_ARG_DIFF_DST, dnnl::memory(conv.output_desc, engine_, const_cast<void*>(d_output))},
                          {DNNL_ARG_WEIGHTS, pass.reorders ? temporary.weight : source},
                          {DNNL_ARG_DIFF_SRC, dnnl::memory(conv.input_desc, engine_, d_input)},
                          {DNNL_ARG_SCRATCHPAD, temporary.scratchpad}});
}

void ConvolutionCache::backward_weight(const ConvGeometry& geometry, const void* input, const void* d_output,
                                       float* d_weight, void* scratch) {
  Convolution& conv = find(geometry, ConvPass::backward_weight);
  Direction& pass = conv.of(ConvPass::backward_weight);
  Scratch temporary = carve(pass, scratch);
  dnnl::memory target(conv.d_weight_desc, engine_, d_weight);
  pass.primitive.execute(stream_,
                         {{DNNL_ARG_SRC, dnnl::memory(conv.input_desc, engine_, const_cast<void*>(input))},
                          {DNNL_ARG_DIFF_DST, dnnl::memory(conv.output_desc, engine_, const_cast<void*>(d_output))},
                          {DNNL_ARG_DIFF_WEIGHTS, pass.reorders ? temporary.weight : target},
                          {DNNL_ARG_SCRATCHPAD, temporary.scratchpad}});
  if (pass.reorders) pass.reorder.execute(stream_, temporary.weight, target);
  clear_taps_in_padding(geometry, d_weight);
}

void gemm(bool transpose_a, bool transpose_b, int m, int n, int k, float factor, const float* a, const float* b,
          GradMode mode, float* c) {
  const auto status =
      dnnl::sgemm(transpose_a ? 'T' : 'N', transpose_b ? 'T' : 'N', m, n, k, factor, a, transpose_a ? m : k, b,
                  transpose_b ? k : n, mode == GradMode::accumulate ? 1.0F : 0.0F, c, n);
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
