// Kernels with one mistake each, and the same kernels without it. A program of their own runs one and ends as it must:
// killed by a report of the emulator or a sanitizer, or quietly (CMakeLists.txt says which report belongs to which).
#pragma once

#include "kernels/cuda/device/port.h"
#include "tests/cuda_on_host/device_array.h"

#include <string>
#include <vector>

namespace bsq::test {

struct Mistake {
  std::string name;
  void (*wrong)();
  void (*right)();
};

/// Reported by the emulator, in every build.
std::vector<Mistake> execution_mistakes();
/// Missing order between threads: reported by ThreadSanitizer, whatever the order in which the threads happen to run.
std::vector<Mistake> ordering_mistakes();
/// Of the last block of a grid, which finishes what all have begun: reported by ThreadSanitizer, but for a counter that
/// is not reset, which the second of two launches shows.
std::vector<Mistake> last_block_mistakes();
/// Accesses outside of what was allocated or aligned: reported by AddressSanitizer or UBSan.
std::vector<Mistake> memory_mistakes();

}  // namespace bsq::test
