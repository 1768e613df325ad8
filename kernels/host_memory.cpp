// Linux promises more memory than there is, and ends a process that then uses it: what can never be had is refused
// here.
#include "kernels/host_memory.h"

#include "kernels/base/error.h"

#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>

namespace bsq {
namespace {

constexpr std::size_t kHostAlignment = 64;

// calloc() alone knows which pages are zero already. What it returned stands in front of the aligned data.
using Header = void*;
constexpr std::size_t kExtraBytes = sizeof(Header) + kHostAlignment;

std::size_t total_bytes() {
  return static_cast<std::size_t>(sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

/// The memory that programs can get, that of cached files included, which sysconf leaves out.
std::size_t available_bytes() {
  std::ifstream file("/proc/meminfo");
  constexpr std::size_t kib = 1024;
  std::size_t amount = 0;
  for (std::string word; file >> word;)
    if (word == "MemAvailable:" && file >> amount) return amount * kib;
  return static_cast<std::size_t>(sysconf(_SC_AVPHYS_PAGES)) * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

void* allocate_host_memory(std::size_t size_bytes) {
  if (size_bytes < total_bytes()) {
    if (void* block = std::calloc(1, size_bytes + kExtraBytes)) {
      const auto first = reinterpret_cast<std::uintptr_t>(block) + sizeof(Header);
      auto* data = static_cast<std::byte*>(block) + sizeof(Header) + (-first & (kHostAlignment - 1));
      reinterpret_cast<Header*>(data)[-1] = block;
      return data;
    }
  }
  const auto mib = [](std::size_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
  fail(ErrorKind::device,
       "out of memory: wanted {:.1f} MiB, {:.1f} MiB are free of {:.1f}; try a smaller data.batch_size",
       mib(size_bytes), mib(available_bytes()), mib(total_bytes()));
}

void release_host_memory(void* data) noexcept {
  if (data != nullptr) std::free(static_cast<Header*>(data)[-1]);
}

}  // namespace bsq
