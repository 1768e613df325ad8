// Runs the threads of a grid on one operating system thread: the blocks one after another, every CUDA thread of a block
// a fiber, which runs until it has to wait for others. What kernels see of it is in cuda_on_host.h.
//
// A mistake in a kernel (a barrier not all threads reach, a shuffle whose mask does not name its caller, a deadlock
// ...) is reported on stderr as "cuda_on_host: ..." and ends the program.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <functional>

namespace bsq::cuda_on_host {

/// The order in which blocks, warps and lanes come to run where nothing orders them.
enum class Order { forward, reverse, random };
struct Schedule {
  Order order = Order::forward;
  std::uint64_t seed = 1;
};
/// At first that of the environment: BSQ_CUDA_ON_HOST_ORDER=forward | reverse | random | random:SEED.
Schedule schedule();
void set_schedule(Schedule schedule);

struct GridShape {
  dim3 grid, block;
  std::size_t shared_bytes = 0;
};
/// cudaErrorInvalidConfiguration for a shape that no device takes.
cudaError_t check_shape(const GridShape& shape);
/// Runs `thread`, which calls `kernel`, once for every thread of a grid that check_shape found good. Launches from
/// several host threads run one after another.
void run_grid(const void* kernel, const GridShape& shape, const std::function<void()>& thread);

/// Is told what runs, for programs that count what it would cost. block() answers for the thread that runs.
class Observer {
 public:
  virtual ~Observer() = default;
  virtual void begin_grid(const void* kernel) = 0;
  /// Of the running block, until its end.
  virtual void has_shared_memory(const void* data, std::size_t size_bytes) = 0;
  virtual void end_block() = 0;
};
/// Null: nobody. Not while a grid runs.
void set_observer(Observer* observer);

/// Where in a kernel's source a thread waits. As a default argument, here() is the place of the call.
struct Site {
  const char* file = nullptr;
  int line = 0;
  static constexpr Site here(const char* file = __builtin_FILE(), int line = __builtin_LINE()) { return {file, line}; }
};

// ---- called by a running CUDA thread
// ----------------------------------------------------------------------------------

int lane();

/// Waits for all threads of the block; how many of them passed true.
int block_barrier(bool predicate, const char* operation, Site site);

/// An operation of the lanes named by `mask`: each leaves the address of its operands, the last one to arrive computes
/// all results. slots[l] is null for lanes that take no part.
struct WarpOperation {
  const char* name = nullptr;
  void (*compute)(void* const* slots, unsigned mask) = nullptr;  // null: nothing to compute
  bool orders_memory = false;
};
void warp_rendezvous(unsigned mask, void* slot, const WarpOperation& operation, Site site);

void thread_fence();
/// The running thread may access global memory from now on. One that ends without having called it is a mistake.
void wait_for_previous_kernel();
/// An atomic on `address` follows.
void note_atomic(void* address);

/// A __shared__ variable: one of these for each, and its memory anew for every block, filled with 0xFF (a NaN).
struct SharedVariable {
  std::uint64_t block = 0;
  void* data = nullptr;
};
void* static_shared(SharedVariable& variable, std::size_t size_bytes, std::size_t alignment);
void* dynamic_shared();

[[noreturn]] [[gnu::format(printf, 1, 2)]] void report_mistake(const char* format, ...);

}  // namespace bsq::cuda_on_host

// As in CUDA. Plain globals: only one CUDA thread runs at a time.
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
