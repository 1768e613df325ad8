// Spans of a model, one behind the other in an arena of the same device.
#include "engine/model/model_snapshot.h"

#include "kernels/base/error.h"

namespace bsq {
ModelSnapshot::ModelSnapshot(DeviceMemory& memory, const std::string& name, const Model& model, StateScope scope)
    : backend_(memory.backend()), arena_(memory.allocate(name, model.largest_state_bytes(scope))) {}

void ModelSnapshot::take(OnDevice<ModelState> state) {
  std::size_t offset = 0;
  spans_.clear();
  for (const DeviceSpan& span : state.spans) {
    float* place = arena_.as<float>() + offset;
    offset += padded(span.count);
    require(offset * sizeof(float) <= arena_.size_bytes(), "a snapshot of more than the {} bytes planned for it",
            arena_.size_bytes());
    backend_.copy(place, span.data, span.size_bytes());
    spans_.push_back({place, span.count});
  }
  to_host_ = std::move(state.to_host);
  taken_ = backend_.marker();
}

ModelState ModelSnapshot::read() const {
  HostCopies copies;
  for (const DeviceSpan& span : spans_) {
    copies.emplace_back(span.count);
    backend_.download_aside(taken_.get(), copies.back().data(), span.data, span.size_bytes());
  }
  return to_host_(std::move(copies));
}

}  // namespace bsq
