// Everything that a file of a model holds, on the host and in memory order: what is written, whether the model itself
// is looked at or a snapshot of it.
#pragma once

#include "engine/memory/device_memory.h"
#include "engine/model/stored_weights.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

namespace bsq {

/// Numbers in device memory.
struct DeviceSpan {
  const float* data = nullptr;
  std::size_t count = 0;
  std::size_t size_bytes() const { return count * sizeof(float); }
};

/// Host copies of spans, in their order.
using HostCopies = std::vector<std::vector<float>>;

/// Part of a state in device memory, and the function that makes it from host copies. The function needs nothing but
/// layouts, so that it stays valid on another thread, and after the part has got other bit widths.
template <typename Part>
struct OnDevice {
  std::vector<DeviceSpan> spans;
  std::function<Part(HostCopies)> to_host;
};

/// Waits for the work enqueued so far.
template <typename Part>
Part download(Backend& backend, const OnDevice<Part>& part) {
  HostCopies copies;
  for (const DeviceSpan& span : part.spans) copies.push_back(download_array(backend, span.data, span.count));
  return part.to_host(std::move(copies));
}

struct MomentumState {
  Weights weights;  // numbers of the same shape
  Weights plain;
};

struct ModelState {
  Weights weights;
  Weights plain;
  std::vector<float> statistics;  // of the arena of running statistics
  std::int64_t batches_tracked = 0;
  std::optional<MomentumState> momentum;  // if it was asked for
};

/// Whether the optimizer's state is part of it.
enum class StateScope { model, model_and_momentum };

}  // namespace bsq
