// Device memory for tests, between two guards, so that a write out of bounds is seen.
//
// [guard | data | guard], both guards of guard_bytes, the second starting at the very byte after the data. Data starts
// poisoned: 0xFF everywhere, a NaN in f32, bf16 and f64, so that an output left unwritten is seen too. If the program
// is built with AddressSanitizer, it watches the guards of host memory, so that a read out of bounds is seen as well.
#pragma once

#include "kernels/backend.h"

#include <cstddef>
#include <vector>

extern "C" {  // null without AddressSanitizer
[[gnu::weak]] void __asan_poison_memory_region(const volatile void* begin, std::size_t size_bytes);
[[gnu::weak]] void __asan_unpoison_memory_region(const volatile void* begin, std::size_t size_bytes);
}

namespace bsq::test {

class GuardedBuffer {
 public:
  GuardedBuffer(Backend& backend, std::size_t size_bytes)
      : backend_(backend),
        size_bytes_(size_bytes),
        base_(static_cast<std::byte*>(backend.allocate(size_bytes + 2 * guard_bytes))) {
    backend_.upload(base_, expected_frame().data(), size_bytes_ + 2 * guard_bytes);
    watch_guards();
  }
  GuardedBuffer(const GuardedBuffer&) = delete;
  GuardedBuffer& operator=(const GuardedBuffer&) = delete;
  ~GuardedBuffer() {
    leave_guards();
    backend_.release(base_);
  }

  /// 64-byte aligned.
  void* data() const { return base_ + guard_bytes; }
  std::size_t size_bytes() const { return size_bytes_; }

  template <typename T>
  void set(const std::vector<T>& values) {
    backend_.upload(data(), values.data(), values.size() * sizeof(T));
  }
  template <typename T>
  std::vector<T> get() const {
    std::vector<T> values(size_bytes_ / sizeof(T));
    backend_.download(values.data(), data(), values.size() * sizeof(T));
    return values;
  }
  bool guards_intact() const {
    std::vector<std::byte> frame(size_bytes_ + 2 * guard_bytes);
    leave_guards();
    backend_.download(frame.data(), base_, frame.size());
    watch_guards();
    const std::vector<std::byte> expected = expected_frame();
    for (std::size_t i = 0; i < guard_bytes; ++i) {
      const std::size_t behind = guard_bytes + size_bytes_ + i;
      if (frame[i] != expected[i] || frame[behind] != expected[behind]) return false;
    }
    return true;
  }

 private:
  static constexpr std::size_t guard_bytes = 128;  // two cache lines: as far as a vector store can overshoot

  bool is_host_memory() const { return backend_.name() != "cuda"; }
  void watch_guards() const {
    if (!__asan_poison_memory_region || !is_host_memory()) return;
    __asan_poison_memory_region(base_, guard_bytes);
    __asan_poison_memory_region(base_ + guard_bytes + size_bytes_, guard_bytes);
  }
  void leave_guards() const {
    if (__asan_unpoison_memory_region && is_host_memory())
      __asan_unpoison_memory_region(base_, size_bytes_ + 2 * guard_bytes);
  }

  std::vector<std::byte> expected_frame() const {
    std::vector<std::byte> frame(size_bytes_ + 2 * guard_bytes, std::byte{0xFF});
    for (std::size_t i = 0; i < guard_bytes; ++i) {  // no two neighbours alike
      frame[i] = std::byte(0x40 + i % 61);
      frame[guard_bytes + size_bytes_ + i] = std::byte(0x80 + i % 67);
    }
    return frame;
  }

  Backend& backend_;
  std::size_t size_bytes_ = 0;
  std::byte* base_ = nullptr;
};

}  // namespace bsq::test
