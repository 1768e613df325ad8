// How the kernels that work by channel cut a tensor [rows, C]: a block takes `columns` neighbouring vectors of a row,
// `lanes` rows at a time, every gridDim.x * lanes-th row; blockIdx.y counts the column tiles.
#pragma once

#include "kernels/cuda/device.cuh"

#include <cstdint>

namespace bsq::cuda {

constexpr int kTileThreads = 256;
constexpr int kTileColumns = 32;    // vectors of a row that lie together: 512 bytes, four full transactions
constexpr int kMaxRowBlocks = 512;  // enough to fill 132 multiprocessors, few enough to add up quickly
constexpr int kRowsPerLane = 4;     // fewer are not worth a block

struct ChannelTiles {
  std::int64_t rows = 0;
  int channels = 0;
  int width = 1;    // elements of a vector
  int vectors = 0;  // of a row
  int columns = 0;
  int lanes = 0;
  int row_blocks = 0;

  ChannelTiles() = default;
  /// `vector_width`: elements of 16 bytes; rows that are not made of whole vectors are read element by element.
  ChannelTiles(std::int64_t row_count, int channel_count, int vector_width)
      : rows(row_count), channels(channel_count), width(channel_count % vector_width == 0 ? vector_width : 1) {
    vectors = channels / width;
    columns = vectors < kTileColumns ? vectors : kTileColumns;
    lanes = kTileThreads / columns;
    const std::int64_t rows_per_block = std::int64_t{lanes} * kRowsPerLane;
    const std::int64_t blocks = (rows + rows_per_block - 1) / rows_per_block;
    row_blocks = static_cast<int>(blocks < kMaxRowBlocks ? blocks : kMaxRowBlocks);
  }
  dim3 grid() const {
    return dim3(static_cast<unsigned>(row_blocks), static_cast<unsigned>((vectors + columns - 1) / columns));
  }
};

/// Calls body<T, Width>(tiles) for the type of a tensor [rows, channels] and the widest access that its rows allow.
template <typename Body>
void with_tiles(DType dtype, std::int64_t rows, int channels, Body body) {
  with_element(dtype, [&]<typename T>() {
    const ChannelTiles tiles(rows, channels, kVectorWidth<T>);
    tiles.width == 1 ? body.template operator()<T, 1>(tiles) : body.template operator()<T, kVectorWidth<T>>(tiles);
  });
}

/// One thread's place in the tiles.
struct TilePlace {
  int lane = 0;
  int channel = 0;  // the first of its vector
  bool active = false;
  std::int64_t first_row = 0;
  std::int64_t row_step = 0;

  __device__ explicit TilePlace(const ChannelTiles& tiles) {
    const int column = static_cast<int>(threadIdx.x) % tiles.columns;
    const int vector = static_cast<int>(blockIdx.y) * tiles.columns + column;
    lane = static_cast<int>(threadIdx.x) / tiles.columns;
    channel = vector * tiles.width;
    active = lane < tiles.lanes && vector < tiles.vectors;
    first_row = active ? std::int64_t{blockIdx.x} * tiles.lanes + lane : tiles.rows;
    row_step = std::int64_t{gridDim.x} * tiles.lanes;
  }
};

/// Combines the vectors of all lanes of a column, in a tree; lane 0 gets the result. `shared`: kTileThreads * Width.
template <int Width, typename Combine>
__device__ void reduce_lanes(const ChannelTiles& tiles, const TilePlace& place, float (&value)[Width], float* shared,
                             Combine combine) {
  float* own = shared + static_cast<int>(threadIdx.x) * Width;
  for (int i = 0; i < Width; ++i) own[i] = value[i];
  __syncthreads();
  for (int live = tiles.lanes; live > 1;) {
    const int half = (live + 1) / 2;
    if (place.lane + half < live) {
      const float* other = own + half * tiles.columns * Width;
      for (int i = 0; i < Width; ++i) own[i] = combine(own[i], other[i]);
    }
    live = half;
    __syncthreads();
  }
  if (place.lane == 0)  // from its own place, which nobody else reads any more: no barrier is needed behind it
    for (int i = 0; i < Width; ++i) value[i] = own[i];
}

}  // namespace bsq::cuda
