// Programmatic dependent launch: a kernel may be launched while the one before it on the stream still runs, so that the
// launch itself takes no time between the two. Its reads and writes have to wait all the same.
//
// For nvcc; the emulation has a wait_for_previous() of its own, and reports a kernel that does not call it.
#pragma once

namespace bsq::cuda {

/// Every thread of every kernel calls this before its first access to global memory; only arithmetic on indices and
/// parameters may stand before it. It lets the next kernel be launched, which waits in its turn, and returns when the
/// previous kernel has ended and all that it wrote is visible; by the same rule all work enqueued before has ended too.
/// Pointers are not __restrict__ and not read by __ldg(): such reads may be moved to before the wait.
__device__ inline void wait_for_previous() {
#if __CUDA_ARCH__ >= 900  // older devices run one kernel of a stream after another
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

}  // namespace bsq::cuda
