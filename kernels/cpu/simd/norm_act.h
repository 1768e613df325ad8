// What both directions of norm_act share: how rows x channels are cut up, the scratch memory, the activations.
#pragma once

#include "kernels/cpu/simd/lanes.h"
#include "kernels/cpu/simd/simd_kernels.h"
#include "kernels/cpu/simd/units.h"

namespace bsq::BSQ_SIMD_NAMESPACE {

constexpr std::int64_t kTileRows = 64;    // after so many rows float sums are added to double ones; fits in L1
constexpr std::int64_t kChunkRows = 512;  // one unit of parallel work
constexpr int kForwardFields = 4;         // sum, sum of squares, min, max of x - pivot
constexpr int kBackwardFields = 3;        // sum dz, sum dz (x - mean), sum of the dy that are clipped

BSQ_LANES_INLINE std::int64_t chunks_of(std::int64_t rows) {
  return (rows + kChunkRows - 1) / kChunkRows;
}
BSQ_LANES_INLINE std::int64_t padded(int channels) {
  return (channels + kLanes - 1) / kLanes * kLanes;
}
BSQ_LANES_INLINE std::int64_t least(std::int64_t a, std::int64_t b) {
  return a < b ? a : b;
}

/// doubles [chunks][fields][padded channels], then floats: four rows of coefficients, one maximum per chunk.
struct NormActScratch {
  double* partials;
  float* scale;  // z = stored x * scale + shift
  float* shift;
  float* slope;   // d_x = dz * scale + (x - mean) * slope + offset
  float* offset;  // right behind slope: before either is known, the two together hold what the ranks exchange
  float* chunk_max;
  std::int64_t width;
};

BSQ_LANES_INLINE NormActScratch carve_scratch(void* memory, const NormActGeometry& geometry) {
  NormActScratch scratch;
  scratch.width = padded(geometry.channels);
  scratch.partials = static_cast<double*>(memory);
  scratch.scale =
      reinterpret_cast<float*>(scratch.partials + chunks_of(geometry.rows) * kForwardFields * scratch.width);
  scratch.shift = scratch.scale + scratch.width;
  scratch.slope = scratch.shift + scratch.width;
  scratch.offset = scratch.slope + scratch.width;
  scratch.chunk_max = scratch.offset + scratch.width;
  return scratch;
}

/// From one row of x, and of d_x, to the next.
BSQ_LANES_INLINE std::int64_t pitch_of(const NormActGeometry& geometry) {
  return geometry.x_pitch == 0 ? geometry.channels : geometry.x_pitch;
}

/// z = gamma (x - mean) inv_std + beta as one multiply-add of the stored x.
BSQ_LANES_INLINE void fold_normalization(const NormParameters& parameters, const NormSaved& saved, int channel,
                                         float x_unit, const NormActScratch& scratch) {
  const float scale = parameters.gamma[channel] * saved.inv_std[channel];
  scratch.scale[channel] = scale * x_unit;
  scratch.shift[channel] = parameters.beta[channel] - saved.mean[channel] * scale;
}

/// z = x + beta likewise.
BSQ_LANES_INLINE void fold_bias(const NormActGeometry& geometry, const NormParameters& parameters, float x_unit,
                                const NormActScratch& scratch) {
  for (int channel = 0; channel < geometry.channels; ++channel) {
    scratch.scale[channel] = x_unit;
    scratch.shift[channel] = parameters.beta == nullptr ? 0.0F : parameters.beta[channel];
  }
}

/// Rows [begin, end) of one chunk, channels [channel, channel + count).
struct Tile {
  std::int64_t chunk;
  std::int64_t begin;
  std::int64_t end;
  int channel;
  int count;
  bool first_of_chunk;
};

/// Calls body<Full>(tile) for sixteen channels of every tile of rows; chunks in parallel, the tiles of one in order.
template <typename Body>
BSQ_LANES_INLINE void parallel_tiles(const NormActGeometry& geometry, Body body) {
  const std::int64_t chunks = chunks_of(geometry.rows);
#pragma omp parallel for schedule(static)
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk) {
    const std::int64_t end = least(geometry.rows, (chunk + 1) * kChunkRows);
    for (std::int64_t begin = chunk * kChunkRows; begin < end; begin += kTileRows) {
      const std::int64_t tile_end = least(end, begin + kTileRows);
      const bool first = begin == chunk * kChunkRows;
      int channel = 0;
      for (; channel + kLanes <= geometry.channels; channel += kLanes)
        body.template operator()<true>(Tile{chunk, begin, tile_end, channel, kLanes, first});
      if (channel < geometry.channels)
        body.template operator()<false>(Tile{chunk, begin, tile_end, channel, geometry.channels - channel, first});
    }
  }
}

template <Activation Act>
BSQ_LANES_INLINE FloatLanes activate(FloatLanes z, float clip) {
  if constexpr (Act == Activation::none) return z;
  z = at_least(z, FloatLanes{});
  if constexpr (Act == Activation::relu6) return at_most(z, broadcast(6.0F));
  if constexpr (learns_ceiling(Act)) return at_most(z, broadcast(clip));
  return z;
}

/// dy if the activation lets a gradient through, else 0.
template <Activation Act>
BSQ_LANES_INLINE FloatLanes pass_gradient(FloatLanes d_y, FloatLanes z, float clip) {
  if constexpr (Act == Activation::none) return d_y;
  FloatLanes d_z = z > FloatLanes{} ? d_y : FloatLanes{};
  if constexpr (Act == Activation::relu6) d_z = z < broadcast(6.0F) ? d_z : FloatLanes{};
  if constexpr (learns_ceiling(Act)) d_z = z < broadcast(clip) ? d_z : FloatLanes{};
  return d_z;
}

/// Calls body<T, Act>() for the storage type and the activation of an operation.
template <typename Body>
BSQ_LANES_INLINE void dispatch_norm_act(DType dtype, Activation activation, Body body) {
  const auto with_activation = [&]<typename T>() {
    switch (activation) {
      case Activation::none: return body.template operator()<T, Activation::none>();
      case Activation::relu: return body.template operator()<T, Activation::relu>();
      case Activation::relu6: return body.template operator()<T, Activation::relu6>();
      case Activation::pact: return body.template operator()<T, Activation::pact>();
      case Activation::lsq: return body.template operator()<T, Activation::lsq>();
    }
  };
  dtype == DType::bf16 ? with_activation.template operator()<Bf16>() : with_activation.template operator()<float>();
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
