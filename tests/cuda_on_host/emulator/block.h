// The threads of the block that runs now: which of them can go on, who waits where, and what the race detector is told.
//
// Only one block exists at a time, and its object stays from launch to launch: contexts and stacks are expensive.
#pragma once

#include "tests/cuda_on_host/emulator/fiber.h"
#include "tests/cuda_on_host/emulator/scheduler.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace bsq::cuda_on_host {

constexpr int kWarpSize = 32;
constexpr int kMaxThreads = 1024;
constexpr int kMaxWarps = kMaxThreads / kWarpSize;
constexpr std::size_t kMaxSharedBytes = 227 * 1024;  // compute capability 9.0

class Block {
 public:
  /// Before the blocks of a launch: what they have in common.
  void begin_grid(const void* kernel, const GridShape& shape, Order order, const std::function<void()>& thread);
  /// Runs the block blockIdx to its end.
  void run();
  void end_grid();

  /// Continues from launch to launch, so that two runs of one kernel see two orders.
  std::uint64_t random();
  void seed(std::uint64_t seed) { random_state_ = seed * 0x9E3779B97F4A7C15ULL | 1; }

  void set_observer(Observer* observer) { observer_ = observer; }

  int lane() const { return current_->lane; }
  /// Of the thread that runs: its index in the block.
  int thread() const { return static_cast<int>(current_ - threads_); }
  /// How many barriers have opened, over all launches: threads between the same two of them see the same number.
  unsigned barriers() const { return generation_; }
  int barrier(bool predicate, const char* operation, Site site);
  void rendezvous(unsigned mask, void* slot, const WarpOperation& operation, Site site);
  void wait_for_previous_kernel() { current_->has_waited = true; }
  /// Whether the thread that runs has waited for the previous kernel.
  bool has_waited() const { return current_->has_waited; }
  void fence();
  void note_atomic(void* address);
  void* static_shared(SharedVariable& variable, std::size_t size_bytes, std::size_t alignment);
  void* dynamic_shared() const { return dynamic_shared_; }
  bool runs() const { return current_ != nullptr; }

 private:
  enum class State : std::uint8_t { fresh, ready, at_barrier, at_warp_operation, exited };

  struct Thread {
    uint3 index{};
    State state = State::fresh;
    bool has_waited = false;  // for the previous kernel
    int lane = 0;
    int warp = 0;
    Fiber* fiber = nullptr;
    void* context = nullptr;  // of the race detector, one of the two below
    void* contexts[2] = {};
    void* slot = nullptr;             // of a warp operation
    const char* operation = nullptr;  // it waits in this, there
    Site site;
    unsigned mask = 0;
  };
  struct Rendezvous {
    unsigned mask = 0;  // 0: not in use yet
    unsigned arrived = 0;
    unsigned generation = 0;
    const WarpOperation* operation = nullptr;
  };
  struct Warp {
    unsigned ready = 0;  // lanes that can run
    unsigned alive = 0;  // lanes that have not exited
    // One for each mask in use: lanes of different masks may wait at the same time. At most one of a lane is active.
    Rendezvous rendezvous[kWarpSize];
  };
  /// Only the addresses matter: a clock each. Two take turns at every place, or a thread that is already at the next
  /// barrier would be ordered before those that are still leaving this one.
  struct Clocks {
    char barrier[2];
    char warp[kMaxWarps][kWarpSize][2];
    char fence[kMaxThreads];  // of each thread: what came before its fences
  };
  /// What came before the fences of all threads between the same two barriers.
  struct FencedPart {
    unsigned barriers = 0;
    std::unique_ptr<char> clock;
  };
  struct Atomic {
    void* address = nullptr;
    const Thread* thread = nullptr;
    unsigned barriers = 0;
  };

  static void thread_loop();
  Thread* next_thread(Thread& finished);
  void begin_block();
  Thread* pick();
  void make_current(Thread& thread);
  void wait(State state, const char* operation, Site site, unsigned mask);
  void wake(Thread& thread);
  void open_barrier();
  static Rendezvous& find_rendezvous(Warp& warp, unsigned mask);
  void complete(Rendezvous& meeting, Thread* warp_threads);
  void on_exit(Thread& thread);
  Fiber* take_fiber();
  void* allocate_shared(std::size_t size_bytes, std::size_t alignment);
  [[noreturn]] void report_deadlock() const;

  Thread threads_[kMaxThreads];
  Warp warps_[kMaxWarps];
  int num_threads_ = 0;
  int num_warps_ = 0;
  int alive_ = 0;
  Thread* current_ = nullptr;
  const std::function<void()>* thread_function_ = nullptr;
  Observer* observer_ = nullptr;
  Order order_ = Order::forward;
  std::uint64_t random_state_ = 1;
  std::uint64_t serial_ = 0;  // of the block, over all launches

  // the barrier
  int arrived_ = 0;
  int votes_ = 0;
  int result_ = 0;
  unsigned generation_ = 0;
  Site barrier_site_;  // of the first to arrive

  // fibers
  Fiber host_;
  std::vector<Fiber*> idle_fibers_;
  void* host_context_ = nullptr;

  // shared memory
  std::size_t dynamic_shared_bytes_ = 0;
  std::size_t shared_bytes_ = 0;
  void* dynamic_shared_ = nullptr;
  std::vector<void*> shared_allocations_;

  // clocks
  Clocks* clocks_ = nullptr;  // fresh ones for every block
  char grid_begin_ = 0;
  char grid_end_ = 0;
  std::vector<FencedPart> fenced_parts_;  // of this block
  std::vector<Atomic> atomics_;           // of this block
  void* blank_context_ = nullptr;         // has seen nothing of any kernel
};

Block& block();

}  // namespace bsq::cuda_on_host
