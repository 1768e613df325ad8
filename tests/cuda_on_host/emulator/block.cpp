#include "tests/cuda_on_host/emulator/block.h"

#include "tests/cuda_on_host/emulator/matrix.h"
#include "tests/cuda_on_host/emulator/sanitizers.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <cstring>

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace bsq::cuda_on_host {

using sanitizers::Unobserved;

Block& block() {
  static Block the_block;
  return the_block;
}

void Block::begin_grid(const void* kernel, const GridShape& shape, Order order, const std::function<void()>& thread) {
  if (observer_ != nullptr) observer_->begin_grid(kernel);
  blockDim = shape.block;
  gridDim = shape.grid;
  num_threads_ = static_cast<int>(shape.block.x * shape.block.y * shape.block.z);
  num_warps_ = (num_threads_ + kWarpSize - 1) / kWarpSize;
  dynamic_shared_bytes_ = shape.shared_bytes;
  thread_function_ = &thread;
  order_ = order;
  for (int i = 0; i < num_threads_; ++i) {
    Thread& t = threads_[i];
    const auto rank = static_cast<unsigned>(i);
    t.index = {rank % blockDim.x, rank / blockDim.x % blockDim.y, rank / (blockDim.x * blockDim.y)};
    t.warp = i / kWarpSize;
    t.lane = i % kWarpSize;
  }
  host_ = fiber_of_this_thread();
  host_context_ = sanitizers::current_thread();
  if (sanitizers::watches_threads() && blank_context_ == nullptr)
    blank_context_ = sanitizers::make_thread("cuda fence");
  sanitizers::release(&grid_begin_);
}

void Block::end_grid() {
  sanitizers::acquire(&grid_end_);
}

/// xorshift64.
std::uint64_t Block::random() {
  random_state_ ^= random_state_ << 13;
  random_state_ ^= random_state_ >> 7;
  random_state_ ^= random_state_ << 17;
  return random_state_;
}

// ---- one block ------------------------------------------------------------------------------------------------------

void Block::begin_block() {
  ++serial_;
  alive_ = num_threads_;
  arrived_ = votes_ = 0;
  barrier_site_ = {};
  shared_bytes_ = 0;
  {
    const Unobserved unobserved;
    clocks_ = new Clocks;
  }
  dynamic_shared_ = allocate_shared(dynamic_shared_bytes_, 128);
  for (int w = 0; w < num_warps_; ++w) {
    const int lanes = std::min(kWarpSize, num_threads_ - w * kWarpSize);
    warps_[w].ready = warps_[w].alive = ~0U >> (kWarpSize - lanes);
    for (Rendezvous& meeting : warps_[w].rendezvous) meeting.mask = meeting.arrived = 0;
  }
  // Making contexts anew for every block is slow; those of two sets share no ordering, and a block may race with any
  // block of the other set. Sets follow the Thue-Morse sequence, so that neighbours and strides alike meet in both.
  const int set = std::popcount(serial_) & 1;
  for (int i = 0; i < num_threads_; ++i) {
    Thread& t = threads_[i];
    t.state = State::fresh;
    t.has_waited = false;
    if (!sanitizers::watches_threads()) continue;
    if (t.contexts[set] == nullptr) {
      char name[32];
      std::snprintf(name, sizeof name, "cuda thread %d", i);
      t.contexts[set] = sanitizers::make_thread(name);
    }
    t.context = t.contexts[set];
  }
}

void Block::run() {
  begin_block();
  current_ = nullptr;
  Thread* first = pick();
  first->fiber = take_fiber();
  make_current(*first);
  switch_fiber(host_, *first->fiber);  // back when the last thread has exited
  current_ = nullptr;
  if (observer_ != nullptr) observer_->end_block();
  const Unobserved unobserved;
  for (void* allocation : shared_allocations_) std::free(allocation);
  shared_allocations_.clear();
  delete clocks_;
  fenced_parts_.clear();
  atomics_.clear();
}

/// What every fiber runs: one CUDA thread after another, as long as there are any that have not begun. A thread that
/// never waits costs no switch.
void Block::thread_loop() {
  enter_fiber();
  Block& self = block();
  for (;;) {
    constexpr std::size_t touched_bytes = 16 << 10;  // of the stack, by one thread, at most
    sanitizers::forget_accesses(reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)) - touched_bytes,
                                touched_bytes);
    sanitizers::acquire(&self.grid_begin_);
    (*self.thread_function_)();
    sanitizers::release(&self.grid_end_);
    if (!self.has_waited()) report_mistake("this thread ends without wait_for_previous()");
    Fiber* fiber = self.current_->fiber;
    self.on_exit(*self.current_);
    Thread* next = self.pick();
    if (next == nullptr && self.alive_ > 0) self.report_deadlock();
    if (next != nullptr && next->state == State::fresh) {
      next->fiber = fiber;
      self.make_current(*next);
      continue;
    }
    self.idle_fibers_.push_back(fiber);
    if (next != nullptr) {
      self.make_current(*next);
    } else {
      sanitizers::become_thread(self.host_context_);
    }
    Fiber& target = next != nullptr ? *next->fiber : self.host_;
    switch_fiber(*fiber, target);
  }
}

/// The next thread that can run, or null. Forward and reverse stay within a warp as long as they can.
Block::Thread* Block::pick() {
  const bool reverse = order_ == Order::reverse;
  const bool shuffled = order_ == Order::random;
  int w = reverse ? num_warps_ - 1 : 0;
  if (current_ != nullptr) w = current_->warp;
  if (shuffled) w = static_cast<int>(random() % static_cast<unsigned>(num_warps_));
  for (int tried = 0; tried < num_warps_; ++tried) {
    unsigned ready = warps_[w].ready;
    if (ready != 0) {
      if (shuffled) {
        for (auto skip = random() % static_cast<unsigned>(std::popcount(ready)); skip > 0; --skip) ready &= ready - 1;
      }
      const int lane = reverse ? std::bit_width(ready) - 1 : std::countr_zero(ready);
      warps_[w].ready &= ~(1U << lane);
      return &threads_[w * kWarpSize + lane];
    }
    w = (w + (reverse ? num_warps_ - 1 : 1)) % num_warps_;
  }
  return nullptr;
}

void Block::make_current(Thread& thread) {
  current_ = &thread;
  threadIdx = thread.index;
  thread.state = State::ready;
  sanitizers::become_thread(thread.context);
}

Fiber* Block::take_fiber() {
  const Unobserved unobserved;
  if (idle_fibers_.empty()) {
    idle_fibers_.reserve(kMaxFibers);
    return make_fiber(thread_loop);
  }
  Fiber* fiber = idle_fibers_.back();
  idle_fibers_.pop_back();
  return fiber;
}

// ---- waiting
// ----------------------------------------------------------------------------------------------------------

void Block::wait(State state, const char* operation, Site site, unsigned mask) {
  Thread& self = *current_;
  self.state = state;
  self.operation = operation;
  self.site = site;
  self.mask = mask;
  Thread* next = pick();
  if (next == nullptr) report_deadlock();
  if (next->state == State::fresh) next->fiber = take_fiber();
  make_current(*next);
  switch_fiber(*self.fiber, *next->fiber);
}

void Block::wake(Thread& thread) {
  thread.state = State::ready;
  warps_[thread.warp].ready |= 1U << thread.lane;
}

int Block::barrier(bool predicate, const char* operation, Site site) {
  if (arrived_ == 0) {
    barrier_site_ = site;
  } else if (barrier_site_.line != site.line || std::strcmp(barrier_site_.file, site.file) != 0) {
    report_mistake("divergent barrier: this thread is at %s:%d, others wait at %s:%d", site.file, site.line,
                   barrier_site_.file, barrier_site_.line);
  }
  char* clock = &clocks_->barrier[generation_ & 1];
  sanitizers::release(clock);
  votes_ += predicate ? 1 : 0;
  if (++arrived_ == alive_) {
    open_barrier();
  } else {
    wait(State::at_barrier, operation, site, 0);
  }
  sanitizers::acquire(clock);
  return result_;
}

void Block::open_barrier() {
  if (alive_ != num_threads_) {
    report_mistake("barrier at %s:%d: %d of %d threads have exited without reaching it", barrier_site_.file,
                   barrier_site_.line, num_threads_ - alive_, num_threads_);
  }
  result_ = votes_;
  arrived_ = votes_ = 0;
  ++generation_;
  for (int i = 0; i < num_threads_; ++i) {
    if (threads_[i].state == State::at_barrier) wake(threads_[i]);
  }
}

void Block::rendezvous(unsigned mask, void* slot, const WarpOperation& operation, Site site) {
  Thread& self = *current_;
  Warp& warp = warps_[self.warp];
  if ((mask >> self.lane & 1) == 0) {
    report_mistake("%s at %s:%d: mask %08x does not name the calling lane %d", operation.name, site.file, site.line,
                   mask, self.lane);
  }
  Rendezvous& meeting = find_rendezvous(warp, mask);
  if (meeting.arrived == 0) {
    meeting.mask = mask;
    meeting.operation = &operation;
  } else if (meeting.operation != &operation) {
    report_mistake("%s(mask %08x) at %s:%d meets %s in its warp", operation.name, mask, site.file, site.line,
                   meeting.operation->name);
  }
  char* clock = &clocks_->warp[self.warp][&meeting - warp.rendezvous][meeting.generation & 1];
  if (operation.orders_memory) sanitizers::release(clock);
  self.slot = slot;
  meeting.arrived |= 1U << self.lane;
  if (meeting.arrived == (mask & warp.alive)) {
    complete(meeting, &threads_[self.warp * kWarpSize]);
  } else {
    wait(State::at_warp_operation, operation.name, site, mask);
  }
  if (operation.orders_memory) sanitizers::acquire(clock);
}

Block::Rendezvous& Block::find_rendezvous(Warp& warp, unsigned mask) {
  Rendezvous* unused = nullptr;  // never by another mask in this block, if there is such a one: clocks are its own then
  for (Rendezvous& meeting : warp.rendezvous) {
    if (meeting.mask == mask) return meeting;
    if (meeting.arrived == 0 && (unused == nullptr || (unused->mask != 0 && meeting.mask == 0))) unused = &meeting;
  }
  return *unused;
}

void Block::complete(Rendezvous& meeting, Thread* warp_threads) {
  const unsigned arrived = meeting.arrived;
  if (meeting.operation->compute != nullptr) {
    const Unobserved unobserved;  // slots lie on the stacks of other threads
    void* slots[kWarpSize] = {};
    for (int l = 0; l < kWarpSize; ++l) {
      if (arrived >> l & 1) slots[l] = warp_threads[l].slot;
    }
    meeting.operation->compute(slots, arrived);
  }
  meeting.arrived = 0;
  ++meeting.generation;
  for (int l = 0; l < kWarpSize; ++l) {
    if ((arrived >> l & 1) && warp_threads[l].state == State::at_warp_operation) wake(warp_threads[l]);
  }
}

/// Those who waited for a thread that is gone now may go on, or have made a mistake.
void Block::on_exit(Thread& thread) {
  Warp& warp = warps_[thread.warp];
  check_late_copies(static_cast<int>(&thread - threads_));
  thread.state = State::exited;
  warp.alive &= ~(1U << thread.lane);
  --alive_;
  if (arrived_ > 0 && arrived_ == alive_) open_barrier();
  for (Rendezvous& meeting : warp.rendezvous) {
    if (meeting.arrived != 0 && meeting.arrived == (meeting.mask & warp.alive)) {
      complete(meeting, &threads_[thread.warp * kWarpSize]);
    }
  }
}

// ---- fences and atomics ---------------------------------------------------------------------------------------------

// One block's writes are there for another's reads where the first has a fence behind them and then an atomic, the
// second an atomic on the same address and then a fence. Barriers carry either: the fence may be another thread's that
// has come to a barrier in between.

/// As __threadfence().
void Block::fence() {
  if (!sanitizers::watches_threads()) return;
  const unsigned now = generation_;
  for (const Atomic& atomic : atomics_)
    if (atomic.thread == current_ || atomic.barriers != now) sanitizers::acquire(atomic.address);
  if (fenced_parts_.empty() || fenced_parts_.back().barriers != now) {
    const Unobserved unobserved;
    fenced_parts_.push_back({now, std::make_unique<char>()});
  }
  sanitizers::release(fenced_parts_.back().clock.get());
  sanitizers::release(&clocks_->fence[thread()]);
}

/// What lies behind the fences but before the atomic is not given away with it: not the thread that runs leaves its
/// clock at the address, but another, which has seen no more than was fenced.
void Block::note_atomic(void* address) {
  if (!sanitizers::watches_threads()) return;
  {
    const Unobserved unobserved;
    atomics_.push_back({address, current_, generation_});
  }
  if (fenced_parts_.empty()) return;
  sanitizers::become_thread(blank_context_);
  void* messenger = sanitizers::make_thread("cuda fence");
  sanitizers::become_thread(messenger);
  sanitizers::acquire(&clocks_->fence[thread()]);
  for (const FencedPart& part : fenced_parts_)
    if (part.barriers != generation_) sanitizers::acquire(part.clock.get());
  sanitizers::release(address);
  sanitizers::become_thread(current_->context);
  sanitizers::destroy_thread(messenger);
}

void Block::report_deadlock() const {
  static const char* const what[] = {"have not begun", "can run", "wait at", "wait at", "have exited"};
  const Unobserved unobserved;
  std::fprintf(stderr, "cuda_on_host: deadlock in block (%u, %u, %u)\n", blockIdx.x, blockIdx.y, blockIdx.z);
  const auto alike = [](const Thread& a, const Thread& b) {
    return a.state == b.state && a.operation == b.operation && a.site.line == b.site.line && a.mask == b.mask;
  };
  for (int first = 0; first < num_threads_;) {
    int end = first + 1;
    while (end < num_threads_ && alike(threads_[first], threads_[end])) ++end;
    const Thread& t = threads_[first];
    std::fprintf(stderr, "  threads %d to %d %s", first, end - 1, what[static_cast<int>(t.state)]);
    if (t.state == State::at_barrier) std::fprintf(stderr, " %s, %s:%d", t.operation, t.site.file, t.site.line);
    if (t.state == State::at_warp_operation) {
      std::fprintf(stderr, " %s(mask %08x), %s:%d", t.operation, t.mask, t.site.file, t.site.line);
    }
    std::fputc('\n', stderr);
    first = end;
  }
  std::abort();
}

// ---- shared memory
// ----------------------------------------------------------------------------------------------------

/// Of the very size asked for, between AddressSanitizer's red zones, and 0xFF all over: a NaN, never a lucky zero.
void* Block::allocate_shared(std::size_t size_bytes, std::size_t alignment) {
  shared_bytes_ += size_bytes;
  if (shared_bytes_ > kMaxSharedBytes) {
    report_mistake("%zu bytes of shared memory, static and dynamic; a block can have %zu", shared_bytes_,
                   kMaxSharedBytes);
  }
  const Unobserved unobserved;
  void* data = nullptr;
  if (posix_memalign(&data, std::max<std::size_t>(alignment, 16), std::max<std::size_t>(size_bytes, 1)) != 0) {
    report_mistake("no memory for %zu bytes of shared memory", size_bytes);
  }
  std::memset(data, 0xFF, size_bytes);
  shared_allocations_.push_back(data);
  if (observer_ != nullptr) observer_->has_shared_memory(data, size_bytes);
  return data;
}

void* Block::static_shared(SharedVariable& variable, std::size_t size_bytes, std::size_t alignment) {
  if (variable.block != serial_) variable = {serial_, allocate_shared(size_bytes, alignment)};
  return variable.data;
}

}  // namespace bsq::cuda_on_host
