// How kernels that work by channel cut a tensor [rows, C]: a block takes `columns` neighbouring vectors of `lanes` rows
// at a time; with gridDim.x blocks side by side it takes every gridDim.x-th group of rows. blockIdx.y counts column
// tiles.
#pragma once

#include "kernels/cuda/device/device.cuh"

#include <cmath>
#include <cstdint>
#include <utility>

namespace bsq::cuda {

constexpr int kTileThreads = 256;
constexpr int kTileWarps = kTileThreads / kWarp;
constexpr int kTileColumns = 32;             // vectors of a row that lie together: 512 bytes, four full transactions
constexpr int kBlocksPerMultiprocessor = 2;  // kernels leave registers for at least so many
constexpr int kRowsPerLane = 4;              // at least, in kernels whose blocks leave sums behind
constexpr int kRowsInFlight = 4;             // rows that a thread has asked for before it needs the first of them

/// Divides small numbers, below 2048, by one that is known at launch, 2048 at most: by a multiplication, since a
/// division takes the device some forty instructions.
class Divisor {
 public:
  Divisor() = default;
  explicit Divisor(int divisor)
      : inverse_((kOne + static_cast<unsigned>(divisor) - 1) / static_cast<unsigned>(divisor)) {}
  __device__ int divide(int number) const {
    return static_cast<int>(std::uint64_t{static_cast<unsigned>(number)} * inverse_ >> kBits);
  }

 private:
  static constexpr int kBits = 31;
  static constexpr unsigned kOne = 1U << kBits;
  unsigned inverse_ = kOne;  // 1 / divisor, rounded up so little that quotients stay right
};

struct ChannelTiles {
  std::int64_t rows = 0;
  int channels = 0;
  int width = 1;    // elements per vector
  int vectors = 0;  // per row
  int columns = 0;
  int lanes = 0;
  int column_tiles = 0;
  int row_blocks = 0;
  Divisor by_columns;
  Divisor by_own_channels;  // columns * width

  ChannelTiles() = default;
  /// `vector_width`: elements in 16 bytes; rows that are not made of whole vectors are read element by element. There
  /// are no more blocks than run at once, since the sums of few blocks are added up quickly.
  ChannelTiles(std::int64_t row_count, int channel_count, int vector_width, int multiprocessors,
               int rows_per_lane = kRowsPerLane)
      : rows(row_count), channels(channel_count), width(channel_count % vector_width == 0 ? vector_width : 1) {
    vectors = channels / width;
    columns = vectors < kTileColumns ? vectors : kTileColumns;
    lanes = kTileThreads / columns;
    column_tiles = (vectors + columns - 1) / columns;
    by_columns = Divisor(columns);
    by_own_channels = Divisor(columns * width);
    const std::int64_t rows_per_block = std::int64_t{lanes} * rows_per_lane;
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

/// The place of one thread in the tiles.
struct TilePlace {
  int lane = 0;
  int column = 0;
  int channel = 0;  // the first of its vector
  bool active = false;

  __device__ explicit TilePlace(const ChannelTiles& tiles) {
    const int thread = static_cast<int>(threadIdx.x);
    lane = tiles.by_columns.divide(thread);
    column = thread - lane * tiles.columns;
    const int vector = static_cast<int>(blockIdx.y) * tiles.columns + column;
    channel = vector * tiles.width;
    active = lane < tiles.lanes && vector < tiles.vectors;
  }
};

/// Where an element of a row lies: in dense tensors [rows, channels], and in one whose rows may be a part of wider
/// ones.
template <bool Pitched>
struct RowPlace {
  std::int64_t dense = 0;
  std::int64_t further = 0;  // in the pitched one

  __device__ std::int64_t in_pitched() const { return Pitched ? dense + further : dense; }
  __device__ RowPlace after(int count, const RowPlace& step) const {
    return {dense + count * step.dense, Pitched ? further + count * step.further : 0};
  }
};

/// How many numbers lie between two rows of the pitched tensor.
template <bool Pitched>
struct RowGap {
  int numbers = 0;

  __device__ RowPlace<Pitched> of(std::int64_t row, int channel, int channels) const {
    return {row * channels + channel, Pitched ? row * numbers : 0};
  }
};

/// A thread's vectors of tensors [rows, channels], one a row. load(place) reads what lies at a place; the first
/// kRowsInFlight of these reads are under way once this is made, while the thread waits for what else it needs.
template <bool Pitched, typename Load>
class TileRows {
 public:
  __device__ TileRows(const ChannelTiles& tiles, const TilePlace& place, RowGap<Pitched> gap, Load load) : load_(load) {
    const std::int64_t first_row = std::int64_t{blockIdx.x} * tiles.lanes + place.lane;
    end_ = tiles.rows * tiles.channels;
    at_ = gap.of(first_row, place.channel, tiles.channels);
    if (!place.active) at_.dense = end_;
    step_ = gap.of(std::int64_t{gridDim.x} * tiles.lanes, 0, tiles.channels);
    fetch();
  }
  /// Calls use(place, what load returned) for each of them, in order.
  template <typename Use>
  __device__ void for_each(Use use) {
    while (at_.dense < end_) {
#pragma unroll
      for (int i = 0; i < kRowsInFlight; ++i)
        if (at_.after(i, step_).dense < end_) use(at_.after(i, step_), fetched_[i]);
      at_ = at_.after(kRowsInFlight, step_);
      fetch();
    }
  }

 private:
  __device__ void fetch() {
#pragma unroll
    for (int i = 0; i < kRowsInFlight; ++i)
      if (at_.after(i, step_).dense < end_) fetched_[i] = load_(at_.after(i, step_));
  }

  Load load_;
  RowPlace<Pitched> at_;
  RowPlace<Pitched> step_;
  std::int64_t end_ = 0;
  decltype(std::declval<Load>()(RowPlace<Pitched>{})) fetched_[kRowsInFlight];
};

/// How fields are combined: the first `Sums` are added up, of the others the largest counts.
template <int Sums>
struct FieldRule {
  static constexpr int kSums = Sums;

  template <typename T>
  __device__ static T identity(int field) {
    return field < Sums ? T{0} : -static_cast<T>(INFINITY);
  }
  template <typename T>
  __device__ static T combine(int field, T a, T b) {
    return field < Sums ? Sum()(a, b) : Largest()(a, b);
  }
};

/// Combines the vectors of the lanes of a warp that share a column: in every step two lanes share their elements out,
/// each keeps one half and takes in the other lane's. Such lanes differ by multiples of `columns`, a power of two.
/// Returns into how many parts the elements are split: element k of what is left in `value` is element k * parts +
/// first, with `first` set here; `leads` says whether no other lane has the same.
template <int Width, typename Combine>
__device__ int fold_warp(int columns, float (&value)[Width], int& first, bool& leads, Combine combine) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  int parts = 1;
  first = 0;
  leads = true;
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    if (distance < columns) break;
    const bool upper = (lane & distance) != 0;
    const int split = kWarp / 2 / distance * 2;  // the number of parts: 2, 4, 8, 16, 32
    if (split <= Width) {
      const int half = Width / split;
#pragma unroll
      for (int i = 0; i < half; ++i) {
        const float keep = upper ? value[2 * i + 1] : value[2 * i];
        const float give = upper ? value[2 * i] : value[2 * i + 1];
        value[i] = combine(keep, __shfl_xor_sync(kFullMask, give, distance));
      }
      parts = split;
      first += upper ? split / 2 : 0;
    } else {
      value[0] = combine(value[0], __shfl_xor_sync(kFullMask, value[0], distance));
      leads = leads && !upper;
    }
  }
  return parts;
}

/// Combines the vectors of all lanes of a column, for several fields at once, and calls take(field, channel, result) in
/// one thread per field and channel of the tile. `shared` has Fields * kTileThreads * Width numbers and is free after
/// the next barrier.
template <int Width, int Fields, typename Rule, typename Take>
__device__ void reduce_lanes(const ChannelTiles& tiles, const TilePlace& place, float (&value)[Fields][Width],
                             float* shared, Rule, Take take) {
  const int thread = static_cast<int>(threadIdx.x);
  const int own_channels = tiles.columns * Width;
  const bool in_warps = (tiles.columns & (tiles.columns - 1)) == 0;  // a power of two, kWarp at most
  if (in_warps) {
#pragma unroll
    for (int field = 0; field < Fields; ++field) {
      int first = 0;
      bool leads = true;
      const int parts = fold_warp(tiles.columns, value[field], first, leads,
                                  [&](float a, float b) { return Rule::combine(field, a, b); });
      float* own = shared + (thread / kWarp * Fields + field) * own_channels + place.column;
#pragma unroll
      for (int i = 0; i < Width; ++i)  // so many registers; of them Width / parts are in use
        if (leads && i * parts < Width) own[(i * parts + first) * tiles.columns] = value[field][i];
    }
    __syncthreads();
  } else {
    for (int field = 0; field < Fields; ++field)
      for (int i = 0; i < Width; ++i) shared[(field * Width + i) * kTileThreads + thread] = value[field][i];
    __syncthreads();
    for (int live = tiles.lanes; live > 1;) {
      const int half = (live + 1) / 2;
      if (place.lane + half < live)
        for (int field = 0; field < Fields; ++field)
          for (int i = 0; i < Width; ++i) {
            float& own = shared[(field * Width + i) * kTileThreads + thread];
            const float other = shared[(field * Width + i) * kTileThreads + thread + half * tiles.columns];
            own = Rule::combine(field, own, other);
          }
      live = half;
      __syncthreads();
    }
  }
  const int at_once = tiles.by_own_channels.divide(kTileThreads);  // fields
  const int first_field = tiles.by_own_channels.divide(thread);
  if (first_field >= at_once) return;
  const int place_in_tile = thread - first_field * own_channels;  // element by element, in each of them the columns
  const int element = tiles.by_columns.divide(place_in_tile);
  const int column = place_in_tile - element * tiles.columns;
  const int vector = static_cast<int>(blockIdx.y) * tiles.columns + column;
  if (vector >= tiles.vectors) return;
#pragma unroll 1
  for (int field = first_field; field < Fields; field += at_once) {
    float result = 0;
    if (in_warps) {
      float of_warp[kTileWarps];
#pragma unroll
      for (int warp = 0; warp < kTileWarps; ++warp)
        of_warp[warp] = shared[(warp * Fields + field) * own_channels + place_in_tile];
      result = of_warp[0];
#pragma unroll
      for (int warp = 1; warp < kTileWarps; ++warp) result = Rule::combine(field, result, of_warp[warp]);
    } else {
      result = shared[(field * Width + element) * kTileThreads + column];
    }
    take(field, vector * Width + element, result);
  }
}

/// The same for the sum of one field: calls take(channel, sum).
template <int Width, typename Take>
__device__ void sum_lanes(const ChannelTiles& tiles, const TilePlace& place, float (&value)[1][Width], float* shared,
                          Take take) {
  reduce_lanes(tiles, place, value, shared, FieldRule<1>(), [&](int, int channel, float sum) { take(channel, sum); });
}

}  // namespace bsq::cuda
