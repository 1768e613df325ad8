// The order of the threads, as a test sets it.
#pragma once

#include "tests/cuda_on_host/emulator/scheduler.h"
#include "tests/support/catch.h"

namespace bsq::test {

class ScopedSchedule {
 public:
  explicit ScopedSchedule(cuda_on_host::Schedule schedule) : before_(cuda_on_host::schedule()) {
    cuda_on_host::set_schedule(schedule);
  }
  ScopedSchedule(const ScopedSchedule&) = delete;
  ScopedSchedule& operator=(const ScopedSchedule&) = delete;
  ~ScopedSchedule() { cuda_on_host::set_schedule(before_); }

 private:
  cuda_on_host::Schedule before_;
};

}  // namespace bsq::test
