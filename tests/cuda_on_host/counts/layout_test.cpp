// The counter itself: accesses whose cost is known by hand, and the layout of shared memory that it is there to find.
#include "tests/cuda_on_host/counts/access_counter.h"
#include "tests/cuda_on_host/counts/layout_kernels.h"
#include "tests/cuda_on_host/device_array.h"
#include "tests/cuda_on_host/thread_orders.h"
#include "tests/support/catch.h"

namespace bsq::test {
namespace {

using cuda_on_host::count;
using cuda_on_host::CountedKernel;

/// Of the one kernel that `run` launches.
template <typename... Leading, typename... Arguments>
CountedKernel counted(void (*run)(Leading...), Arguments... arguments) {
  const DeviceArray<float> out(32);
  const cuda_on_host::Counts counts = count([&] { run(arguments..., out.data()); });
  REQUIRE(counts.kernels.size() == 1);
  REQUIRE(counts.kernels[0].launches == 1);
  return counts.kernels[0];
}

void check(const CountedKernel& kernel, int accesses, int taken, int least) {
  INFO(kernel.name);
  CHECK(kernel.accesses == accesses);
  CHECK(kernel.wavefronts.taken == taken);
  CHECK(kernel.wavefronts.least == least);
}

TEST_CASE("words of a warp: one wavefront for every word that a bank has to give") {
  check(counted(read_broadcast), 1, 1, 1);  // one word for all lanes
  check(counted(read_words, 1, 32), 1, 1, 1);
  check(counted(read_words, 2, 32), 1, 2, 1);    // words 0 2 4 .. 62: banks 0 2 .. 30, two of each
  check(counted(read_words, 8, 32), 1, 8, 1);    // banks 0 8 16 24, eight of each
  check(counted(read_words, 3, 32), 1, 1, 1);    // odd: every bank once
  check(counted(read_words, 32, 32), 1, 32, 1);  // bank 0 alone
  check(counted(read_words, 0, 32), 1, 1, 1);
  check(counted(read_dynamic_words, 1), 1, 1, 1);
  check(counted(read_dynamic_words, 16), 1, 16, 1);  // banks 0 and 16, sixteen of each
}

TEST_CASE("accesses to global memory before a thread has waited for the previous kernel are counted") {
  CHECK(counted(access_early).early_accesses == 32 + 3);
  CHECK(counted(read_words, 1, 32).early_accesses == 0);
}

TEST_CASE("lanes that take no part cost nothing") {
  check(counted(read_words, 2, 16), 1, 1, 1);    // words 0 2 .. 30: every bank once
  check(counted(read_words, 32, 16), 1, 16, 1);  // bank 0 alone
  check(counted(read_words, 32, 1), 1, 1, 1);
  check(counted(read_words, 1, 0), 0, 0, 0);
}

TEST_CASE("what is smaller than a word is in one with its neighbours") {
  check(counted(read_bytes), 1, 1, 1);   // words 0 to 7
  check(counted(read_shorts), 1, 1, 1);  // words 0 to 15
}

TEST_CASE("8 bytes go by half warps") {
  check(counted(read_doubles, 1), 1, 2, 2);    // a half is 16 doubles, 32 words: one of every bank
  check(counted(read_doubles, 2), 1, 4, 2);    // words 4l and 4l + 1: in a half, lanes l and l + 8 want the same banks
  check(counted(read_doubles, 16), 1, 32, 2);  // words 32l: lanes of a half one by one
  check(counted(read_doubles, 0), 1, 2, 2);    // one double for all: a wavefront for each half
}

TEST_CASE("16 bytes go by quarters of a warp, and are one access") {
  check(counted(read_float4s, 1), 1, 4, 4);  // a quarter is 8 vectors, 32 words
  check(counted(read_float4s, 2), 1, 8, 4);  // words 8l to 8l + 3: in a quarter, lanes l and l + 4 want the same banks
  check(counted(read_float4s, 3), 1, 4, 4);  // words 12l: 0 12 24 4 16 28 8 20, each with the 3 behind it
  check(counted(read_uint4s, 1), 1, 4, 4);
  check(counted(read_uint4s, 2), 1, 8, 4);
}

TEST_CASE("a struct of 24 bytes is read as three numbers of 8") {
  // Words 6l and 6l + 1 for the lanes 0 to 15 of a half: 0 6 12 18 24 30 4 10 16 22 28 2 8 14 20 26, every bank once.
  check(counted(read_structs), 3, 6, 6);
}

TEST_CASE("atomics on one word take turns") {
  check(counted(add_to_one_counter), 1, 32, 1);
  check(counted(add_to_own_counters), 1, 1, 1);
}

TEST_CASE("accesses of a warp are those of one instruction between the same barriers") {
  // Each lane's first and only one: taken for one access of the warp, which 32 rounds of the loop are not on a device.
  check(counted(read_in_turns), 1, 1, 1);
  // Odd lanes twice before the barrier and twice behind it, even lanes once behind it: 4 accesses of the warp.
  check(counted(read_across_barrier), 4, 4, 4);
}

// 8 warps write 8 values, then at 64, 32 .. 1 rows the threads that still take part read their own 8 values and 8
// others and write their own: 4, 2 and 1 whole warps, and parts of one with 16, 8, 4 and 2 threads. At the end two
// threads read. Least: 8 (8 + 3 (4 + 2 + 1 + 1 + 1 + 1 + 1) + 1) = 336.
TEST_CASE("values of a thread side by side take several times the wavefronts of the transposed layout") {
  const CountedKernel transposed = counted(sum_transposed);
  check(transposed, 336, 336, 336);
  CHECK(transposed.wavefronts.ratio() == 1.0);

  // Value i of thread t is word 8t + i: a whole warp wants eight words of four banks each, 16 threads four, 8 threads
  // two. 8 (8 * 8 + 3 (4 * 8 + 2 * 8 + 8 + 4 + 2 + 1 + 1) + 1) = 2056.
  const CountedKernel side_by_side = counted(sum_side_by_side);
  check(side_by_side, 336, 2056, 336);
  CHECK(side_by_side.wavefronts.ratio() > 6);
  CHECK(side_by_side.places.front().wavefronts.taken == 8 * 8 * 8);  // the first write, which wastes most

  for (const cuda_on_host::Order order : {cuda_on_host::Order::reverse, cuda_on_host::Order::random}) {
    const ScopedSchedule scope({order, 1});
    check(counted(sum_side_by_side), 336, 2056, 336);
  }
}

TEST_CASE("launches are counted by kernel, under its name") {
  const DeviceArray<float> out(32);
  const auto counts = count([&] {
    read_doubles(1, out.data());
    read_broadcast(out.data());
    read_doubles(2, out.data());
  });
  REQUIRE(counts.kernels.size() == 2);
  CHECK(counts.kernels[0].name == "strided<double>");
  CHECK(counts.kernels[0].launches == 2);
  CHECK(counts.kernels[0].wavefronts.taken == 2 + 4);
  CHECK(counts.kernels[0].nodes == 0);
  CHECK(counts.kernels[1].name == "broadcast");
  CHECK(counts.kernels[1].launches == 1);
  CHECK(count([] {}).kernels.empty());
}

}  // namespace
}  // namespace bsq::test
