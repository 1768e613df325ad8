// A list, and the place up to which it has been taken.
#include "engine/training/step_feed.h"

#include "kernels/base/error.h"

namespace bsq {

StepFeed::StepFeed(DeviceMemory& memory, const std::string& whose, std::int64_t capacity)
    : backend_(memory.backend()),
      steps_(memory.allocate_array<StepInputs>("step inputs, " + whose, static_cast<std::size_t>(capacity))),
      taken_(memory.allocate_array<std::int64_t>("step inputs taken, " + whose, 1)),
      inputs_(memory.allocate_array<StepInputs>("inputs of the step, " + whose, 1)) {}

void StepFeed::fill(const std::vector<StepInputs>& steps) {
  require(steps.size() * sizeof(StepInputs) <= steps_.size_bytes(), "inputs of {} steps where {} were planned",
          steps.size(), steps_.size_bytes() / sizeof(StepInputs));
  if (!steps.empty()) upload_array(backend_, steps_.as<StepInputs>(), steps);
  filled_ = static_cast<std::int64_t>(steps.size());
  rewind();
}

void StepFeed::rewind() {
  backend_.fill_zero(taken_.data(), taken_.size_bytes());
  replays_ = 0;
}

void StepFeed::enqueue_take() {
  backend_.take_step_inputs({steps_.as<StepInputs>(), taken_.as<std::int64_t>(), inputs_.as<StepInputs>()});
}

void StepFeed::count_replay() {
  require(replays_ < filled_, "a step without inputs: all {} have been taken", filled_);
  ++replays_;
}

}  // namespace bsq
