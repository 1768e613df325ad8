// How the strips of a filter gradient (ops/filter_gradient.cu) lie in shared memory, and how they get there.
// filter_cuts.h has how it is cut.
#pragma once

#include "kernels/cuda/device/device.cuh"
#include "kernels/cuda/device/ptx.cuh"
#include "kernels/cuda/device/filter_cuts.h"
#include "kernels/cuda/device/input_norm.cuh"

#include <cstdint>

namespace bsq::cuda {

static_assert(kChunkChannels == kVectorWidth<__nv_bfloat16>);

/// Where the chunk of a pixel lies, in vectors of 16 bytes. Chunks are shifted such that the same chunk of 8
/// neighbouring pixels is in 8 different groups of banks, wherever they begin.
template <int Chunks>
__device__ int place_of(int pixel, int chunk) {
  static_assert(Chunks == 1 || Chunks == 2 || Chunks == 4 || Chunks == 8);
  const auto index = static_cast<unsigned>(pixel);
  return static_cast<int>(index * Chunks + (static_cast<unsigned>(chunk) ^ (index / (8 / Chunks) & (Chunks - 1))));
}

/// The place of a strip. A block goes from one strip to the next one that is its own.
struct StripPlace {
  int image;
  int row;  // the first row of the output in the strip

  __device__ StripPlace(const Strips& strips, unsigned strip) {
    const unsigned above = strip / static_cast<unsigned>(strips.per_image);
    image = static_cast<int>(above);
    row = static_cast<int>(strip - above * static_cast<unsigned>(strips.per_image)) * strips.rows;
  }
  __device__ void advance(const Strips& strips) {
    image += strips.images_apart;
    row += strips.rows_apart;
    if (row < strips.per_image * strips.rows) return;
    row -= strips.per_image * strips.rows;
    ++image;
  }
};

/// Copies the strips of a block to shared memory.
template <typename C>
struct StripLoader {
  const ConvGeometry& g;
  const Strips& strips;
  const __nv_bfloat16* input;
  const __nv_bfloat16* d_output;
  int first_out;  // the first output channel
  int first_in;   // the first input channel
  int first_tap_row;

  /// The pixels of the gradients in a strip; the last strip of an image may have fewer than others.
  __device__ int pixels(const StripPlace& place) const {
    const int rows = strips.out_height - place.row;
    return (rows < strips.rows ? rows : strips.rows) * strips.out_width;
  }

  __device__ void load(const StripPlace& place, uint4* gradients, uint4* inputs) const {
    const auto image = static_cast<std::int64_t>(place.image);
    load_gradients((image * strips.out_height + place.row) * strips.out_width, pixels(place), gradients);
    load_inputs(input + image * g.height * g.width * g.in_channels + first_in, top_of(place), inputs);
  }

  /// A thread copies the same chunk of every so many pixels; the strip has `there` pixels.
  __device__ void load_gradients(std::int64_t first_pixel, int there, uint4* to) const {
    constexpr int step = C::threads / C::out_chunks;
    static_assert(C::threads % C::out_chunks == 0 &&
                  step % 8 == 0);  // so that place_of is the same for all, but shifted
    const auto first = static_cast<int>(threadIdx.x / C::out_chunks);
    const auto chunk = static_cast<int>(threadIdx.x % C::out_chunks);
    to += place_of<C::out_chunks>(first, chunk);
    const __nv_bfloat16* from = d_output + (first_pixel + first) * g.out_channels + first_out + chunk * kChunkChannels;
#pragma unroll 1  // the registers are needed for sums, and copies wait for nothing
    for (int pixel = first; pixel < strips.pixels; pixel += step) {
      begin_copy(to, pixel < there ? from : d_output, pixel < there);
      to += C::threads;
      from += step * g.out_channels;
    }
  }

  /// Calls body(place, x, y, chunk, is_there) for the chunks of the input that this thread copies: a warp takes whole
  /// rows, its lanes the chunks of a row, each always the same channels. `place`: in shared memory, from the beginning.
  /// `top`: the row of the image that is the first of the strip.
  template <typename Body>
  __device__ void for_each_input(int top, Body body) const {
    const auto lane = static_cast<int>(threadIdx.x % kWarp);
#pragma unroll 1
    for (auto row = static_cast<int>(threadIdx.x / kWarp); row < strips.in_rows; row += C::threads / kWarp) {
      const int y = top + row * strips.column_step;
      const bool has_row = y >= 0 && y < g.height;
#pragma unroll 1
      for (int i = lane; i < strips.in_pitch * C::in_chunks; i += kWarp) {
        const auto position = static_cast<int>(static_cast<unsigned>(i) / C::in_chunks);
        const auto chunk = static_cast<int>(static_cast<unsigned>(i) % C::in_chunks);
        int column = position;
        if (strips.even != 0) column = position < strips.even ? 2 * position : 2 * (position - strips.even) + 1;
        const int x = column * strips.column_step - g.padding;
        const bool is_there = has_row && x >= 0 && x < g.width;
        body(place_of<C::in_chunks>(row * strips.in_pitch + position, chunk), x, y, chunk, is_there);
      }
    }
  }

  __device__ int top_of(const StripPlace& place) const {
    return place.row * g.stride - g.padding + first_tap_row;
  }

  __device__ void load_inputs(const __nv_bfloat16* image, int top, uint4* to) const {
    for_each_input(top, [&](int place, int x, int y, int chunk, bool is_there) {
      const __nv_bfloat16* const pixel = image + (is_there ? (y * g.width + x) * g.in_channels : 0);
      if constexpr (C::chunks == 1)
        to[place] = is_there ? narrow_pixel(pixel) : make_uint4(0, 0, 0, 0);
      else
        begin_copy(to + place, pixel + chunk * kChunkChannels, is_there);
    });
  }

  /// Makes the input of what this thread has copied, once that has arrived. Padding stays zero.
  __device__ void apply_norm(const InputNorm& norm, const StripPlace& place, uint4* inputs) const {
    if constexpr (C::chunks > 1) {
      static_assert(kWarp % C::in_chunks == 0);
      const ChunkNorm chunk_norm(norm, first_in + static_cast<int>(threadIdx.x % C::in_chunks) * kChunkChannels);
      for_each_input(top_of(place), [&](int at, int /*x*/, int /*y*/, int /*chunk*/, bool is_there) {
        if (is_there) chunk_norm.apply(inputs[at]);
      });
    }
  }

  /// The channels of a pixel, which are not aligned, with zeros behind them.
  __device__ uint4 narrow_pixel(const __nv_bfloat16* from) const {
    unsigned words[4] = {};
#pragma unroll
    for (int i = 0; i < kChunkChannels; ++i)
      if (i < g.in_channels) words[i / 2] |= unsigned{__bfloat16_as_ushort(from[i])} << (i % 2 * 16);
    return make_uint4(words[0], words[1], words[2], words[3]);
  }
};

}  // namespace bsq::cuda
