// Sums of gradients that a convolution's kernel leaves of what it writes, the gradient of its input, for the norm_act
// that wrote that input: those that the first pass of norm_act backward adds up otherwise.
#pragma once

#include "kernels/cuda/device/channel_records.cuh"
#include "kernels/cuda/device/norm_gradients.cuh"

#include <cstdint>

namespace bsq::cuda {

/// The task, as a kernel gets it; without a norm there is none.
struct InputGradientSums {
  bool is_wanted = false;
  NormActBackwardArgs norm;
  double per_row = 0;
  PartialTable records;
  RecordGroups groups;
  GridMemory memory;

  InputGradientSums() = default;
  InputGradientSums(const ConvBackwardDataArgs& args, int blocks, int column_tiles, const GridMemory& grid_memory)
      : is_wanted(args.norm != nullptr) {
    if (!is_wanted) return;
    norm = *args.norm;
    per_row = 1.0 / static_cast<double>(norm.geometry.rows);
    records = {static_cast<float*>(args.scratch), kGradientFields, norm.geometry.channels};
    groups = RecordGroups(blocks, column_tiles);
    memory = grid_memory;
  }
  static std::size_t scratch_bytes(int blocks, int column_tiles, int channels) {
    return static_cast<std::size_t>(RecordGroups(blocks, column_tiles).records()) * kGradientFields *
           static_cast<std::size_t>(channels) * sizeof(float);
  }
};

struct GradientTotal {
  double sum[kGradientFields];

  __device__ static GradientTotal nothing(const PartialTable&, int, int) { return {{0, 0, 0}}; }
  __device__ void add(const PartialTable& records, int record, int channel) {
    for (int field = 0; field < kGradientFields; ++field) sum[field] += *records.at(record, field, channel);
  }
  __device__ void merge(const GradientTotal& other) {
    for (int field = 0; field < kGradientFields; ++field) sum[field] += other.sum[field];
  }
  __device__ void write(const PartialTable& records, int record, int channel) const {
    for (int field = 0; field < kGradientFields; ++field)
      *records.at(record, field, channel) = static_cast<float>(sum[field]);
  }
};

/// As kStatisticsBytes.
constexpr std::size_t kGradientBytes = kRecordThreads * sizeof(GradientTotal);
static_assert(kGradientBytes >= kRecordWarps * kGradientFields * kChannelsOfWarp * sizeof(float));

/// Leaves the sums over what a block has stored, if they are wanted; the last block makes those of all. `stored`: the
/// quads that a thread has stored, of which has(i) says whether there is a pixel, and quad_of(i) which quad of the
/// tensor it is. `shared`: kGradientBytes, which may have been in use until then.
template <int Columns, int Count, typename Has, typename QuadOf>
__device__ void leave_sums(const InputGradientSums& task, const RecordPlace& place, const uint2 (&stored)[Count],
                           Has has, QuadOf quad_of, void* shared) {
  if (!task.is_wanted) return;
  using Vector = RawTriple<__nv_bfloat16, kQuad>;
  const NormActBackwardArgs& norm = task.norm;
  const int thread = static_cast<int>(threadIdx.x);
  const int channel = thread < Columns ? place.first_channel + thread : norm.geometry.channels;
  const GradientFacts facts(norm, channel);
  float sums[kGradientFields][kQuad] = {};
  {
    const Scaling scaling(norm);
    const Normalization<kQuad> normalization(
        norm, place.first_channel + static_cast<int>(RecordPlace::quad_channel<Columns>()));
    const float dy_factor = scaling.dy_per_stored();
#pragma unroll
    for (int pixel = 0; pixel < Count; ++pixel) {
      if (!has(pixel)) continue;
      Vector vector;
      vector.x = static_cast<const uint2*>(norm.x)[quad_of(pixel)];
      vector.d_y = stored[pixel];
      if (norm.shortcut != nullptr) vector.shortcut = static_cast<const uint2*>(norm.shortcut)[quad_of(pixel)];
      add_gradients(Gradients<__nv_bfloat16, kQuad>(vector, normalization, dy_factor), scaling, sums);
    }
  }
  __syncthreads();  // nobody needs what has been in the shared memory
  reduce_quads<Columns>(sums, static_cast<float*>(shared), FieldRule<kGradientFields>(),
                        [&](int field, int of_tile, float sum) {
                          *task.records.at(place.block, field, place.first_channel + of_tile) = sum;
                        });
  GradientTotal total;
  if (!combine_records<Columns>(task.groups, place, task.records, task.memory.counters,
                                static_cast<GradientTotal*>(shared), total))
    return;
  const bool leads = thread < Columns;
  if (leads)
    finish_gradients(norm, facts, saved_coefficients(norm), channel, total.sum[kGradientSum], total.sum[kProjection],
                     task.per_row);
  if (!learns_ceiling(norm.rule.activation)) return;
  save_d_clip(norm, leads ? total.sum[kClipped] : 0.0, place.tile,
              static_cast<unsigned>(norm.geometry.channels / Columns), task.memory, static_cast<double*>(shared));
}

}  // namespace bsq::cuda
