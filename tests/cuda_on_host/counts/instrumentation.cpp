// What g++ -fsanitize=thread calls at every access to memory, without ThreadSanitizer behind it.
#include "tests/cuda_on_host/counts/access_counter.h"

#include <cstdint>

using bsq::cuda_on_host::note_access;

#define BSQ_COUNTS_ACCESS(name, size_bytes)                               \
  void __tsan_##name(void* address) {                                     \
    note_access(address, size_bytes, false, __builtin_return_address(0)); \
  }
#define BSQ_COUNTS_RANGE(name)                                            \
  void __tsan_##name##_range(void* address, unsigned long size_bytes) {   \
    note_access(address, size_bytes, false, __builtin_return_address(0)); \
  }
// A load is not counted: the emulator's atomics begin with one, which a device does not have.
#define BSQ_COUNTS_ATOMIC_UPDATE(bits, name)                                                                         \
  std::uint##bits##_t __tsan_atomic##bits##_##name(volatile std::uint##bits##_t* address, std::uint##bits##_t value, \
                                                   int /*order*/) {                                                  \
    note_access(address, bits / 8, true, __builtin_return_address(0));                                               \
    return __atomic_##name(address, value, __ATOMIC_SEQ_CST);                                                        \
  }
#define BSQ_COUNTS_COMPARE_EXCHANGE(bits, strength, is_weak)                                                      \
  int __tsan_atomic##bits##_compare_exchange_##strength(volatile std::uint##bits##_t* address,                    \
                                                        std::uint##bits##_t* expected, std::uint##bits##_t value, \
                                                        int /*order*/, int) {                                     \
    note_access(address, bits / 8, true, __builtin_return_address(0));                                            \
    return __atomic_compare_exchange_n(address, expected, value, is_weak, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);    \
  }
#define BSQ_COUNTS_ATOMICS(bits)                                                                                       \
  std::uint##bits##_t __tsan_atomic##bits##_load(const volatile std::uint##bits##_t* address, int) {                   \
    return __atomic_load_n(address, __ATOMIC_SEQ_CST);                                                                 \
  }                                                                                                                    \
  void __tsan_atomic##bits##_store(volatile std::uint##bits##_t* address, std::uint##bits##_t value, int) {            \
    note_access(address, bits / 8, true, __builtin_return_address(0));                                                 \
    __atomic_store_n(address, value, __ATOMIC_SEQ_CST);                                                                \
  }                                                                                                                    \
  std::uint##bits##_t __tsan_atomic##bits##_exchange(volatile std::uint##bits##_t* address, std::uint##bits##_t value, \
                                                     int) {                                                            \
    note_access(address, bits / 8, true, __builtin_return_address(0));                                                 \
    return __atomic_exchange_n(address, value, __ATOMIC_SEQ_CST);                                                      \
  }                                                                                                                    \
  BSQ_COUNTS_ATOMIC_UPDATE(bits, fetch_add)                                                                            \
  BSQ_COUNTS_ATOMIC_UPDATE(bits, fetch_sub)                                                                            \
  BSQ_COUNTS_ATOMIC_UPDATE(bits, fetch_and)                                                                            \
  BSQ_COUNTS_ATOMIC_UPDATE(bits, fetch_or)                                                                             \
  BSQ_COUNTS_ATOMIC_UPDATE(bits, fetch_xor)                                                                            \
  BSQ_COUNTS_COMPARE_EXCHANGE(bits, weak, true)                                                                        \
  BSQ_COUNTS_COMPARE_EXCHANGE(bits, strong, false)

extern "C" {

BSQ_COUNTS_ACCESS(read1, 1)
BSQ_COUNTS_ACCESS(read2, 2)
BSQ_COUNTS_ACCESS(read4, 4)
BSQ_COUNTS_ACCESS(read8, 8)
BSQ_COUNTS_ACCESS(read16, 16)
BSQ_COUNTS_ACCESS(write1, 1)
BSQ_COUNTS_ACCESS(write2, 2)
BSQ_COUNTS_ACCESS(write4, 4)
BSQ_COUNTS_ACCESS(write8, 8)
BSQ_COUNTS_ACCESS(write16, 16)
BSQ_COUNTS_ACCESS(unaligned_read2, 2)
BSQ_COUNTS_ACCESS(unaligned_read4, 4)
BSQ_COUNTS_ACCESS(unaligned_read8, 8)
BSQ_COUNTS_ACCESS(unaligned_read16, 16)
BSQ_COUNTS_ACCESS(unaligned_write2, 2)
BSQ_COUNTS_ACCESS(unaligned_write4, 4)
BSQ_COUNTS_ACCESS(unaligned_write8, 8)
BSQ_COUNTS_ACCESS(unaligned_write16, 16)
BSQ_COUNTS_RANGE(read)
BSQ_COUNTS_RANGE(write)

void __tsan_init() {}
void __tsan_func_entry(void* /*caller*/) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void** /*address*/, void* /*value*/) {}
void __tsan_vptr_read(void** /*address*/) {}

BSQ_COUNTS_ATOMICS(8)
BSQ_COUNTS_ATOMICS(16)
BSQ_COUNTS_ATOMICS(32)
BSQ_COUNTS_ATOMICS(64)
void __tsan_atomic_thread_fence(int /*order*/) {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
void __tsan_atomic_signal_fence(int /*order*/) {}

}  // extern "C"
