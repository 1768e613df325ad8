// Building and running one convolution through cuDNN's graph interface.
//
// A graph of one operation; its engines in the order of the heuristics; the first one is taken that always gives the
// same bits, keeps the promised precision and fits the workspace.
#include "kernels/cuda/cudnn.h"

#include "kernels/cuda/check.h"
#include "kernels/error.h"

#include <algorithm>
#include <utility>

namespace bsq::cuda {
namespace {

enum TensorUid : std::int64_t { kInput = 1, kWeight = 2, kOutput = 3 };

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

/// What the three passes call their parts.
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

/// The operation as a graph of its own; none where cuDNN does not know such an operation.
std::optional<CudnnDescriptor> graph_of(const CudnnTarget& target, const ConvGeometry& geometry, ConvPass pass) {
  const DType weight_dtype = pass == ConvPass::backward_weight ? DType::f32 : geometry.dtype;
  const float alpha = 1;
  const float beta = 0;
  const OperationNames names = names_of(pass);
  CudnnDescriptor operation(names.type);
  operation.set(names.convolution, convolution(geometry));
  operation.set(names.input, tensor(kInput, geometry.dtype, geometry.input_shape()));
  operation.set(names.weight, tensor(kWeight, weight_dtype, geometry.weight_shape()));
  operation.set(names.output, tensor(kOutput, geometry.dtype, geometry.output_shape()));
  operation.set(names.alpha, CUDNN_TYPE_FLOAT, 1, &alpha);
  operation.set(names.beta, CUDNN_TYPE_FLOAT, 1, &beta);
  if (operation.try_finalize() != CUDNN_STATUS_SUCCESS) return std::nullopt;

  CudnnDescriptor graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  target.set_on_graph(graph);
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation);
  if (graph.try_finalize() != CUDNN_STATUS_SUCCESS) return std::nullopt;
  return graph;
}

/// Engine configurations, best first; none where the heuristics do not know the graph.
std::vector<CudnnDescriptor> engine_configs(const CudnnTarget& target, const CudnnDescriptor& graph,
                                            cudnnBackendHeurMode_t mode) {
  CudnnDescriptor heuristics(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph);
  heuristics.set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
  target.set_on_heuristics(heuristics);
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
  return configs;
}

std::vector<cudnnBackendNumericalNote_t> numerical_notes(const CudnnDescriptor& config) {
  CudnnDescriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
  cudnnBackendDescriptor_t raw = engine.get();
  std::int64_t count = 0;
  BSQ_CUDNN_CHECK(cudnnBackendGetAttribute(config.get(), CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1,
                                           &count, &raw));
  std::vector<cudnnBackendNumericalNote_t> notes(CUDNN_NUMERICAL_NOTE_TYPE_COUNT);
  BSQ_CUDNN_CHECK(cudnnBackendGetAttribute(raw, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE,
                                           CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, notes.data()));
  notes.resize(static_cast<std::size_t>(count));
  return notes;
}

/// Same bits at every run, and no operand rounded below what `dtype` promises.
bool is_exact_enough(const std::vector<cudnnBackendNumericalNote_t>& notes, DType dtype, bool allow_tf32) {
  const auto has = [&](cudnnBackendNumericalNote_t note) { return std::ranges::find(notes, note) != notes.end(); };
  if (has(CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC) || has(CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION)) return false;
  if (has(CUDNN_NUMERICAL_NOTE_WINOGRAD) || has(CUDNN_NUMERICAL_NOTE_FFT)) return false;  // digits lost on the way
  if (dtype == DType::bf16) return true;
  if (has(CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS)) return false;  // to 16 bits, which is less than tf32
  return allow_tf32 || !has(CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
}

}  // namespace

void fail_cudnn(cudnnStatus_t status, const char* call, const char* file, int line) {
  const bool is_out_of_memory = status == CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED ||
                                status == CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED;
  fail_library(cudnnGetErrorString(status), is_out_of_memory, call, file, line);
}

CudnnHandle::CudnnHandle(cudaStream_t stream) {
  BSQ_CUDNN_CHECK(cudnnCreate(&handle_));
  const cudnnStatus_t status = cudnnSetStream(handle_, stream);
  if (status == CUDNN_STATUS_SUCCESS) return;
  cudnnDestroy(handle_);
  BSQ_CUDNN_CHECK(status);
}

CudnnHandle::~CudnnHandle() {
  cudnnDestroy(handle_);
}

std::string cudnn_version() {
  constexpr std::size_t major = 10000;
  constexpr std::size_t minor = 100;
  const std::size_t version = cudnnGetVersion();
  return fmt::format("{}.{}.{}", version / major, version % major / minor, version % minor);
}

// ---- descriptors ----------------------------------------------------------------------------------------------------

CudnnDescriptor::CudnnDescriptor(cudnnBackendDescriptorType_t type) {
  BSQ_CUDNN_CHECK(cudnnBackendCreateDescriptor(type, &descriptor_));
}

CudnnDescriptor::CudnnDescriptor(CudnnDescriptor&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, nullptr)) {}

CudnnDescriptor& CudnnDescriptor::operator=(CudnnDescriptor&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

CudnnDescriptor::~CudnnDescriptor() {
  if (descriptor_ != nullptr) cudnnBackendDestroyDescriptor(descriptor_);
}

void CudnnDescriptor::set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, std::int64_t count,
                          const void* values) {
  BSQ_CUDNN_CHECK(cudnnBackendSetAttribute(descriptor_, name, type, count, values));
}

void CudnnDescriptor::set(cudnnBackendAttributeName_t name, const CudnnDescriptor& value) {
  const cudnnBackendDescriptor_t raw = value.get();
  set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &raw);
}

void CudnnDescriptor::set(cudnnBackendAttributeName_t name, const std::vector<std::int64_t>& values) {
  set(name, CUDNN_TYPE_INT64, static_cast<std::int64_t>(values.size()), values.data());
}

cudnnStatus_t CudnnDescriptor::try_finalize() {
  return cudnnBackendFinalize(descriptor_);
}

void CudnnDescriptor::finalize() {
  BSQ_CUDNN_CHECK(cudnnBackendFinalize(descriptor_));
}

// ---- targets --------------------------------------------------------------------------------------------------------

CudnnTarget::CudnnTarget(const std::string& properties_json)
    : properties_(CudnnDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR)) {
  properties_->set(CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, std::ssize(properties_json),
                   properties_json.data());
  properties_->finalize();
}

void CudnnTarget::set_on_graph(CudnnDescriptor& graph) const {
  if (is_there()) graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle_);
}

void CudnnTarget::set_on_engine(CudnnDescriptor& engine) const {
  if (!is_there()) engine.set(CUDNN_ATTR_ENGINE_DEVICEPROP, *properties_);
}

void CudnnTarget::set_on_heuristics(CudnnDescriptor& heuristics) const {
  if (!is_there()) heuristics.set(CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, *properties_);
}

void CudnnTarget::set_on_plan(CudnnDescriptor& plan) const {
  if (is_there())
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, 1, &handle_);
  else
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP, *properties_);
}

// ---- plans ----------------------------------------------------------------------------------------------------------

std::optional<ConvolutionPlan> ConvolutionPlan::find(const CudnnTarget& target, const ConvGeometry& geometry,
                                                     ConvPass pass, const ConvolutionPlanOptions& options) {
  const std::optional<CudnnDescriptor> graph = graph_of(target, geometry, pass);
  ConvolutionPlan plan;
  for (const cudnnBackendHeurMode_t mode : {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK}) {
    if (!graph.has_value()) break;
    for (const CudnnDescriptor& config : engine_configs(target, *graph, mode))
      if (plan.try_engine(target, config, options, geometry.dtype)) return plan;
  }
  if (target.is_there()) BSQ_CUDA_CHECK(cudaDeviceSynchronize());  // or does the device fail whatever it is asked?
  return std::nullopt;
}

bool ConvolutionPlan::try_engine(const CudnnTarget& target, const CudnnDescriptor& config,
                                 const ConvolutionPlanOptions& options, DType dtype) {
  if (!is_exact_enough(numerical_notes(config), dtype, options.allow_tf32)) return false;
  CudnnDescriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
  target.set_on_plan(plan);
  plan.set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, config);
  if (plan.try_finalize() != CUDNN_STATUS_SUCCESS) return false;
  std::int64_t workspace_bytes = 0;
  std::int64_t count = 0;
  BSQ_CUDNN_CHECK(cudnnBackendGetAttribute(plan.get(), CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1,
                                           &count, &workspace_bytes));
  if (static_cast<std::size_t>(workspace_bytes) > options.most_workspace_bytes) return false;
  plan_ = std::move(plan);
  workspace_bytes_ = static_cast<std::size_t>(workspace_bytes);
  return true;
}

void ConvolutionPlan::run(const CudnnHandle& handle, const void* input, const void* weight, const void* output,
                          void* workspace) const {
  const void* pointers[] = {input, weight, output};
  const std::vector<std::int64_t> uids = {kInput, kWeight, kOutput};
  CudnnDescriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, std::ssize(uids), pointers);
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, uids);
  pack.set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
  pack.finalize();
  BSQ_CUDNN_CHECK(cudnnBackendExecute(handle.get(), plan_.get(), pack.get()));
}

}  // namespace bsq::cuda
