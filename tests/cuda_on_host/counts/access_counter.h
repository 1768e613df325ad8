// Counts the wavefronts of kernels: every access of their threads to shared memory, as accesses of warps. And what they
// access in global memory before they may.
//
// Kernels are compiled for ThreadSanitizer, and linked without it: what the compiler calls at every access is here
// (instrumentation.cpp). The accesses of the lanes of a warp belong together that are of the same instruction, lie
// between the same two barriers of the block, and are for each lane the n-th of these. That is what a device does,
// unless it takes the lanes through an instruction at different times: in a loop of which a lane leaves out a round
// that its neighbours take, or in a function that lanes call from different places.
//
// Instructions are those of the host's compiler: it may keep a value in a register where nvcc reads it once more, or
// the other way round. It leaves accesses as wide as they are in the source (-fno-tree-sra): a float4 is one of 16
// bytes. One of a larger struct is cut into the widest pieces that its size and address allow.
#pragma once

#include "tests/cuda_on_host/counts/wavefronts.h"

#include <functional>
#include <string>
#include <vector>

namespace bsq::cuda_on_host {

/// An instruction, as `addr2line -e PROGRAM` wants it.
struct CountedPlace {
  std::uintptr_t offset = 0;
  Wavefronts wavefronts;
};

struct CountedKernel {
  std::string name;
  std::int64_t launches = 0;
  std::int64_t nodes = 0;  // those of them that a graph made
  std::int64_t accesses = 0;
  std::int64_t early_accesses = 0;  // of threads to global memory, before wait_for_previous()
  Wavefronts wavefronts = {};
  std::vector<CountedPlace> places = {};  // the one that wastes most comes first
};

struct Counts {
  std::vector<CountedKernel> kernels;  // in the order of their first launch
  std::int64_t other_nodes = 0;  // of graphs: what is no kernel of cuda::launch(), but a library's, a copy, a fill
  std::int64_t kernel_nodes() const;
};

/// Of the kernels that `run` runs.
Counts count(const std::function<void()>& run);

// ---- called by instrumented code ------------------------------------------------------------------------------------

void note_access(const volatile void* address, std::size_t size_bytes, bool is_atomic, const void* instruction);

}  // namespace bsq::cuda_on_host
