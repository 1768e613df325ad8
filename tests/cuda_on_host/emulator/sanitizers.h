// What the scheduler tells the sanitizers. All of these are weak: null where the program is built without the one that
// has them, so that one object of the scheduler serves every program.
//
// ThreadSanitizer: every CUDA thread is a "fiber" with a clock of its own; switching is no ordering, only acquire() and
// release() are. Calls must come from code that is not instrumented.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {
[[gnu::weak]] void __sanitizer_start_switch_fiber(void** fake_stack, const void* stack_bottom, std::size_t stack_bytes);
[[gnu::weak]] void __sanitizer_finish_switch_fiber(void* fake_stack, const void** stack_bottom,
                                                   std::size_t* stack_bytes);
[[gnu::weak]] void* __tsan_get_current_fiber();
[[gnu::weak]] void* __tsan_create_fiber(unsigned flags);
[[gnu::weak]] void __tsan_destroy_fiber(void* fiber);
[[gnu::weak]] void __tsan_switch_to_fiber(void* fiber, unsigned flags);
[[gnu::weak]] void __tsan_set_fiber_name(void* fiber, const char* name);
[[gnu::weak]] void __tsan_acquire(void* address);
[[gnu::weak]] void __tsan_release(void* address);
[[gnu::weak]] void __tsan_ignore_thread_begin();
[[gnu::weak]] void __tsan_ignore_thread_end();
[[gnu::weak]] void __tsan_java_init(std::uintptr_t begin, std::uintptr_t size_bytes);
[[gnu::weak]] void __tsan_java_alloc(std::uintptr_t begin, std::uintptr_t size_bytes);
[[gnu::weak]] void __tsan_java_free(std::uintptr_t begin, std::uintptr_t size_bytes);
}

namespace bsq::cuda_on_host::sanitizers {

inline bool watches_threads() {
  return __tsan_create_fiber != nullptr;
}

/// Everything before a release() of an address comes before everything after an acquire() of it that follows.
inline void acquire(void* address) {
  if (__tsan_acquire) __tsan_acquire(address);
}
inline void release(void* address) {
  if (__tsan_release) __tsan_release(address);
}

/// Of whoever runs now. A new one has seen what its maker has.
inline void* current_thread() {
  return __tsan_get_current_fiber ? __tsan_get_current_fiber() : nullptr;
}
inline void* make_thread(const char* name) {
  void* thread = __tsan_create_fiber(0);
  __tsan_set_fiber_name(thread, name);
  return thread;
}
/// Not the one that runs.
inline void destroy_thread(void* thread) {
  __tsan_destroy_fiber(thread);
}
inline void become_thread(void* thread) {
  constexpr unsigned no_ordering = 1;
  if (__tsan_switch_to_fiber) __tsan_switch_to_fiber(thread, no_ordering);
}

/// While one lives, nothing is recorded: for bookkeeping, and for libc calls, which are seen wherever they come from.
class Unobserved {
 public:
  Unobserved() {
    if (__tsan_ignore_thread_begin) __tsan_ignore_thread_begin();
  }
  Unobserved(const Unobserved&) = delete;
  Unobserved& operator=(const Unobserved&) = delete;
  ~Unobserved() {
    if (__tsan_ignore_thread_end) __tsan_ignore_thread_end();
  }
};

/// Stacks are handed from one CUDA thread to another: forget what the one before did there.
inline void announce_stacks(void* begin, std::size_t size_bytes) {
  if (__tsan_java_init) __tsan_java_init(reinterpret_cast<std::uintptr_t>(begin), size_bytes);
}
inline void forget_accesses(std::uintptr_t begin, std::size_t size_bytes) {
  if (!__tsan_java_free) return;
  __tsan_java_free(begin, size_bytes);
  __tsan_java_alloc(begin, size_bytes);
}

}  // namespace bsq::cuda_on_host::sanitizers
