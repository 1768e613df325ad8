// CudaBackend: memory and graphs; every operation goes to a launcher of kernels.h or to DenseMath.
#include "kernels/cuda/cuda_backend.h"

#include "kernels/base/error.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/device_memory.h"
#include "kernels/cuda/kernel_modules.h"
#include "kernels/cuda/nccl/nccl_communicator.h"

#include <nvtx3/nvToolsExt.h>

namespace bsq::cuda {
namespace {

constexpr int kOldestCapability = 80;  // what the kernels are compiled for

/// A graph, instantiated once and launched at every replay.
class CapturedGraph final : public CapturedWork {
 public:
  CapturedGraph(cudaGraph_t graph, cudaStream_t stream) : stream_(stream) {
    const cudaError_t status = cudaGraphInstantiate(&executable_, graph, 0);
    cudaGraphDestroy(graph);
    BSQ_CUDA_CHECK(status);
  }
  CapturedGraph(const CapturedGraph&) = delete;
  CapturedGraph& operator=(const CapturedGraph&) = delete;
  ~CapturedGraph() override { cudaGraphExecDestroy(executable_); }
  void replay() override { BSQ_CUDA_CHECK(cudaGraphLaunch(executable_, stream_)); }

 private:
  cudaStream_t stream_;
  cudaGraphExec_t executable_ = nullptr;
};

/// Waits for the copy, which waits for the milestone.
void download_on(const Stream& stream, const Milestone& milestone, void* host, const void* device,
                 std::size_t size_bytes) {
  dynamic_cast<const Event&>(milestone).wait();  // here: a copy to pageable memory would wait within the driver
  BSQ_CUDA_CHECK(cudaMemcpyAsync(host, device, size_bytes, cudaMemcpyDeviceToHost, stream.get()));
  BSQ_CUDA_CHECK(cudaStreamSynchronize(stream.get()));
}

/// The device that the next calls mean, made current.
cudaDeviceProp select_device(int device) {
  BSQ_CUDA_CHECK(cudaSetDevice(device));
  cudaDeviceProp properties{};
  BSQ_CUDA_CHECK(cudaGetDeviceProperties(&properties, device));
  return properties;
}

}  // namespace

CudaBackend::CudaBackend(int device, const MathFactory& make_math)
    : device_(device),
      properties_(select_device(device)),
      counters_(GridMemory::kCounters * sizeof(unsigned)),
      sums_(GridMemory::kSumBytes) {
  if (compute_capability() < kOldestCapability)
    fail(ErrorKind::device,
         "device: cuda: {} has compute capability {}.{}, bsq needs 8.0; choose another GPU with CUDA_VISIBLE_DEVICES, "
         "or set device: cpu",
         properties_.name, properties_.major, properties_.minor);
  const std::string obstacle = load_kernels();
  if (!obstacle.empty())
    notes_.push_back(fmt::format(
        "device: cuda: kernels are loaded when they are first used, and not before work is recorded: {}", obstacle));
  fill_zero(counters_.data(), GridMemory::kCounters * sizeof(unsigned));
  math_ = make_math(stream_.get());
}

GridMemory CudaBackend::grid_memory() const {
  return {static_cast<unsigned*>(counters_.data()), sums_.data(), properties_.multiProcessorCount};
}

void CudaBackend::check_count(std::size_t tensors) const {
  if (tensors > GridMemory::kMostTensors)
    fail(ErrorKind::device, "device: cuda: a network of {} quantized tensors; {} at most, or set device: cpu", tensors,
         GridMemory::kMostTensors);
}

std::vector<std::string> CudaBackend::notes() const {
  std::vector<std::string> notes = notes_;
  for (std::string& note : math_->notes()) notes.push_back(std::move(note));
  return notes;
}

std::string CudaBackend::describe() const {
  return fmt::format("cuda, {}, compute capability {}.{}, {}", properties_.name, properties_.major, properties_.minor,
                     math_->describe());
}

bool CudaBackend::supports(Precision /*precision*/, std::string& /*why*/) const {
  return true;  // the oldest device that is taken has tensor cores for all of them
}

std::unique_ptr<Communicator> CudaBackend::connect(Communicator& ranks) {
  return make_nccl_communicator(ranks, device_, stream_.get());
}

// ---- memory ---------------------------------------------------------------------------------------------------------

void* CudaBackend::allocate(std::size_t size_bytes) {
  return allocate_device_memory(size_bytes);
}

void CudaBackend::release(void* data) noexcept {
  release_device_memory(data);
}

void CudaBackend::upload(void* device, const void* host, std::size_t size_bytes) {
  BSQ_CUDA_CHECK(cudaMemcpyAsync(device, host, size_bytes, cudaMemcpyHostToDevice, stream_.get()));
}

void CudaBackend::download(void* host, const void* device, std::size_t size_bytes) {
  BSQ_CUDA_CHECK(cudaMemcpyAsync(host, device, size_bytes, cudaMemcpyDeviceToHost, stream_.get()));
  synchronize();
}

std::unique_ptr<Milestone> CudaBackend::milestone() {
  auto event = std::make_unique<Event>(cudaEventDisableTiming);
  event->record(stream_.get());
  return event;
}

void CudaBackend::download_after(const Milestone& milestone, void* host, const void* device, std::size_t size_bytes) {
  download_on(copies_, milestone, host, device, size_bytes);
}

void CudaBackend::download_aside(const Milestone* milestone, void* host, const void* device, std::size_t size_bytes) {
  BSQ_CUDA_CHECK(cudaSetDevice(device_));  // which every thread chooses anew
  require(milestone != nullptr, "a download beside the work needs a milestone of it");
  download_on(aside_, *milestone, host, device, size_bytes);
}

void CudaBackend::copy(void* to, const void* from, std::size_t size_bytes) {
  BSQ_CUDA_CHECK(cudaMemcpyAsync(to, from, size_bytes, cudaMemcpyDeviceToDevice, stream_.get()));
}

void CudaBackend::fill_zero(void* device, std::size_t size_bytes) {
  BSQ_CUDA_CHECK(cudaMemsetAsync(device, 0, size_bytes, stream_.get()));
}

void CudaBackend::synchronize() {
  BSQ_CUDA_CHECK(cudaStreamSynchronize(stream_.get()));
}

std::unique_ptr<CapturedWork> CudaBackend::capture(std::function<void()> enqueue) {
  cudaGraph_t graph = nullptr;
  // Relaxed: whatever a library still loads or allocates at its first call shall not spoil it. What bsq itself enqueues
  // would pass the strictest mode, in which the emulation of CUDA records whatever mode is asked for.
  BSQ_CUDA_CHECK(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeRelaxed));
  try {
    enqueue();
  } catch (...) {  // the stream must not stay in capture
    cudaStreamEndCapture(stream_.get(), &graph);
    if (graph != nullptr) cudaGraphDestroy(graph);
    throw;
  }
  BSQ_CUDA_CHECK(cudaStreamEndCapture(stream_.get(), &graph));
  return std::make_unique<CapturedGraph>(graph, stream_.get());
}

double CudaBackend::device_seconds(const std::function<void()>& enqueue) {
  Event begin(cudaEventDefault);
  Event end(cudaEventDefault);
  begin.record(stream_.get());
  enqueue();
  end.record(stream_.get());
  return end.seconds_since(begin);
}

// ---- ranges ---------------------------------------------------------------------------------------------------------

void CudaBackend::begin_range(const char* name) {
  nvtxRangePushA(name);
}

void CudaBackend::end_range() noexcept {
  nvtxRangePop();
}

// ---- input and convolution ------------------------------------------------------------------------------------------

void CudaBackend::take_step_inputs(const StepInputs* steps, std::int64_t* taken, StepInputs* inputs) {
  cuda::take_step_inputs(steps, taken, inputs, stream_.get());
}

void CudaBackend::augment(const AugmentArgs& args) {
  cuda::augment(args, stream_.get());
}

std::size_t CudaBackend::conv2d_scratch_bytes(const ConvGeometry& geometry, const ConvPasses& passes) {
  const ConvRequest request{geometry, passes};
  math_->plan_convolutions({&request, 1});
  return math_->conv2d_scratch_bytes(geometry, passes);
}

void CudaBackend::conv2d_forward(const ConvGeometry& geometry, const void* input, const void* weight, void* output,
                                 void* scratch) {
  math_->conv2d_forward(geometry, input, weight, output, scratch);
}

void CudaBackend::conv2d_backward_data(const ConvGeometry& geometry, const void* d_output, const void* weight,
                                       void* d_input, GradMode mode, void* scratch) {
  math_->conv2d_backward_data(geometry, d_output, weight, d_input, mode, scratch);
}

void CudaBackend::conv2d_backward_weight(const ConvGeometry& geometry, const void* input, const void* d_output,
                                         float* d_weight, void* scratch) {
  math_->conv2d_backward_weight(geometry, input, d_output, d_weight, scratch);
}

// ---- batch norm, shortcut, activation, quantizer --------------------------------------------------------------------

std::size_t CudaBackend::norm_act_scratch_bytes(const NormActGeometry& geometry) {
  return cuda::norm_act_scratch_bytes(geometry, grid_memory());
}

void CudaBackend::norm_act_forward(const NormActForwardArgs& args) {
  cuda::norm_act_forward(args, grid_memory(), stream_.get());
}

void CudaBackend::norm_act_backward(const NormActBackwardArgs& args) {
  cuda::norm_act_backward(args, grid_memory(), stream_.get());
}

// ---- head -----------------------------------------------------------------------------------------------------------

void CudaBackend::average_pool_forward(const PoolGeometry& geometry, const void* input, TensorUnit unit,
                                       float* output) {
  cuda::average_pool_forward(geometry, input, unit, output, stream_.get());
}

void CudaBackend::average_pool_backward(const PoolGeometry& geometry, const float* d_output, TensorUnit unit,
                                        void* d_input) {
  cuda::average_pool_backward(geometry, d_output, unit, d_input, stream_.get());
}

namespace {

/// The products of a linear layer: y, dx and dw.
struct LinearProducts {
  GemmGeometry output, d_input, d_weight;

  explicit LinearProducts(const LinearGeometry& g)
      : output{.m = g.batch, .n = g.out_features, .k = g.in_features, .transpose_b = true},
        d_input{.m = g.batch, .n = g.in_features, .k = g.out_features},
        d_weight{.m = g.out_features, .n = g.in_features, .k = g.batch, .transpose_a = true} {}
};

}  // namespace

void CudaBackend::plan_linear(const LinearGeometry& geometry, bool backward) {
  if (is_small(geometry)) return;  // own kernels
  const LinearProducts products(geometry);
  math_->plan_gemm(products.output, GradMode::accumulate);
  if (!backward) return;
  math_->plan_gemm(products.d_input, GradMode::overwrite);
  math_->plan_gemm(products.d_weight, GradMode::overwrite);
}

void CudaBackend::linear_forward(const LinearGeometry& geometry, const float* input, const float* weight,
                                 const float* bias, float* output) {
  if (is_small(geometry)) return cuda::linear_forward(geometry, input, weight, bias, output, stream_.get());
  fill_with_bias(geometry, bias, output, stream_.get());
  math_->gemm(LinearProducts(geometry).output, input, weight, GradMode::accumulate, output);
}

void CudaBackend::linear_backward(const LinearGeometry& geometry, const float* d_output, const float* input,
                                  const float* weight, float* d_input, float* d_weight, float* d_bias) {
  if (is_small(geometry))
    return cuda::linear_backward(geometry, d_output, input, weight, d_input, d_weight, d_bias, stream_.get());
  const LinearProducts products(geometry);
  math_->gemm(products.d_input, d_output, weight, GradMode::overwrite, d_input);
  math_->gemm(products.d_weight, d_output, input, GradMode::overwrite, d_weight);
  bias_gradient(geometry, d_output, d_bias, stream_.get());
}

void CudaBackend::softmax_cross_entropy(int batch, int classes, const float* logits, const std::int32_t* labels,
                                        float* d_logits, const StepInputs* inputs, StepMetrics* metrics) {
  cuda::softmax_cross_entropy(batch, classes, logits, labels, d_logits, inputs, metrics, grid_memory(), stream_.get());
}

// ---- weights --------------------------------------------------------------------------------------------------------

std::size_t CudaBackend::planes_scratch_bytes(const DeviceTable<PlaneTensor>& tensors) {
  check_count(tensors.host.size());
  for (const PlaneTensor& tensor : tensors.host)  // or nobody would arrive for it, and all would wait
    require(tensor.numel > 0, "a tensor of bit planes without weights");
  return cuda::planes_scratch_bytes(tensors.host);
}

void CudaBackend::weights_from_planes(const PlanesForwardArgs& args) {
  cuda::weights_from_planes(args, grid_memory(), stream_.get());
}

void CudaBackend::planes_step(const PlanesStepArgs& args) {
  cuda::planes_step(args, grid_memory(), stream_.get());
}

std::size_t CudaBackend::fixed_scratch_bytes(const DeviceTable<FixedTensor>& tensors) {
  check_count(tensors.host.size());
  return cuda::fixed_scratch_bytes(tensors.host);
}

void CudaBackend::weights_from_fixed(const FixedForwardArgs& args) {
  cuda::weights_from_fixed(args, stream_.get());
}

void CudaBackend::fixed_step(const FixedStepArgs& args) {
  cuda::fixed_step(args, grid_memory(), stream_.get());
}

void CudaBackend::count_planes(const PlaneCountArgs& args) {
  cuda::count_planes(args, stream_.get());
}

void CudaBackend::count_fixed(const FixedCountArgs& args) {
  cuda::count_fixed(args, stream_.get());
}

void CudaBackend::round_to_bf16(std::int64_t numel, const float* values, void* rounded) {
  cuda::round_to_bf16(numel, values, rounded, stream_.get());
}

void CudaBackend::sgd_step(std::int64_t numel, const SgdRule& rule, const StepInputs* inputs, const float* gradient,
                           float* parameter, float* momentum) {
  cuda::sgd_step(numel, rule, inputs, gradient, parameter, momentum, stream_.get());
}

}  // namespace bsq::cuda
