// How the kernels that work by channel cut a tensor [rows, C]: a block takes `columns` neighbouring vectors of a row,
// `lanes` rows at a time, every gridDim.x * lanes-th row; blockIdx.y counts the column tiles.
#pragma once

#include "kernels/cuda/device/device.cuh"

#include <cstdint>

namespace bsq::cuda {

constexpr int kTileThreads = 256;
constexpr int kTileWarps = kTileThreads / kWarp;
constexpr int kTileColumns = 32;             // vectors of a row that lie together: 512 bytes, four full transactions
constexpr int kBlocksPerMultiprocessor = 2;  // that kernels leave registers for, at least
constexpr int kRowsPerLane = 4;              // fewer are not worth a block

struct ChannelTiles {
  std::int64_t rows = 0;
  int channels = 0;
  int width = 1;    // elements of a vector
  int vectors = 0;  // of a row
  int columns = 0;
  int lanes = 0;
  int column_tiles = 0;
  int row_blocks = 0;

  ChannelTiles() = default;
  /// `vector_width`: elements of 16 bytes; rows that are not made of whole vectors are read element by element. No more
  /// blocks than run at once: so few are added up quickly.
  ChannelTiles(std::int64_t row_count, int channel_count, int vector_width, int multiprocessors)
      : rows(row_count), channels(channel_count), width(channel_count % vector_width == 0 ? vector_width : 1) {
    vectors = channels / width;
    columns = vectors < kTileColumns ? vectors : kTileColumns;
    lanes = kTileThreads / columns;
    column_tiles = (vectors + columns - 1) / columns;
    const std::int64_t rows_per_block = std::int64_t{lanes} * kRowsPerLane;
    const std::int64_t blocks = (rows + rows_per_block - 1) / rows_per_block;
    const int at_once = kBlocksPerMultiprocessor * multiprocessors;
    const std::int64_t most = column_tiles < at_once ? at_once / column_tiles : 1;
    row_blocks = static_cast<int>(blocks < most ? blocks : most);
  }
  dim3 grid() const { return dim3(static_cast<unsigned>(row_blocks), static_cast<unsigned>(column_tiles)); }
};

/// Calls body<T, Width>(tiles) for the type of a tensor [rows, channels] and the widest access that its rows allow.
template <typename Body>
void with_tiles(DType dtype, std::int64_t rows, int channels, int multiprocessors, Body body) {
  with_element(dtype, [&]<typename T>() {
    const ChannelTiles tiles(rows, channels, kVectorWidth<T>, multiprocessors);
    tiles.width == 1 ? body.template operator()<T, 1>(tiles) : body.template operator()<T, kVectorWidth<T>>(tiles);
  });
}

/// One thread's place in the tiles.
struct TilePlace {
  int lane = 0;
  int column = 0;
  int channel = 0;  // the first of its vector
  bool active = false;
  std::int64_t first_row = 0;
  std::int64_t row_step = 0;

  __device__ explicit TilePlace(const ChannelTiles& tiles) {
    column = static_cast<int>(threadIdx.x) % tiles.columns;
    const int vector = static_cast<int>(blockIdx.y) * tiles.columns + column;
    lane = static_cast<int>(threadIdx.x) / tiles.columns;
    channel = vector * tiles.width;
    active = lane < tiles.lanes && vector < tiles.vectors;
    first_row = active ? std::int64_t{blockIdx.x} * tiles.lanes + lane : tiles.rows;
    row_step = std::int64_t{gridDim.x} * tiles.lanes;
  }
};

/// Calls use(row, load(row)) for the rows of a thread, in order; RowsInFlight loads are under way at a time.
template <int RowsInFlight, typename Load, typename Use>
__device__ void for_rows(const ChannelTiles& tiles, const TilePlace& place, Load load, Use use) {
  std::int64_t row = place.first_row;
  for (; row + (RowsInFlight - 1) * place.row_step < tiles.rows; row += RowsInFlight * place.row_step) {
    decltype(load(row)) loaded[RowsInFlight];
#pragma unroll
    for (int i = 0; i < RowsInFlight; ++i) loaded[i] = load(row + i * place.row_step);
#pragma unroll
    for (int i = 0; i < RowsInFlight; ++i) use(row + i * place.row_step, loaded[i]);
  }
  for (; row < tiles.rows; row += place.row_step) use(row, load(row));
}

/// Of a reduction over the lanes of a tile thread i * columns + c gets the result of element i of column c: which
/// channel that is.
struct TileResult {
  int channel = 0;
  bool active = false;

  __device__ explicit TileResult(const ChannelTiles& tiles) {
    const int column = static_cast<int>(threadIdx.x) % tiles.columns;
    const int element = static_cast<int>(threadIdx.x) / tiles.columns;
    const int vector = static_cast<int>(blockIdx.y) * tiles.columns + column;
    channel = vector * tiles.width + element;
    active = element < tiles.width && vector < tiles.vectors;
  }
};

/// Folds the lanes of a warp that share a column: they halve, between them, the elements they still have, and then add.
/// Lanes differ by multiples of `columns`, a power of two. Returns how many elements are left in `value`: element k of
/// them is element k (Width / left) + first, of which `first` is told; `leads` says whether no other lane has it too.
template <int Width, typename Combine>
__device__ int fold_warp(int columns, float (&value)[Width], int& first, bool& leads, Combine combine) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  int left = Width;
  first = 0;
  leads = true;
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    if (distance < columns) break;
    const bool upper = (lane & distance) != 0;
    const int split = kWarp / 2 / distance * 2;  // into so many parts: 2, 4, 8, 16, 32
    if (split <= Width) {
      const int half = Width / split;
#pragma unroll
      for (int i = 0; i < half; ++i) {
        const float keep = upper ? value[2 * i + 1] : value[2 * i];
        const float give = upper ? value[2 * i] : value[2 * i + 1];
        value[i] = combine(keep, __shfl_xor_sync(kFullMask, give, distance));
      }
      left = half;
      first += upper ? split / 2 : 0;
    } else {
      value[0] = combine(value[0], __shfl_xor_sync(kFullMask, value[0], distance));
      leads = leads && !upper;
    }
  }
  return left;
}

/// Combines the vectors of all lanes of a column; see TileResult for who gets what. `shared`: kTileThreads * Width,
/// free afterwards.
template <int Width, typename Combine>
[[nodiscard]] __device__ float reduce_lanes(const ChannelTiles& tiles, const TilePlace& place, float (&value)[Width],
                                            float* shared, Combine combine) {
  const int thread = static_cast<int>(threadIdx.x);
  const int results = tiles.columns * Width;
  float result = 0;
  if (kWarp % tiles.columns == 0) {
    int first = 0;
    bool leads = true;
    const int left = fold_warp(tiles.columns, value, first, leads, combine);
    float* own = shared + thread / kWarp * results + place.column;
    if (leads) {
#pragma unroll
      for (int i = 0; i < Width; ++i)  // so many registers; of them `left` are in use
        if (i < left) own[(i * (Width / left) + first) * tiles.columns] = value[i];
    }
    __syncthreads();
    if (thread < results) {
      result = shared[thread];
      for (int warp = 1; warp < kTileWarps; ++warp) result = combine(result, shared[warp * results + thread]);
    }
  } else {
    for (int i = 0; i < Width; ++i) shared[i * kTileThreads + thread] = value[i];
    __syncthreads();
    for (int live = tiles.lanes; live > 1;) {
      const int half = (live + 1) / 2;
      if (place.lane + half < live)
        for (int i = 0; i < Width; ++i) {
          float& own = shared[i * kTileThreads + thread];
          own = combine(own, shared[i * kTileThreads + thread + half * tiles.columns]);
        }
      live = half;
      __syncthreads();
    }
    if (thread < results) result = shared[thread / tiles.columns * kTileThreads + thread % tiles.columns];
  }
  __syncthreads();
  return result;
}

}  // namespace bsq::cuda
