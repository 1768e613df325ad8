// What our own convolutions have in common (ops/own_convolution.cu, ops/own_convolution_strided.cu): how patches and
// filters come to shared memory and from there to tensor cores, and where sums go. conv_tiling.cuh has how a layer is
// cut.
#pragma once

#include "kernels/cuda/device/conv_tiling.cuh"
#include "kernels/cuda/device/input_norm.cuh"
#include "kernels/cuda/device/ptx.cuh"

#include <cstdint>

namespace bsq::cuda {

// ---- to shared memory -----------------------------------------------------------------------------------------------

__device__ inline bool is_within(int i, int size) {
  return static_cast<unsigned>(i) < static_cast<unsigned>(size);
}

/// The chunks of the source that a thread copies to shared memory, numbered from threadIdx.x on, every
/// kPatchThreads-th; all of them have the same channels.
template <typename T>
struct SourceChunk {
  unsigned position;  // in shared memory
  int offset;         // in the image of the block, in chunks
  bool is_there;      // else it is padding

  __device__ SourceChunk(const Maps& maps, const BlockPlace<T>& block, unsigned number) {
    const int image_chunks = maps.source_height * maps.source_width * T::kChunks;
    const int top = block.y * T::kSourceStride - T::kPadding;
    const int left = block.x * T::kSourceStride - T::kPadding;
    const unsigned chunk = number % T::kChunks;
    const unsigned pixel = number / T::kChunks % T::kSourceWidth;
    const unsigned row = number / T::kRowChunks;
    const int image = T::kImages == 1 ? 0 : static_cast<int>(row / T::kSourceHeight);
    const int y = top + static_cast<int>(T::kImages == 1 ? row : row % T::kSourceHeight) * T::kSpacing;
    const int x = left + static_cast<int>(T::column_at(pixel)) * T::kSpacing;
    is_there = block.image + image < maps.images && is_within(y, maps.source_height) && is_within(x, maps.source_width);
    offset = image * image_chunks + (y * maps.source_width + x) * T::kChunks + static_cast<int>(chunk);
    position = number ^ T::swizzle_of(pixel);
  }
};

template <typename T>
__device__ void begin_source(const Maps& maps, const BlockPlace<T>& block, const __nv_bfloat16* source, uint4* shared) {
  static_assert(kPatchThreads % T::kChunks == 0);
  const std::int64_t image_chunks = std::int64_t{maps.source_height} * maps.source_width * T::kChunks;
  const auto* from = reinterpret_cast<const uint4*>(source) + block.image * image_chunks;
  constexpr int rounds = up(T::kSourceChunks, kPatchThreads);
#pragma unroll
  for (int round = 0; round < rounds; ++round) {
    const unsigned i = threadIdx.x + round * kPatchThreads;
    if (round == rounds - 1 && i >= T::kSourceChunks) break;
    const SourceChunk<T> chunk(maps, block, i);
    begin_copy(shared + chunk.position, from + (chunk.is_there ? chunk.offset : 0), chunk.is_there);
  }
}

/// Makes the source of what has been copied in its place; every thread does so with its own copies, which have arrived.
/// Padding stays zero.
template <typename T>
__device__ void apply_norm(const Maps& maps, const BlockPlace<T>& block, const InputNorm& norm, uint4* shared) {
  const ChunkNorm chunk_norm(norm, static_cast<int>(threadIdx.x % T::kChunks) * kChunk);
#pragma unroll 2
  for (unsigned i = threadIdx.x; i < T::kSourceChunks; i += kPatchThreads) {
    const SourceChunk<T> chunk(maps, block, i);
    if (chunk.is_there) chunk_norm.apply(shared[chunk.position]);
  }
}

// The columns of a product on tensor cores come to threads in pairs. So the 16 channels of a warp are ordered such that
// a thread gets four that lie side by side in memory: channels 4t and 4t + 1 are the t-th pair of the first product,
// channels 4t + 2 and 4t + 3 that of the second.

/// Copies a stage of the filter: a column of taps, or all of them. Every output channel is a row.
template <typename T>
__device__ void begin_filter(const BlockPlace<T>& block, const __nv_bfloat16* weight, unsigned stage, uint4* shared) {
  weight += block.first_channel * T::kTaps * T::kDepth;
  constexpr unsigned of_row = T::kTaps / T::kStages * T::kTapChunks;
  constexpr int rounds = up(T::kFilterRows * of_row, kPatchThreads);
#pragma unroll
  for (int round = 0; round < rounds; ++round) {
    const unsigned i = threadIdx.x + round * kPatchThreads;
    if (round == rounds - 1 && i >= T::kFilterRows * of_row) break;
    const unsigned row = i / of_row;
    unsigned in_row = i % of_row;
    if constexpr (T::kStages > 1) {
      const unsigned tap_y = in_row / T::kTapChunks;
      in_row = (tap_y * T::kKernel + stage) * T::kTapChunks + i % T::kTapChunks;
    }
    const unsigned place = row / 16 * 16 + row / 2 % 2 * 8 + row % 16 / 4 * 2 + row % 2;
    begin_cached_copy(shared + place * T::kFilterPitch + in_row,
                      weight + (row * T::kTaps * T::kTapChunks + in_row) * kChunk);
  }
}

/// Copies the whole filter, with the taps in reverse order unless they are scattered. Channels of the target lie side
/// by side in memory here: they are put into order on the way through registers.
template <typename T>
__device__ void copy_backward_filter(const Maps& maps, const BlockPlace<T>& block, const __nv_bfloat16* weight,
                                     uint4* shared) {
  constexpr unsigned of_tap = T::kColumnWarps;  // pairs of chunks
  constexpr unsigned pairs = T::kFilterRows * T::kTaps * of_tap;
  constexpr int rounds = up(pairs, kPatchThreads);
  weight += block.first_channel;
  uint4 low[rounds];
  uint4 high[rounds];
#pragma unroll
  for (int round = 0; round < rounds; ++round) {
    const unsigned i = threadIdx.x + round * kPatchThreads;
    if (round == rounds - 1 && i >= pairs) break;
    const __nv_bfloat16* from = weight + i / of_tap * maps.target_channels + i % of_tap * kWarpColumns;
    low[round] = load_raw<kChunk>(from);
    high[round] = load_raw<kChunk>(from + kChunk);
  }
#pragma unroll
  for (int round = 0; round < rounds; ++round) {
    const unsigned i = threadIdx.x + round * kPatchThreads;
    if (round == rounds - 1 && i >= pairs) break;
    const unsigned row = i / of_tap / T::kTaps;
    const unsigned in_memory = i / of_tap % T::kTaps;
    const unsigned tap = T::kScatters ? in_memory : T::kTaps - 1 - in_memory;
    uint4* to = shared + row * T::kFilterPitch + tap * of_tap + i % of_tap;
    to[0] = make_uint4(low[round].x, low[round].z, high[round].x, high[round].z);
    to[T::kSecondProduct] = make_uint4(low[round].y, low[round].w, high[round].y, high[round].w);
  }
}

// ---- from shared memory to tensor cores -----------------------------------------------------------------------------

/// The left operands of products: the strips of the source that a warp reads, `shift` columns to the right of its own.
template <typename T>
class Strips {
 public:
  __device__ Strips(const WarpPlace<T>& place, const uint4* source, unsigned shift) : half_(place.lane / 16) {
    // Pixels 0 to 7 and 8 to 15, then the other half of the channels.
    const unsigned pixel = place.lane % 16;
    const unsigned position = T::position_of(place.column_of(pixel) * T::kStep + shift);
    first_ = source + place.image_of(pixel) * T::kPatchChunks + place.first_row * T::kStep * T::kRowChunks +
             position * T::kChunks;
    swizzle_ = T::swizzle_of(position);
  }
  /// Loads strip `row`, channels from 16 * depth on.
  __device__ void load(unsigned row, unsigned depth, unsigned (&to)[4]) const {
    load_matrices(to, first_ + ((2 * depth + half_) ^ swizzle_) + row * T::kRowChunks);
  }

 private:
  const uint4* first_;
  unsigned half_;
  unsigned swizzle_;
};

/// The right operand: 16 channels of the source by the 16 columns of a warp, words 0 and 1 for the first product.
template <typename T>
class Filters {
 public:
  __device__ Filters(const WarpPlace<T>& place, const uint4* filter) {
    const unsigned row = place.lane % 8;
    const unsigned low = place.lane / 8 % 2;
    const unsigned high = place.lane / 16;
    first_ = filter + (T::kBackward ? (low * 8 + row) * T::kFilterPitch + place.first_column / kWarpColumns +
                                          high * T::kSecondProduct
                                    : (place.first_column + high * 8 + row) * T::kFilterPitch + low);
  }
  __device__ void load(unsigned tap, unsigned depth, unsigned (&to)[4]) const {
    if constexpr (T::kBackward)
      load_transposed(to, first_ + tap * T::kColumnWarps + depth * kDepthStep * T::kFilterPitch);
    if constexpr (!T::kBackward) load_matrices(to, first_ + tap * T::kTapChunks + depth * 2);
  }

 private:
  const uint4* first_;
};

/// The sums of a strip: [product][pixel / 8, column % 2].
using StripSums = float[2][4];

__device__ inline void multiply_add_strip(StripSums& sums, const unsigned (&left)[4], const unsigned (&right)[4]) {
  multiply_add(sums[0], left, right[0], right[1]);
  multiply_add(sums[1], left, right[2], right[3]);
}

// ---- the target -----------------------------------------------------------------------------------------------------

/// Four channels of a pixel.
using Quad = uint2;

/// Where a thread stores: a quad at two pixels of each of its strips, `half` 0 or 1. Its first pixel counts as (0, 0);
/// others count from there, in the target.
template <typename T>
class TargetPlace {
 public:
  __device__ TargetPlace(const Maps& maps, const BlockPlace<T>& block, const WarpPlace<T>& place, __nv_bfloat16* target)
      : pixel_quads_(maps.target_channels / kQuad),
        row_quads_(maps.target_width * pixel_quads_),
        target_(reinterpret_cast<Quad*>(target)) {
    const int image_quads = maps.target_height * row_quads_;
    Quad* first = target_ + std::int64_t{block.image} * image_quads;
    const int y = (block.y + static_cast<int>(place.first_row)) * T::kScatter;
    rows_ = maps.target_height - y;
    const int quad =
        (block.first_channel + static_cast<int>(place.first_column)) / kQuad + static_cast<int>(place.lane % 4);
    for (unsigned half = 0; half < 2; ++half) {
      const unsigned pixel = place.lane / 4 + 8 * half;
      const int x = (block.x + static_cast<int>(place.column_of(pixel))) * T::kScatter;
      const int image = static_cast<int>(place.image_of(pixel));
      columns_[half] = block.image + image < maps.images ? maps.target_width - x : 0;
      first_[half] = first + (image * image_quads + y * row_quads_ + x * pixel_quads_ + quad);
    }
  }
  __device__ bool has(int half, int y, int x) const { return y < rows_ && x < columns_[half]; }
  __device__ Quad& at(int half, int y, int x) const { return first_[half][y * row_quads_ + x * pixel_quads_]; }
  /// Its number in the tensor.
  __device__ std::int64_t number_of(int half, int y, int x) const { return &at(half, y, x) - target_; }

 private:
  int pixel_quads_;
  int row_quads_;
  Quad* target_;
  int rows_;
  int columns_[2];
  Quad* first_[2];
};

/// The sums of a quad, rounded once; if `adds`, `before` is added first.
__device__ inline Quad round_quad(const StripSums& sums, int half, bool adds, const Quad& before) {
  float quad[kQuad] = {sums[0][2 * half], sums[0][2 * half + 1], sums[1][2 * half], sums[1][2 * half + 1]};
  if (adds) {
    const unsigned words[2] = {before.x, before.y};
    for (int i = 0; i < kQuad; ++i)
      quad[i] += __uint_as_float(i % 2 == 0 ? words[i / 2] << 16 : words[i / 2] & 0xFFFF0000U);
  }
  return make_uint2(pack_bf16(quad[0], quad[1]), pack_bf16(quad[2], quad[3]));
}

}  // namespace bsq::cuda
