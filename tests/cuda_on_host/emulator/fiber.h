// Stacks for CUDA threads to run on, and the switch from one to another (x86-64, System V ABI).
//
// A fiber never returns from its entry; it is switched away from for good, or kept for the next CUDA thread.
#pragma once

#include <cstddef>

namespace bsq::cuda_on_host {

struct Fiber {
  void* stack_pointer = nullptr;  // while another one runs
  const void* stack_bottom = nullptr;
  std::size_t stack_bytes = 0;
  void* fake_stack = nullptr;  // AddressSanitizer's, while another one runs
};

constexpr int kMaxFibers = 1024;  // as many as a block can have threads

/// A new fiber that will run `entry` when it is first switched to. At most kMaxFibers; they live as long as the
/// program.
Fiber* make_fiber(void (*entry)());
/// The stack of the calling operating system thread.
Fiber fiber_of_this_thread();
void switch_fiber(Fiber& from, Fiber& to);
/// To be called first thing on a new fiber.
void enter_fiber();

}  // namespace bsq::cuda_on_host
