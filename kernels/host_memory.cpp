// Linux promises more memory than there is, and ends a process that then uses it: what can never be had is refused
// here.
#include "kernels/host_memory.h"

#include "kernels/base/error.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>

namespace bsq {
namespace {

constexpr std::size_t kHostAlignment = 64;

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
    const std::size_t rounded_bytes =
        (std::max<std::size_t>(size_bytes, 1) + kHostAlignment - 1) & ~(kHostAlignment - 1);
    if (void* data = std::aligned_alloc(kHostAlignment, rounded_bytes)) return data;
  }
  const auto mib = [](std::size_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
  fail(ErrorKind::device,
       "out of memory: wanted {:.1f} MiB, {:.1f} MiB are free of {:.1f}; try a smaller data.batch_size",
       mib(size_bytes), mib(available_bytes()), mib(total_bytes()));
}

}  // namespace bsq
