// Sums by channel that a convolution's kernel leaves beside what it writes: every block leaves a record for each of its
// channels; the last block of a group to arrive makes one of those of its group, and the last group to arrive makes one
// of those of all groups. So nobody reads many records, and the order never depends on who is last.
//
// Blocks are of kRecordThreads threads. A thread stores quads: four neighbouring channels of a pixel; a warp has 16
// channels, the quad of a lane is lane % 4. Warps side by side have other channels, those behind them other pixels.
#pragma once

#include "kernels/cuda/device/channel_tiles.cuh"
#include "kernels/cuda/device/norm_act.cuh"
#include "kernels/cuda/ops/launchers.h"

#include <cstddef>

namespace bsq::cuda {

constexpr int kRecordThreads = 128;
constexpr int kRecordWarps = kRecordThreads / kWarp;
constexpr int kQuad = 4;         // channels
constexpr int kQuadsOfWarp = 4;  // side by side
constexpr int kChannelsOfWarp = kQuad * kQuadsOfWarp;

/// The blocks of a column tile, and how they are grouped.
struct RecordGroups {
  int blocks = 0;  // per column tile
  int shift = 5;   // log2 of the blocks of a group: 32 can be read in one go
  int groups = 0;

  RecordGroups() = default;
  RecordGroups(int block_count, int column_tiles) : blocks(block_count) {
    const auto count = [&] { return (blocks + (1 << shift) - 1) >> shift; };
    constexpr int counters = static_cast<int>(GridMemory::kCounters) - 1;  // without the last one
    while ((count() + 1) * column_tiles > counters) ++shift;
    groups = count();
  }
  /// Of blocks and groups.
  int records() const { return blocks + groups; }
};

/// Where a block stands: its number among those of its column tile, and that tile.
struct RecordPlace {
  int block = 0;
  unsigned tile = 0;
  int first_channel = 0;  // of the tile

  /// Of the quad that this thread stores, the first channel within the tile.
  template <int Columns>
  __device__ static unsigned quad_channel() {
    constexpr unsigned column_warps = Columns / kChannelsOfWarp;
    return threadIdx.x / kWarp % column_warps * kChannelsOfWarp + threadIdx.x % kQuadsOfWarp * kQuad;
  }
};

/// Combines, over a block, `Fields` numbers of each channel of the quads that threads have: calls take(field, channel
/// of the tile, result) in one thread each. `shared`: kRecordWarps * Fields * kChannelsOfWarp numbers, free after the
/// next barrier.
template <int Columns, int Fields, typename Rule, typename Take>
__device__ void reduce_quads(float (&value)[Fields][kQuad], float* shared, Rule, Take take) {
  constexpr int column_warps = Columns / kChannelsOfWarp;
  const int thread = static_cast<int>(threadIdx.x);
  const int warp = thread / kWarp;
#pragma unroll
  for (int field = 0; field < Fields; ++field) {
    int first = 0;
    bool leads = true;
    fold_warp(kQuadsOfWarp, value[field], first, leads, [&](float a, float b) { return Rule::combine(field, a, b); });
    const int channel = thread % kQuadsOfWarp * kQuad + first;
    if (leads) shared[(warp * Fields + field) * kChannelsOfWarp + channel] = value[field][0];
  }
  __syncthreads();
  for (int i = thread; i < Fields * Columns; i += kRecordThreads) {
    const int field = i / Columns;
    const int channel = i % Columns;
    const auto of_warp = [&](int other) {
      return shared[((other * column_warps + channel / kChannelsOfWarp) * Fields + field) * kChannelsOfWarp +
                    channel % kChannelsOfWarp];
    };
    float result = of_warp(0);
    for (int other = 1; other < kRecordWarps / column_warps; ++other)
      result = Rule::combine(field, result, of_warp(other));
    take(field, channel, result);
  }
}

/// Adds up `count` records of a column tile, from `first` on: threads below Columns get the total of a channel.
template <typename Total, int Columns>
__device__ Total add_records(const PartialTable& records, const RecordPlace& place, int first, int count,
                             Total* shared) {
  constexpr int lanes = kRecordThreads / Columns;
  const int thread = static_cast<int>(threadIdx.x);
  const int channel = place.first_channel + thread % Columns;
  Total total = Total::nothing(records, first, channel);
#pragma unroll 4
  for (int i = thread / Columns; i < count; i += lanes) total.add(records, first + i, channel);
  shared[thread] = total;
  __syncthreads();
  if (thread < Columns)
    for (int lane = 1; lane < lanes; ++lane) total.merge(shared[lane * Columns + thread]);
  __syncthreads();
  return total;
}

/// Called by all threads of a block, once its record is written. In the last block of a column tile, and only there,
/// returns true; threads below Columns then have the total of a channel. `records`: [blocks, then groups]; `shared`:
/// kRecordThreads totals.
template <int Columns, typename Total>
__device__ bool combine_records(const RecordGroups& groups, const RecordPlace& place, const PartialTable& records,
                                unsigned* counters, Total* shared, Total& total) {
  const auto thread = static_cast<int>(threadIdx.x);
  unsigned* const own_counters = counters + place.tile * static_cast<unsigned>(groups.groups + 1);
  const int group = place.block >> groups.shift;
  const int first = group << groups.shift;
  const int rest = groups.blocks - first;
  const int count = rest < 1 << groups.shift ? rest : 1 << groups.shift;
  if (!arrives_last(own_counters + group, static_cast<unsigned>(count))) return false;
  total = add_records<Total, Columns>(records, place, first, count, shared);
  if (groups.groups == 1) return true;
  if (thread < Columns) total.write(records, groups.blocks + group, place.first_channel + thread);
  if (!arrives_last(own_counters + groups.groups, static_cast<unsigned>(groups.groups))) return false;
  total = add_records<Total, Columns>(records, place, groups.blocks, groups.groups, shared);
  return true;
}

}  // namespace bsq::cuda
