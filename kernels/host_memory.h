// Memory of the machine, for the backends that compute on it.
#pragma once

#include <cstddef>

namespace bsq {

/// Zeros, aligned to 64 bytes: a cache line, and one AVX-512 register. Pages of a large allocation take up memory when
/// they are first used, so that the plan of a network may be larger than the machine. Throws Error(device) naming what
/// was wanted and what is free.
void* allocate_host_memory(std::size_t size_bytes);
void release_host_memory(void* data) noexcept;

}  // namespace bsq
