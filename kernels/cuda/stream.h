// Streams and events of CUDA that free themselves.
#pragma once

#include "kernels/backend.h"
#include "kernels/cuda/check.h"

#include <cuda_runtime_api.h>

namespace bsq::cuda {

/// A CUDA stream of its own, not synchronised with the default one.
class Stream {
 public:
  Stream() { BSQ_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() { cudaStreamDestroy(stream_); }
  cudaStream_t get() const { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

/// A point in a stream.
class Event final : public Marker {
 public:
  /// cudaEventDefault: the event has a time on the device's clock; cudaEventDisableTiming: it has none, and costs less.
  explicit Event(unsigned flags) { BSQ_CUDA_CHECK(cudaEventCreateWithFlags(&event_, flags)); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() override { cudaEventDestroy(event_); }
  cudaEvent_t get() const { return event_; }
  void record(cudaStream_t stream) { BSQ_CUDA_CHECK(cudaEventRecord(event_, stream)); }
  /// Makes work that is enqueued on `stream` from here on wait for this event, as it was last recorded.
  void hold_back(cudaStream_t stream) const { BSQ_CUDA_CHECK(cudaStreamWaitEvent(stream, event_, 0)); }
  void wait() const { BSQ_CUDA_CHECK(cudaEventSynchronize(event_)); }
  /// Waits for this event; returns the time since an earlier one.
  double seconds_since(const Event& earlier) const {
    wait();
    float milliseconds = 0;
    BSQ_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, earlier.event_, event_));
    return double{milliseconds} / 1e3;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

}  // namespace bsq::cuda
