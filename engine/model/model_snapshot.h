// A copy of a model within device memory: fast to take between two steps, and read by another thread while training
// goes on.
#pragma once

#include "engine/model/model.h"

#include <functional>
#include <memory>
#include <vector>

namespace bsq {

class ModelSnapshot {
 public:
  /// Plans the memory for all of this scope that a model can become.
  ModelSnapshot(DeviceMemory& memory, const std::string& name, const Model& model, StateScope scope);

  /// Enqueues copies of a state of the model as the work enqueued so far leaves it. They replace the snapshot before,
  /// which nobody may be reading.
  void take(OnDevice<ModelState> state);
  /// Downloads what was taken. May be called on one thread beside the one that enqueues.
  ModelState read() const;

 private:
  Backend& backend_;
  Buffer arena_;
  std::vector<DeviceSpan> spans_;  // in the arena
  std::function<ModelState(HostCopies)> to_host_;
  std::unique_ptr<Marker> taken_;
};

}  // namespace bsq
