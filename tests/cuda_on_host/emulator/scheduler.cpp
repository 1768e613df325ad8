#include "tests/cuda_on_host/emulator/scheduler.h"

#include "tests/cuda_on_host/emulator/block.h"
#include "tests/cuda_on_host/emulator/sanitizers.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <numeric>
#include <string_view>
#include <utility>

namespace bsq::cuda_on_host {
namespace {

Schedule schedule_of_environment() {
  const char* variable = std::getenv("BSQ_CUDA_ON_HOST_ORDER");
  const std::string_view text = variable == nullptr ? "forward" : variable;
  if (text == "forward") return {Order::forward, 1};
  if (text == "reverse") return {Order::reverse, 1};
  if (text == "random") return {Order::random, 1};
  if (text.starts_with("random:")) return {Order::random, std::strtoull(variable + 7, nullptr, 10)};
  report_mistake("BSQ_CUDA_ON_HOST_ORDER is '%s'; use forward, reverse, random or random:SEED", variable);
}

Schedule& current_schedule() {
  static Schedule schedule = [] {
    const Schedule at_first = schedule_of_environment();
    block().seed(at_first.seed);
    return at_first;
  }();
  return schedule;
}

std::uint64_t volume(dim3 extent) {
  return std::uint64_t{extent.x} * extent.y * extent.z;
}

}  // namespace

Schedule schedule() {
  return current_schedule();
}

void set_schedule(Schedule schedule) {
  current_schedule() = schedule;
  block().seed(schedule.seed);
}

cudaError_t check_shape(const GridShape& shape) {
  const bool block_fits = volume(shape.block) > 0 && volume(shape.block) <= kMaxThreads && shape.block.x <= 1024 &&
                          shape.block.y <= 1024 && shape.block.z <= 64;
  const bool grid_fits =
      volume(shape.grid) > 0 && shape.grid.x <= 0x7FFFFFFFU && shape.grid.y <= 65535 && shape.grid.z <= 65535;
  return block_fits && grid_fits && shape.shared_bytes <= kMaxSharedBytes ? cudaSuccess : cudaErrorInvalidConfiguration;
}

void set_observer(Observer* observer) {
  block().set_observer(observer);
}

void run_grid(const void* kernel, const GridShape& shape, const std::function<void()>& thread) {
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  Block& the_block = block();
  const Order order = schedule().order;
  the_block.begin_grid(kernel, shape, order, thread);

  const std::uint64_t blocks = volume(shape.grid);
  std::vector<std::uint64_t> shuffled;  // empty: forward or reverse
  if (order == Order::random) {
    shuffled.resize(blocks);
    std::iota(shuffled.begin(), shuffled.end(), std::uint64_t{0});
    for (std::uint64_t i = blocks; i > 1; --i) std::swap(shuffled[i - 1], shuffled[the_block.random() % i]);
  }
  for (std::uint64_t k = 0; k < blocks; ++k) {
    std::uint64_t i = order == Order::reverse ? blocks - 1 - k : k;
    if (!shuffled.empty()) i = shuffled[k];
    blockIdx = {static_cast<unsigned>(i % shape.grid.x), static_cast<unsigned>(i / shape.grid.x % shape.grid.y),
                static_cast<unsigned>(i / shape.grid.x / shape.grid.y)};
    the_block.run();
  }
  the_block.end_grid();
}

int lane() {
  return block().lane();
}

int block_barrier(bool predicate, const char* operation, Site site) {
  return block().barrier(predicate, operation, site);
}

void warp_rendezvous(unsigned mask, void* slot, const WarpOperation& operation, Site site) {
  block().rendezvous(mask, slot, operation, site);
}

void wait_for_previous_kernel() {
  block().wait_for_previous_kernel();
}

void thread_fence() {
  block().fence();
}

void note_atomic(void* address) {
  block().note_atomic(address);
}

void* static_shared(SharedVariable& variable, std::size_t size_bytes, std::size_t alignment) {
  return block().static_shared(variable, size_bytes, alignment);
}

void* dynamic_shared() {
  return block().dynamic_shared();
}

void report_mistake(const char* format, ...) {
  const sanitizers::Unobserved unobserved;
  std::fputs("cuda_on_host: ", stderr);
  if (block().runs()) {
    std::fprintf(stderr, "block (%u, %u, %u), thread (%u, %u, %u): ", blockIdx.x, blockIdx.y, blockIdx.z, threadIdx.x,
                 threadIdx.y, threadIdx.z);
  }
  std::va_list arguments;
  va_start(arguments, format);
  std::vfprintf(stderr, format, arguments);
  va_end(arguments);
  std::fputc('\n', stderr);
  std::abort();
}

}  // namespace bsq::cuda_on_host
