// Places buffers with known lifetimes in one arena, so that what is never alive together shares memory.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace bsq {

/// Alive during [first_use, last_use], in steps of the schedule, both ends included.
struct PlannedBuffer {
  std::string name;
  std::size_t size_bytes = 0;
  int first_use = 0;
  int last_use = 0;
  std::size_t offset = 0;  // the planner's answer, a multiple of 64
};

/// Fills in the offsets (largest first, each at the lowest offset free during its lifetime); returns the arena's size.
std::size_t plan_memory(std::vector<PlannedBuffer>& buffers);

}  // namespace bsq
