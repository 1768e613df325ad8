// Of the runtime's stand-in: streams, events, and graphs.
//
// Captures are of the mode "thread local": while one is under way, calls of its thread that CUDA does not allow then
// fail and end the capture, and so does work on the default stream. Other streams join a capture by waiting for an
// event of it, and must be waited for before its end. A graph is what was enqueued, as closures, and what each had to
// wait for; of the orders that this leaves open, tests choose one that is bad for a program that forgets to wait
// (emulator/device.h).
#include "tests/cuda_on_host/emulator/launches.h"
#include "tests/cuda_on_host/emulator/runtime.h"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

using Clock = std::chrono::steady_clock;
using NodeIndex = std::size_t;

namespace {

struct Node {
  std::function<void()> work;
  std::vector<NodeIndex> after;
  bool is_aside = false;  // not on the stream that the capture began on
};

struct Capture {
  cudaStream_t origin = nullptr;
  std::thread::id thread = std::this_thread::get_id();
  bool is_lost = false;
  std::vector<Node> nodes;
  std::vector<cudaStream_t> others;  // that have joined
};

}  // namespace

struct CUstream_st {
  std::vector<NodeIndex> latest;  // of the capture: what the next work waits for
  bool captures = false;
};
struct CUevent_st {
  bool is_recorded = false;
  Clock::time_point when;
  std::shared_ptr<Capture> capture;  // of the last record, null where that was none
  std::vector<NodeIndex> nodes;
};
struct CUgraph_st {
  std::vector<Node> nodes;
};
struct CUgraphExec_st {
  std::vector<std::function<void()>> work;  // in the order of its launches
};

namespace bsq::cuda_on_host {
namespace {

std::mutex capture_mutex;
std::shared_ptr<Capture> current;  // one at a time is all bsq needs

cudaError_t lose_capture(cudaError_t status) {
  current->is_lost = true;
  return remember(status);
}

void add_all(std::vector<NodeIndex>& nodes, const std::vector<NodeIndex>& more) {
  for (const NodeIndex node : more)
    if (std::find(nodes.begin(), nodes.end(), node) == nodes.end()) nodes.push_back(node);
}

/// Whether the end of the capture waits for all that other streams do in it.
bool is_joined(const Capture& capture) {
  std::vector<NodeIndex> before = capture.origin->latest;
  for (std::size_t i = 0; i < before.size(); ++i) add_all(before, std::vector(capture.nodes[before[i]].after));
  for (const cudaStream_t stream : capture.others)
    for (const NodeIndex node : stream->latest)
      if (std::find(before.begin(), before.end(), node) == before.end()) return false;
  return true;
}

/// An order in which nothing runs before what it has to wait for.
std::vector<std::function<void()>> in_order(const std::vector<Node>& nodes, bool aside_first) {
  std::vector<std::function<void()>> order;
  std::vector<bool> is_done(nodes.size());
  while (order.size() < nodes.size()) {
    NodeIndex next = nodes.size();
    for (NodeIndex node = 0; node < nodes.size(); ++node) {
      const auto& after = nodes[node].after;
      if (is_done[node] || !std::all_of(after.begin(), after.end(), [&](NodeIndex i) { return is_done[i]; })) continue;
      if (next == nodes.size() || (nodes[next].is_aside != aside_first && nodes[node].is_aside == aside_first))
        next = node;
    }
    order.push_back(nodes[next].work);
    is_done[next] = true;
  }
  return order;
}

/// Without counting it.
cudaError_t enqueue_work(const char* call, cudaStream_t stream, std::function<void()> work) {
  if (const cudaError_t refused = refuse(call)) return refused;
  {
    const std::lock_guard lock(capture_mutex);
    if (stream == nullptr && current != nullptr) return lose_capture(cudaErrorStreamCaptureImplicit);
    if (stream != nullptr && stream->captures) {
      if (current->is_lost) return remember(cudaErrorStreamCaptureInvalidated);
      current->nodes.push_back({std::move(work), std::move(stream->latest), stream != current->origin});
      stream->latest = {current->nodes.size() - 1};
      return cudaSuccess;
    }
  }
  work();
  return cudaSuccess;
}

}  // namespace

cudaError_t refuse_while_capturing(const char* call) {
  if (const cudaError_t refused = refuse(call)) return refused;
  const std::lock_guard lock(capture_mutex);
  if (current == nullptr || current->thread != std::this_thread::get_id()) return cudaSuccess;
  return lose_capture(cudaErrorStreamCaptureUnsupported);
}

cudaError_t enqueue(const char* call, cudaStream_t stream, std::function<void()> work) {
  return enqueue_work(call, stream, [call, work = std::move(work)] {
    count_call(call);
    work();
  });
}

cudaError_t enqueue_grid(cudaStream_t stream, const void* kernel, const GridShape& shape,
                         std::function<void()> thread) {
  if (const cudaError_t refused = check_shape(shape)) return remember(refused);
  return enqueue_work("cudaLaunchKernelExC", stream, [kernel, shape, thread = std::move(thread)] {
    count_launch(kernel);
    if (error_of_lost_device() == cudaSuccess && next_grid_is_good()) run_grid(kernel, shape, thread);
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

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void* data) {
  return enqueue("cudaLaunchHostFunc", stream, [=] { function(data); });
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
  if (const cudaError_t refused = refuse("cudaEventRecord")) return refused;
  const std::lock_guard lock(capture_mutex);
  if (stream != nullptr && stream->captures) {
    event->capture = current;
    event->nodes = stream->latest;
    return cudaSuccess;
  }
  event->capture = nullptr;
  event->is_recorded = true;
  event->when = Clock::now();
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned /*flags*/) {
  if (const cudaError_t refused = refuse("cudaStreamWaitEvent")) return refused;
  const std::lock_guard lock(capture_mutex);
  if (event->capture != nullptr && event->capture != current) return remember(cudaErrorCapturedEvent);
  if (event->capture == nullptr) {
    if (stream->captures) return lose_capture(cudaErrorStreamCaptureIsolation);
    return event->is_recorded ? cudaSuccess : remember(cudaErrorInvalidResourceHandle);
  }
  if (!stream->captures) {
    stream->captures = true;
    stream->latest.clear();
    current->others.push_back(stream);
  }
  add_all(stream->latest, event->nodes);
  return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t /*event*/) {
  return refuse_while_capturing("cudaEventSynchronize");
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t begin, cudaEvent_t end) {
  if (!begin->is_recorded || !end->is_recorded) return remember(cudaErrorInvalidResourceHandle);
  *milliseconds = std::chrono::duration<float, std::milli>(end->when - begin->when).count();
  return cudaSuccess;
}

// ---- graphs ---------------------------------------------------------------------------------------------------------

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode /*mode*/) {
  if (const cudaError_t refused = refuse("cudaStreamBeginCapture")) return refused;
  const std::lock_guard lock(capture_mutex);
  if (stream == nullptr) return remember(cudaErrorStreamCaptureUnsupported);
  if (current != nullptr) return remember(cudaErrorIllegalState);
  current = std::make_shared<Capture>();
  current->origin = stream;
  stream->captures = true;
  stream->latest.clear();
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  *graph = nullptr;
  const std::lock_guard lock(capture_mutex);
  if (stream == nullptr || current == nullptr || current->origin != stream) return remember(cudaErrorIllegalState);
  const std::shared_ptr<Capture> ended = std::exchange(current, nullptr);
  const bool joined = is_joined(*ended);
  stream->captures = false;
  for (const cudaStream_t other : ended->others) other->captures = false;
  if (ended->is_lost) return remember(cudaErrorStreamCaptureInvalidated);
  if (!joined) return remember(cudaErrorStreamCaptureUnjoined);
  *graph = new CUgraph_st{std::move(ended->nodes)};
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long /*flags*/) {
  if (const cudaError_t refused = refuse("cudaGraphInstantiate")) return refused;
  *executable = new CUgraphExec_st{in_order(graph->nodes, device().aside_first)};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  return enqueue("cudaGraphLaunch", stream, [executable] {
    const NodesRun nodes_run;
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
