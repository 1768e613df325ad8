#include "kernels/cuda/vendor/convolution_engines.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace bsq::cuda {
namespace {

cudnnDataType_t type_of(DType dtype) {
  return dtype == DType::bf16 ? CUDNN_DATA_BFLOAT16 : CUDNN_DATA_FLOAT;
}

/// Dimensions in cuDNN's order N, C, H, W, whatever the layout; strides say that channels are innermost.
CudnnDescriptor tensor(std::int64_t uid, DType dtype, const Shape& channels_last) {
  constexpr std::int64_t alignment_bytes = 16;
  const std::int64_t n = channels_last[0];
  const std::int64_t h = channels_last[1];
  const std::int64_t w = channels_last[2];
  const std::int64_t c = channels_last[3];
  const cudnnDataType_t type = type_of(dtype);
  CudnnDescriptor descriptor(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  descriptor.set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
  descriptor.set(CUDNN_ATTR_TENSOR_DIMENSIONS, {n, c, h, w});
  descriptor.set(CUDNN_ATTR_TENSOR_STRIDES, {h * w * c, 1, w * c, c});
  descriptor.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, {uid});
  descriptor.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, {alignment_bytes});
  descriptor.finalize();
  return descriptor;
}

CudnnDescriptor convolution(const ConvGeometry& geometry) {
  const cudnnDataType_t accumulate_in = CUDNN_DATA_FLOAT;
  const cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
  const std::vector<std::int64_t> strides(2, geometry.stride);
  const std::vector<std::int64_t> padding(2, geometry.padding);
  CudnnDescriptor descriptor(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  descriptor.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &accumulate_in);
  descriptor.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
  descriptor.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, {2});
  descriptor.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, {1, 1});
  descriptor.set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, strides);
  descriptor.set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, padding);
  descriptor.set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, padding);
  descriptor.finalize();
  return descriptor;
}

/// The names that cuDNN gives to the parts of the three passes.
struct OperationNames {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t convolution, input, weight, output, alpha, beta;
};

OperationNames names_of(ConvPass pass) {
  switch (pass) {
    case ConvPass::forward:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA};
    case ConvPass::backward_data:
      return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
              CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA};
    case ConvPass::backward_weight: break;
  }
  return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA};
}

std::optional<CudnnDescriptor> graph_of(const CudnnTarget& target, const ConvGeometry& geometry, ConvPass pass) {
  const DType weight_dtype = pass == ConvPass::backward_weight ? DType::f32 : geometry.dtype;
  const float alpha = 1;
  const float beta = 0;
  const OperationNames names = names_of(pass);
  CudnnDescriptor operation(names.type);
  operation.set(names.convolution, convolution(geometry));
  operation.set(names.input, tensor(kInputUid, geometry.dtype, geometry.input_shape()));
  operation.set(names.weight, tensor(kWeightUid, weight_dtype, geometry.weight_shape()));
  operation.set(names.output, tensor(kOutputUid, geometry.dtype, geometry.output_shape()));
  operation.set(names.alpha, CUDNN_TYPE_FLOAT, 1, &alpha);
  operation.set(names.beta, CUDNN_TYPE_FLOAT, 1, &beta);
  if (operation.try_finalize() != CUDNN_STATUS_SUCCESS) return std::nullopt;

  CudnnDescriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  target.set_on_graph(graph);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation);
  if (graph.try_finalize() != CUDNN_STATUS_SUCCESS) return std::nullopt;
  return graph;
}

ConvEngine describe(const CudnnDescriptor& engine, CudnnDescriptor config, std::string found_by) {
  const auto index = engine.get<std::int64_t>(CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1);
  return {std::move(config), index.empty() ? -1 : index.front(),
          engine.get<cudnnBackendNumericalNote_t>(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                                  CUDNN_NUMERICAL_NOTE_TYPE_COUNT),
          engine.get<cudnnBackendBehaviorNote_t>(CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE,
                                                 CUDNN_BEHAVIOR_NOTE_TYPE_COUNT),
          std::move(found_by)};
}

template <typename Note, std::size_t count>
std::string joined(const std::vector<Note>& notes, const std::string_view (&names)[count]) {
  std::string text;
  for (const Note note : notes) {
    const auto index = static_cast<std::size_t>(note);
    if (!text.empty()) text += ", ";
    text += index < count ? std::string(names[index])
                          : std::to_string(index);  // a number if cuDNN is newer than its headers
  }
  return text;
}

template <typename Note>
bool has(const std::vector<Note>& notes, Note note) {
  return std::ranges::find(notes, note) != notes.end();
}

}  // namespace

bool ConvEngine::uses_tensor_cores() const {
  return has(numerics, CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
}

std::string names_of(const std::vector<cudnnBackendNumericalNote_t>& notes) {
  constexpr std::string_view names[] = {"TENSOR_CORE",
                                        "DOWN_CONVERT_INPUTS",
                                        "REDUCED_PRECISION_REDUCTION",
                                        "FFT",
                                        "NONDETERMINISTIC",
                                        "WINOGRAD",
                                        "WINOGRAD_4x4",
                                        "WINOGRAD_6x6",
                                        "WINOGRAD_13x13",
                                        "STRICT_NAN_PROP"};
  return joined(notes, names);
}

std::string names_of(const std::vector<cudnnBackendBehaviorNote_t>& notes) {
  constexpr std::string_view names[] = {"RUNTIME_COMPILATION", "FILTER_INT8x32_REORDER", "BIAS_INT8x32_REORDER",
                                        "CUDA_GRAPH_NATIVE_API", "CUBLASLT_DEPENDENCY"};
  return joined(notes, names);
}

bool is_exact_enough(const std::vector<cudnnBackendNumericalNote_t>& notes, DType dtype, bool allow_tf32) {
  if (has(notes, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC)) return false;
  if (has(notes, CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION)) return false;
  if (has(notes, CUDNN_NUMERICAL_NOTE_WINOGRAD) || has(notes, CUDNN_NUMERICAL_NOTE_FFT)) return false;  // lose digits
  if (dtype == DType::bf16) return true;
  if (has(notes, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS)) return false;  // to 16 bits, which is less than tf32
  return allow_tf32 || !has(notes, CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
}

std::optional<ConvGraph> ConvGraph::of(const CudnnTarget& target, const ConvGeometry& geometry, ConvPass pass) {
  std::optional<CudnnDescriptor> graph = graph_of(target, geometry, pass);
  if (!graph) return std::nullopt;
  return ConvGraph(target, *std::move(graph));
}

std::vector<ConvEngine> ConvGraph::named_by(cudnnBackendHeurMode_t mode) const {
  CudnnDescriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph_);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
  target_.set_on_heuristics(heuristics);
  if (heuristics.try_finalize() != CUDNN_STATUS_SUCCESS) return {};
  std::int64_t count = 0;
  BSQ_CUDNN_CHECK(cudnnBackendGetAttribute(heuristics.get(), CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                           CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &count, nullptr));
  std::vector<CudnnDescriptor> configs;
  std::vector<cudnnBackendDescriptor_t> raw;
  for (std::int64_t i = 0; i < count; ++i) {
    configs.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    raw.push_back(configs.back().get());
  }
  BSQ_CUDNN_CHECK(cudnnBackendGetAttribute(heuristics.get(), CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                           CUDNN_TYPE_BACKEND_DESCRIPTOR, count, &count, raw.data()));
  configs.erase(configs.begin() + count, configs.end());

  std::vector<ConvEngine> engines;
  for (CudnnDescriptor& config : configs) {
    const CudnnDescriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    cudnnBackendDescriptor_t filled = engine.get();
    BSQ_CUDNN_CHECK(cudnnBackendGetAttribute(config.get(), CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                                             1, &count, &filled));
    engines.push_back(
        describe(engine, std::move(config), mode == CUDNN_HEUR_MODE_FALLBACK ? "fallback" : "heuristics"));
  }
  return engines;
}

}  // namespace bsq::cuda
