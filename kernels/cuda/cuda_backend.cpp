// CudaBackend: memory and graphs; every operation goes to its launcher (ops/launchers.h).
#include "kernels/cuda/cuda_backend.h"

#include "kernels/base/error.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/device_memory.h"
#include "kernels/cuda/kernel_modules.h"
#include "kernels/cuda/nccl/nccl_communicator.h"
#include "kernels/cuda/own_convolutions.h"

#include <nvtx3/nvToolsExt.h>

#include <algorithm>

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

/// Copies on `stream` after the marker, and waits for the copy.
void download_on(const Stream& stream, const Marker& marker, void* host, const void* device, std::size_t size_bytes) {
  dynamic_cast<const Event&>(marker).wait();  // here: a copy to pageable memory would wait within the driver
  BSQ_CUDA_CHECK(cudaMemcpyAsync(host, device, size_bytes, cudaMemcpyDeviceToHost, stream.get()));
  BSQ_CUDA_CHECK(cudaStreamSynchronize(stream.get()));
}

/// Makes `device` the one that the next calls are for.
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
  math_ = with_own_convolutions(make_math(stream_.get()), context().memory, stream_.get());
}

DeviceContext CudaBackend::context() const {
  return {stream_.get(),
          {static_cast<unsigned*>(counters_.data()), sums_.data(), properties_.multiProcessorCount},
          math_.get()};
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

std::size_t CudaBackend::memory_bytes() const {
  return properties_.totalGlobalMem;
}

bool CudaBackend::supports(Precision /*precision*/, std::string& /*why*/) const {
  return true;  // the oldest device that is taken has tensor cores for all of them
}

std::unique_ptr<Communicator> CudaBackend::connect(Communicator& ranks) {
  return make_nccl_communicator(ranks, device_, stream_.get());
}

// ---- memory ---------------------------------------------------------------------------------------------------------

void* CudaBackend::allocate(std::size_t size_bytes) {
  void* data = allocate_device_memory(size_bytes);
  fill_zero(data, size_bytes);
  return data;
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

std::unique_ptr<Marker> CudaBackend::marker() {
  auto event = std::make_unique<Event>(cudaEventDisableTiming);
  event->record(stream_.get());
  return event;
}

void CudaBackend::download_after(const Marker& marker, void* host, const void* device, std::size_t size_bytes) {
  download_on(copies_, marker, host, device, size_bytes);
}

void CudaBackend::download_aside(const Marker* marker, void* host, const void* device, std::size_t size_bytes) {
  BSQ_CUDA_CHECK(cudaSetDevice(device_));  // every thread chooses its device anew
  require(marker != nullptr, "a download beside the work needs a marker of it");
  download_on(aside_, *marker, host, device, size_bytes);
}

void* CudaBackend::allocate_host(std::size_t size_bytes) {
  void* data = nullptr;
  const cudaError_t status = cudaHostAlloc(&data, std::max<std::size_t>(size_bytes, 1), cudaHostAllocDefault);
  if (status == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());  // not sticky: the device can be used on
    fail(ErrorKind::device,
         "the system has no {:.1f} MiB of page-locked memory, into which images are read for the GPU; try a smaller "
         "data.batch_size and data.eval_batch_size",
         static_cast<double>(size_bytes) / (1024.0 * 1024.0));
  }
  BSQ_CUDA_CHECK(status);
  return data;
}

void CudaBackend::release_host(void* data) noexcept {
  cudaFreeHost(data);
}

std::unique_ptr<Marker> CudaBackend::upload_aside(const Marker* after, void* device, const void* host,
                                                  std::size_t size_bytes) {
  if (after != nullptr) dynamic_cast<const Event&>(*after).hold_back(uploads_.get());
  BSQ_CUDA_CHECK(cudaMemcpyAsync(device, host, size_bytes, cudaMemcpyHostToDevice, uploads_.get()));
  auto end = std::make_unique<Event>(cudaEventDisableTiming);
  end->record(uploads_.get());
  end->hold_back(stream_.get());
  return end;
}

void CudaBackend::wait(const Marker& marker) {
  dynamic_cast<const Event&>(marker).wait();
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
  // Relaxed, so that whatever a library still loads or allocates at its first call does not spoil the capture. What bsq
  // itself enqueues would pass the strictest mode; the emulation of CUDA records in that one whatever is asked for.
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

// ---- the operations -------------------------------------------------------------------------------------------------

void CudaBackend::plan_linear(const LinearGeometry& geometry, bool backward) {
  cuda::plan_linear(geometry, backward, context());
}

#define BSQ_OPERATION(family, name, Args)    \
  void CudaBackend::name(const Args& args) { \
    cuda::name(args, context());             \
  }
#define BSQ_SCRATCH(family, name, Of)           \
  std::size_t CudaBackend::name(const Of& of) { \
    return cuda::name(of, context());           \
  }
#include "kernels/ops/operations.def"

}  // namespace bsq::cuda
