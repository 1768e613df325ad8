// Memory of the machine, for the backends that compute on it.
#pragma once

#include <cstddef>

namespace bsq {

/// Aligned to 64 bytes: a cache line, and one AVX-512 register. Throws Error(device) naming what was wanted and what is
/// free. For std::free().
void* allocate_host_memory(std::size_t size_bytes);

}  // namespace bsq
