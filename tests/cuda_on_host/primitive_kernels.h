// Launchers of small kernels, one for each thing that kernels may use. Both compilers take them: g++ to run them here,
// nvcc because a primitive that only the emulation has would be no use.
#pragma once

#include <cuda_runtime_api.h>
#include <vector_types.h>

#include <cstdint>

namespace bsq::test {

/// out[rank of the block * threads of a block + rank of the thread in it] = {threadIdx.x, .y, .z, blockIdx.x + 10 .y}.
void write_indices(dim3 grid, dim3 block, uint4* out);

/// out[3 t ...] = __syncthreads_count, _or and _and of predicates[t], one block.
void vote_in_block(int threads, const int* predicates, int* out);

/// One warp; 8 results per lane, of lane * 10: from lane 5, up 3, down 3, xor 9, then the same within groups of 8 (xor
/// 3).
constexpr int kShuffleResults = 8;
void shuffle_in_warp(int* out);

/// One warp, of `lanes` lanes; each of the masks in turn: 3 results per lane and mask, ballot, any, all of the
/// predicate "lane is in `chosen`". Lanes outside a mask leave their results alone.
void vote_in_warp(int lanes, int num_masks, const unsigned* masks, unsigned chosen, unsigned* out);

/// Every warp of 32 reversed, through shared memory and __syncwarp.
void reverse_warps(int warps, const int* in, int* out);

/// Sum of `in` in one launch: static shared memory, barriers, and the last block to finish adds up. `counter` must be 0
/// and is 0 again afterwards; `partial` has a place for every block.
void sum_by_last_block(int blocks, int count, const int* in, int* partial, unsigned* counter, int* sum);

/// Every thread of every block: adds 1 to out[0] and its index to out[1], and takes the maximum of `values` in *max.
void count_atomically(int blocks, int threads, const int* values, unsigned long long* out, int* max);

/// rows x columns to columns x rows, by one block, through rows * columns floats of dynamic shared memory.
void transpose_in_shared(int rows, int columns, const float* in, float* out);

/// out[7 i ...] of in[i]: rintf, rsqrtf, fmaf(in, 3, 1), copysignf(2, in), __float2int_rn, __fmul_rn(in, in),
/// __fadd_rn(in, 1e6).
constexpr int kFloatResults = 7;
void apply_float_functions(int count, const float* in, float* out);

/// out[7 i ...] of in[i]: __popc, __clz, __ffs, min(in, 7), max(in, 7), and the bits of the float in, both signed and
/// unsigned, there and back.
constexpr int kBitResults = 7;
void apply_bit_functions(int count, const int* in, int* out);

/// To bfloat16 and back, in pairs; count is even. `bits` receives the bfloat16s, two in each, the first in the low
/// half.
void round_to_bfloat16(int count, const float* in, std::uint32_t* bits, float* out);

/// 16 bytes at a time; count is a multiple of 4.
void copy_vectors(int count, const float* in, float* out);

/// c [16, 16] float32 = a b, by one warp: a is [16, 16] bf16 by rows, or by columns if `transposes`; b [16, 16] bf16 by
/// rows, of which those from `rows` on count as zeros. Through shared memory, copied there behind the warp's back.
void multiply_matrices(bool transposes, int rows, const std::uint16_t* a, const std::uint16_t* b, float* c);

/// c [16, 8] = a b, by one warp: a is [16, 32] bytes without a sign, b [32, 8] with one, by columns. And of each lane,
/// dots[lane] = 1000 + the product of four of a's and of b's from 4 lane on.
void multiply_bytes(const std::uint8_t* a, const std::int8_t* b, int* c, int* dots);

/// out[4 i ...] = philox4x32({i, 1, 2, 3}, key).
void draw_philox(int count, std::uint64_t key, std::uint32_t* out);

}  // namespace bsq::test
