// Of the runtime's stand-in: streams, events, and graphs, which hold what was enqueued as a list of closures.
//
// Captures are of mode "global", the strictest: while one is under way, calls that CUDA does not allow then fail and
// end the capture, and so does work on the default stream.
#include "tests/cuda_on_host/emulator/runtime.h"

#include <chrono>
#include <mutex>
#include <utility>
#include <vector>

using Clock = std::chrono::steady_clock;

struct CUstream_st {
  bool captures = false;
  bool capture_is_lost = false;
  std::vector<std::function<void()>> recorded;
};
struct CUevent_st {
  bool is_recorded = false;
  Clock::time_point when;
};
struct CUgraph_st {
  std::vector<std::function<void()>> work;
};
struct CUgraphExec_st {
  std::vector<std::function<void()>> work;
};

namespace bsq::cuda_on_host {
namespace {

std::mutex capture_mutex;
cudaStream_t captured_stream = nullptr;  // one at a time is all bsq needs

}  // namespace

cudaError_t refuse_while_capturing(const char* call) {
  if (const cudaError_t refused = refuse(call)) return refused;
  const std::lock_guard lock(capture_mutex);
  if (captured_stream == nullptr) return cudaSuccess;
  captured_stream->capture_is_lost = true;
  return remember(cudaErrorStreamCaptureUnsupported);
}

cudaError_t enqueue(const char* call, cudaStream_t stream, std::function<void()> work) {
  if (const cudaError_t refused = refuse(call)) return refused;
  {
    const std::lock_guard lock(capture_mutex);
    if (stream == nullptr && captured_stream != nullptr) {
      captured_stream->capture_is_lost = true;
      return remember(cudaErrorStreamCaptureImplicit);
    }
    if (stream != nullptr && stream->captures) {
      if (stream->capture_is_lost) return remember(cudaErrorStreamCaptureInvalidated);
      stream->recorded.push_back(std::move(work));
      return cudaSuccess;
    }
  }
  work();
  return cudaSuccess;
}

cudaError_t enqueue_grid(cudaStream_t stream, const GridShape& shape, std::function<void()> thread) {
  if (const cudaError_t refused = check_shape(shape)) return remember(refused);
  return enqueue("cudaLaunchKernelExC", stream, [shape, thread = std::move(thread)] {
    if (error_of_lost_device() == cudaSuccess && next_grid_is_good()) run_grid(shape, thread);
  });
}

}  // namespace bsq::cuda_on_host

using namespace bsq::cuda_on_host;

extern "C" {

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned /*flags*/) {
  if (const cudaError_t refused = refuse("cudaStreamCreateWithFlags")) return refused;
  *stream = new CUstream_st;
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t /*stream*/) {
  return refuse_while_capturing("cudaStreamSynchronize");
}

cudaError_t cudaDeviceSynchronize() {
  return refuse_while_capturing("cudaDeviceSynchronize");
}

// ---- events ---------------------------------------------------------------------------------------------------------

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned /*flags*/) {
  *event = new CUevent_st;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return enqueue("cudaEventRecord", stream, [event] {
    event->is_recorded = true;
    event->when = Clock::now();
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned /*flags*/) {
  return enqueue("cudaStreamWaitEvent", stream, [event] {
    if (!event->is_recorded) remember(cudaErrorInvalidResourceHandle);
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t /*event*/) {
  return refuse_while_capturing("cudaEventSynchronize");
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  if (!begin->is_recorded || !end->is_recorded) return remember(cudaErrorInvalidResourceHandle);
  *milliseconds = std::chrono::duration<float, std::milli>(end->when - begin->when).count();
  return cudaSuccess;
}

// ---- graphs
// -----------------------------------------------------------------------------------------------------------

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode /*mode*/) {
  if (const cudaError_t refused = refuse("cudaStreamBeginCapture")) return refused;
  const std::lock_guard lock(capture_mutex);
  if (stream == nullptr) return remember(cudaErrorStreamCaptureUnsupported);
  if (captured_stream != nullptr) return remember(cudaErrorIllegalState);
  captured_stream = stream;
  stream->captures = true;
  stream->capture_is_lost = false;
  stream->recorded.clear();
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  const std::lock_guard lock(capture_mutex);
  if (stream == nullptr || !stream->captures) return remember(cudaErrorIllegalState);
  captured_stream = nullptr;
  stream->captures = false;
  if (stream->capture_is_lost) return remember(cudaErrorStreamCaptureInvalidated);
  *graph = new CUgraph_st{std::move(stream->recorded)};
  stream->recorded.clear();
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long /*flags*/) {
  if (const cudaError_t refused = refuse("cudaGraphInstantiate")) return refused;
  *executable = new CUgraphExec_st{graph->work};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  return enqueue("cudaGraphLaunch", stream, [executable] {
    for (const auto& step : executable->work) step();
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}

}  // extern "C"
