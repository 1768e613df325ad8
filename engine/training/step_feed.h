// The inputs of the steps to come, uploaded together: captured work takes those of one replay after the other by
// itself, so that nothing is copied from the host between replays.
#pragma once

#include "engine/memory/device_memory.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bsq {

class StepFeed {
 public:
  /// Holds the inputs of at most `capacity` steps; `whose` names the memory.
  StepFeed(DeviceMemory& memory, const std::string& whose, std::int64_t capacity);

  /// Makes these the next steps, in place of those that have not been taken.
  void fill(const std::vector<StepInputs>& steps);
  /// Gives the same steps once more, from the first.
  void rewind();
  /// What the operations of a step read; enqueue_take() writes it.
  const StepInputs* inputs() const { return inputs_.as<StepInputs>(); }
  /// Belongs at the head of a captured step.
  void enqueue_take();
  /// Counts a replay on the host. Throws Error(internal) if no inputs are left for it.
  void count_replay();

 private:
  Backend& backend_;
  Buffer steps_;   // StepInputs
  Buffer taken_;   // one std::int64_t
  Buffer inputs_;  // one StepInputs
  std::int64_t filled_ = 0;
  std::int64_t replays_ = 0;
};

}  // namespace bsq
