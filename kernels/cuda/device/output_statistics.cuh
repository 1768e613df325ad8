// Statistics that a convolution's kernel leaves of its output for the norm_act that reads it: those that the first pass
// of norm_act finds out otherwise.
#pragma once

#include "kernels/cuda/device/channel_records.cuh"
#include "kernels/cuda/device/norm_levels.cuh"
#include "kernels/cuda/device/norm_statistics.cuh"

#include <cstdint>

namespace bsq::cuda {

/// The task, as a kernel gets it; without a norm there is none.
struct OutputStatistics {
  enum Field { kSum, kSquares, kNegatedLow, kHigh, kReduced, kPivot = kReduced, kPixels, kFields };
  using Rule = FieldRule<kNegatedLow>;

  bool is_wanted = false;
  NormActForwardArgs norm;
  RowCount rows{1};
  PartialTable records;
  RecordGroups groups;
  GridMemory memory;

  OutputStatistics() = default;
  OutputStatistics(const ConvForwardArgs& args, int blocks, int column_tiles, const GridMemory& grid_memory)
      : is_wanted(args.norm != nullptr) {
    if (!is_wanted) return;
    norm = *args.norm;
    rows = RowCount(norm.geometry.rows);
    records = {static_cast<float*>(args.scratch), kFields, norm.geometry.channels};
    groups = RecordGroups(blocks, column_tiles);
    memory = grid_memory;
  }
  static std::size_t scratch_bytes(int blocks, int column_tiles, int channels) {
    return static_cast<std::size_t>(RecordGroups(blocks, column_tiles).records()) * kFields *
           static_cast<std::size_t>(channels) * sizeof(float);
  }
};

/// Sums of x - pivot and of its squares, and the extremes of x. Records have pivots of their own, x of their first
/// pixel, so that a channel far from zero loses no digits; a total takes that of its first record, and adds what
/// follows from the distance of the others.
struct StatisticsTotal {
  using S = OutputStatistics;

  double sum;
  double squares;
  float pivot;
  float pixels;
  float negated_low;
  float high;

  __device__ static StatisticsTotal nothing(const PartialTable& records, int first, int channel) {
    return {0, 0, *records.at(first, S::kPivot, channel), 0, -INFINITY, -INFINITY};
  }
  __device__ void add(const PartialTable& records, int record, int channel) {
    const auto field = [&](int number) { return *records.at(record, number, channel); };
    const double distance = static_cast<double>(field(S::kPivot)) - pivot;
    const double own_sum = field(S::kSum);
    const double moved = distance * field(S::kPixels);
    pixels += field(S::kPixels);
    sum += own_sum + moved;
    squares += field(S::kSquares) + distance * (2 * own_sum + moved);
    negated_low = Largest()(negated_low, field(S::kNegatedLow));
    high = Largest()(high, field(S::kHigh));
  }
  /// Of another one with the same pivot.
  __device__ void merge(const StatisticsTotal& other) {
    pixels += other.pixels;
    sum += other.sum;
    squares += other.squares;
    negated_low = Largest()(negated_low, other.negated_low);
    high = Largest()(high, other.high);
  }
  __device__ void write(const PartialTable& records, int record, int channel) const {
    *records.at(record, S::kSum, channel) = static_cast<float>(sum);
    *records.at(record, S::kSquares, channel) = static_cast<float>(squares);
    *records.at(record, S::kNegatedLow, channel) = negated_low;
    *records.at(record, S::kHigh, channel) = high;
    *records.at(record, S::kPivot, channel) = pivot;
    *records.at(record, S::kPixels, channel) = pixels;
  }
};

/// Writes the record of a block. `stored`: the quads that a thread has stored, of which has(i) says whether there is a
/// pixel; the first of the first four threads of each column of warps always has one, the block's first.
template <int Columns, int Count, typename Has>
__device__ void write_statistics(const OutputStatistics& task, const RecordPlace& place, int pixels,
                                 const uint2 (&stored)[Count], Has has, float* shared) {
  using S = OutputStatistics;
  BSQ_SHARED(float, pivots, [Columns]);
  const unsigned quad = RecordPlace::quad_channel<Columns>();
  if (threadIdx.x / kWarp < Columns / kChannelsOfWarp && threadIdx.x % kWarp < kQuadsOfWarp) {
    float first[kQuad];
    unpack(stored[0], first);
    for (int i = 0; i < kQuad; ++i) pivots[quad + i] = first[i];
  }
  __syncthreads();
  float pivot[kQuad];
  for (int i = 0; i < kQuad; ++i) pivot[i] = pivots[quad + i];
  float sums[S::kReduced][kQuad] = {};
  Range<__nv_bfloat16, kQuad> range;
#pragma unroll
  for (int pixel = 0; pixel < Count; ++pixel) {
    if (!has(pixel)) continue;
    float value[kQuad];
    unpack(stored[pixel], value);
    for (int i = 0; i < kQuad; ++i) {
      const float centred = value[i] - pivot[i];
      sums[S::kSum][i] += centred;
      sums[S::kSquares][i] = fmaf(centred, centred, sums[S::kSquares][i]);
    }
    range.add(stored[pixel]);
  }
  range.get(sums[S::kNegatedLow], sums[S::kHigh]);
  reduce_quads<Columns>(sums, shared, S::Rule(), [&](int field, int channel, float result) {
    *task.records.at(place.block, field, place.first_channel + channel) = result;
  });
  const int thread = static_cast<int>(threadIdx.x);
  if (thread >= Columns) return;
  *task.records.at(place.block, S::kPivot, place.first_channel + thread) = pivots[thread];
  *task.records.at(place.block, S::kPixels, place.first_channel + thread) = static_cast<float>(pixels);
}

/// What leave_statistics() needs of shared memory. It may have been in use until then: the first barrier comes before
/// the first access.
constexpr std::size_t kStatisticsBytes = kRecordThreads * sizeof(StatisticsTotal);
static_assert(kStatisticsBytes >= kRecordWarps * OutputStatistics::kReduced * kChannelsOfWarp * sizeof(float));

/// Leaves the statistics of what a block has stored, if they are wanted; the last block makes those of all.
template <int Columns, int Count, typename Has>
__device__ void leave_statistics(const OutputStatistics& task, const RecordPlace& place, int pixels,
                                 const uint2 (&stored)[Count], Has has, void* shared) {
  if (!task.is_wanted) return;
  const NormActForwardArgs& norm = task.norm;
  const int thread = static_cast<int>(threadIdx.x);
  const int channel = thread < Columns ? place.first_channel + thread : norm.geometry.channels;
  const StatisticsFacts facts = StatisticsFacts::load(norm, channel);
  write_statistics<Columns>(task, place, pixels, stored, has, static_cast<float*>(shared));
  StatisticsTotal total;
  if (!combine_records<Columns>(task.groups, place, task.records, task.memory.counters,
                                static_cast<StatisticsTotal*>(shared), total))
    return;
  float largest = 0;
  if (thread < Columns) {
    const Statistics found = statistics_of(total.pivot, total.sum, total.squares, task.rows, facts.x_unit);
    const float inv_std = save_statistics(found, norm, channel, facts);
    const Normalization<1> normalization(facts.x_unit, static_cast<float>(found.mean), inv_std, facts.gamma,
                                         facts.beta);
    largest = largest_of(norm, normalization, -total.negated_low, total.high);
  }
  if (norm.rule.act_bits == 0 || norm.act_scale != nullptr) return;
  if (norm.shortcut != nullptr) {  // find_largest begins with 0
    if (place.tile == 0 && thread == 0) *norm.saved.act_scale = 0;
    return;
  }
  const auto tiles = static_cast<unsigned>(norm.geometry.channels / Columns);
  const bool is_last =
      save_largest(largest, place.tile, tiles, norm.saved.act_scale, static_cast<float*>(shared), task.memory);
  if (is_last && thread == 0 && norm.y_unit != nullptr) *norm.y_unit = LevelGrid(norm, *norm.saved.act_scale).unit;
}

}  // namespace bsq::cuda
