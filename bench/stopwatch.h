// How long a call keeps the device busy (Backend::device_seconds), with its data in the caches and without.
//
// Warm: calls repeat on the same buffers. On a GPU a sample is the replay of a graph that holds as many calls as last
// about 2 ms, so that neither launches nor events show. Cold: before every call 256 MiB, more than any cache, are read
// and written, or cleared on a GPU, where the call is enqueued while that goes on: this hides its launch, and two
// events remain, a microsecond or two. What the clearing leaves in the caches is written back during the call.
#pragma once

#include "bench/statistics.h"
#include "engine/memory/device_memory.h"
#include "kernels/backend.h"

#include <functional>
#include <memory>

namespace bsq::bench {

using Call = std::function<void()>;

inline bool is_gpu(const Backend& backend) {
  return backend.name() == "cuda";
}

class Stopwatch {
 public:
  /// Every measurement takes samples for `seconds`; 0: two samples.
  Stopwatch(Backend& backend, double seconds) : backend_(backend), seconds_(seconds) {}

  Timing warm(const Call& call);
  Timing cold(const Call& call);
  /// The times that `sample` returns, called again and again after a first call that does not count.
  Timing repeat(const std::function<double()>& sample) const;
  bool has_samples() const { return seconds_ > 0; }

 private:
  void sweep();

  Backend& backend_;
  double seconds_;
  std::unique_ptr<Buffer> swept_;
};

}  // namespace bsq::bench
