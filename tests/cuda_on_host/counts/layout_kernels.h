// Kernels that access shared memory in ways whose cost is known, launched on the default stream.
#pragma once

namespace bsq::test {

// A block of one warp, which reads shared memory once. `out`: 32 numbers, which nobody needs.

/// Every lane the same word.
void read_broadcast(float* out);
/// Lane l of the first `lanes` word l * stride.
void read_words(int stride, int lanes, float* out);
/// Likewise from dynamic shared memory, all lanes.
void read_dynamic_words(int stride, float* out);
/// Lane l byte l, 2-byte number l.
void read_bytes(float* out);
void read_shorts(float* out);
/// Lane l double, float4 or uint4 number l * stride.
void read_doubles(int stride, float* out);
void read_float4s(int stride, float* out);
void read_uint4s(int stride, float* out);
/// Lane l struct of three doubles number l.
void read_structs(float* out);
/// Every lane adds to the same counter, or lane l to counter l.
void add_to_one_counter(float* out);
void add_to_own_counters(float* out);
/// In round r lane r alone reads word r.
void read_in_turns(float* out);
/// The odd lanes read their word twice, the even ones after a barrier, all by the same instruction.
void read_across_barrier(float* out);

/// All lanes read, and three write, before they wait for the previous kernel.
void access_early(float* out);

// Blocks of 256 threads of 8 values each, two threads to a row: the sums of a column of threads, in a tree. `out`: 16.
constexpr int kThreads = 256;
constexpr int kValues = 8;
constexpr int kColumns = 2;

/// The values of a thread side by side.
void sum_side_by_side(float* out);
/// Value i of all threads side by side.
void sum_transposed(float* out);

}  // namespace bsq::test
