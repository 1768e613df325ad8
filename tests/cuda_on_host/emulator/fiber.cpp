#include "tests/cuda_on_host/emulator/fiber.h"

#include "tests/cuda_on_host/emulator/sanitizers.h"
#include "tests/cuda_on_host/emulator/scheduler.h"

#include <pthread.h>
#include <sys/mman.h>

extern "C" void bsq_switch_stack(void** save_stack_pointer, void* stack_pointer);

// Saves what a called function has to keep, changes stacks, and returns to where the other fiber had called it.
asm(R"(.text
.globl bsq_switch_stack
.hidden bsq_switch_stack
.type bsq_switch_stack,@function
bsq_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size bsq_switch_stack,.-bsq_switch_stack
)");

namespace bsq::cuda_on_host {
namespace {

constexpr std::size_t kStackBytes = 256 << 10;
constexpr std::size_t kGuardBytes = 4096;  // without access, below each stack: an overflow faults
constexpr int kSavedRegisters = 6;
// The hot frames of all stacks would share the same few sets of the cache; 64-byte steps spread them.
constexpr int kStaggerSteps = 61;

char* map_stacks() {
  const sanitizers::Unobserved unobserved;
  constexpr std::size_t size_bytes = kMaxFibers * kStackBytes;
  void* stacks = mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (stacks == MAP_FAILED) report_mistake("no memory for the stacks of the threads of a block");
  sanitizers::announce_stacks(stacks, size_bytes);
  return static_cast<char*>(stacks);
}

}  // namespace

Fiber* make_fiber(void (*entry)()) {
  static char* const stacks = map_stacks();
  static Fiber fibers[kMaxFibers];
  static int made = 0;
  char* stack = stacks + kStackBytes * made;
  mprotect(stack, kGuardBytes, PROT_NONE);
  Fiber& fiber = fibers[made];
  fiber.stack_bottom = stack + kGuardBytes;
  fiber.stack_bytes = kStackBytes - kGuardBytes;
  auto** top = reinterpret_cast<void**>(stack + kStackBytes - made % kStaggerSteps * 64);
  *--top = nullptr;  // the end of the chain of calls; entry() finds the stack pointer as after a call
  *--top = reinterpret_cast<void*>(entry);
  for (int saved = 0; saved < kSavedRegisters; ++saved) *--top = nullptr;
  fiber.stack_pointer = top;
  ++made;
  return &fiber;
}

Fiber fiber_of_this_thread() {
  thread_local Fiber fiber;
  if (fiber.stack_bottom != nullptr) return fiber;  // asking is slow
  pthread_attr_t attributes;
  void* bottom = nullptr;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &bottom, &fiber.stack_bytes);
  pthread_attr_destroy(&attributes);
  fiber.stack_bottom = bottom;
  return fiber;
}

void switch_fiber(Fiber& from, Fiber& to) {
  if (__sanitizer_start_switch_fiber) {
    __sanitizer_start_switch_fiber(&from.fake_stack, to.stack_bottom, to.stack_bytes);
  }
  bsq_switch_stack(&from.stack_pointer, to.stack_pointer);
  if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(from.fake_stack, nullptr, nullptr);
}

void enter_fiber() {
  if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
}

}  // namespace bsq::cuda_on_host
