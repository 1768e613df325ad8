// What the steps to come read, uploaded together: captured work takes the inputs of one replay after the other by
// itself, so that nothing is copied from the host between replays.
#pragma once

#include "engine/memory/device_memory.h"

#include <cstdint>
#include <string>
#include <vector>

namespace bsq {

class StepFeed {
 public:
  /// For at most `capacity` steps at a time; `whose` names the memory.
  StepFeed(DeviceMemory& memory, const std::string& whose, std::int64_t capacity);

  /// These come next, in place of those that have not been taken.
  void fill(const std::vector<StepInputs>& steps);
  /// The same ones once more, from the first.
  void rewind();
  /// What the operations of a step read; enqueue_take() writes it.
  const StepInputs* inputs() const { return inputs_.as<StepInputs>(); }
  /// At the head of a captured step.
  void enqueue_take();
  /// The host's count of what replays have taken or will: throws Error(internal) if nothing is left for one more.
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
