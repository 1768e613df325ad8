// How a filter gradient (filter_gradient.cu) is cut: into blocks by channels, taps and strips of pixels. Plain C++, so
// that bench/roofline_model.cpp can count what that comes to.
#pragma once

#include "kernels/cuda/device/warp.h"
#include "kernels/cuda/device/own_geometries.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace bsq::cuda {

constexpr std::size_t kVectorBytes = 16;
constexpr int kProductPixels = 16;  // pixels per product
constexpr int kChunkChannels = 8;   // channels in 16 bytes
constexpr int kPixelRowBits = 22;   // enough for the pixels of a stage, fewer than 1024, and products below 2^32
constexpr int kStripStages = 2;     // strips in shared memory: the one in use, and the next one
constexpr std::size_t kMostStageBytes = 48 * 1024;  // so that every device has room for all stages

/// How the work of a block is cut. Each warp has sums of MTiles x 16 output channels and Chunks x 8 input channels for
/// `Taps` neighbouring taps; MWarps x NWarps x TapWarps of them make up a block's channels and taps, and PixelWarps
/// share its pixels.
template <int MTiles, int Chunks, int Taps, int MWarps, int NWarps, int TapWarps, int PixelWarps, int BlocksAtOnce>
struct FilterCut {
  static constexpr int m_tiles = MTiles;
  static constexpr int chunks = Chunks;
  static constexpr int taps = Taps;
  static constexpr int m_warps = MWarps;
  static constexpr int n_warps = NWarps;
  static constexpr int tap_warps = TapWarps;
  static constexpr int pixel_warps = PixelWarps;
  static constexpr int blocks_at_once = BlocksAtOnce;  // per multiprocessor

  static constexpr int kernel = Taps * TapWarps == 1 ? 1 : 3;
  static constexpr bool has_all_taps = Taps * TapWarps == kernel * kernel;  // else one row of them
  static constexpr int tap_blocks = kernel * kernel / (Taps * TapWarps);
  static constexpr int out_channels = MTiles * 16 * MWarps;
  static constexpr int in_channels = Chunks * kChunkChannels * NWarps;
  static constexpr int out_chunks = out_channels / kChunkChannels;
  static constexpr int in_chunks = in_channels / kChunkChannels;
  static constexpr int sums = Taps * MTiles * Chunks * 4;  // per thread
  static constexpr int group_threads = MWarps * NWarps * TapWarps * kWarp;
  static constexpr int threads = group_threads * PixelWarps;
  static constexpr std::size_t reduction_bytes = std::size_t{PixelWarps / 2} * sums * group_threads * sizeof(float);
};

using Narrow3x3 = FilterCut<1, 1, 3, 1, 1, 3, 4, 2>;  // up to 8 input channels: the first convolution
using Small3x3 = FilterCut<1, 2, 3, 1, 1, 3, 4, 2>;   // 16 output, 16 input channels
using Mixed3x3 = FilterCut<2, 2, 3, 1, 1, 3, 4, 1>;   // 32 output, 16 input channels
using Middle3x3 = FilterCut<2, 2, 3, 1, 2, 3, 2, 1>;  // 32 output, 32 input channels
using Large3x3 = FilterCut<2, 4, 3, 2, 2, 1, 2, 1>;   // 64 output, 64 input channels; one block per row of taps
using Small1x1 = FilterCut<2, 2, 1, 1, 1, 1, 8, 2>;   // 32 output, 16 input channels
using Middle1x1 = FilterCut<2, 4, 1, 1, 1, 1, 8, 2>;  // 32 output, 32 input channels

/// The strips of all images, and how one lies in shared memory: gradients [pixels, chunks], input [rows, pitch,
/// chunks].
struct Strips {
  int out_height = 0;  // of an image; given, since a kernel would have to divide by the stride for it
  int out_width = 0;
  int rows = 0;  // rows of the output per strip
  int per_image = 0;
  int count = 0;   // strips of all images
  int pixels = 0;  // places for the gradients of a strip: whole products
  int in_rows = 0;
  int in_pitch = 0;
  int column_step = 1;  // distance in the image of neighbouring pixels of a strip: above 1 only for 1x1 filters
  int row_step = 1;     // distance of their rows in the strip
  int even = 0;         // number of even columns; with stride 2 these come first, so that a tap's pixels are neighbours
  int splits = 0;
  int images_apart = 0;  // images and rows from a block's strip to its next one
  int rows_apart = 0;
  unsigned rows_per_pixel = 0;  // 2^kPixelRowBits / output width, rounded up: the row of a pixel without a division

  std::size_t stage_vectors(int out_chunks, int in_chunks) const {
    return static_cast<std::size_t>(pixels) * out_chunks + static_cast<std::size_t>(in_rows) * in_pitch * in_chunks;
  }
};

// ---- on the host ----------------------------------------------------------------------------------------------------

inline bool divides(int tile, int channels) {
  return channels % tile == 0;
}

/// Calls body<C>() with the cut for a geometry; false if none takes it.
template <typename Body>
bool with_cut(const ConvGeometry& g, Body body) {
  const auto use = [&]<typename C>() {
    body.template operator()<C>();
    return true;
  };
  if (!has_own_kernel(g, ConvPass::backward_weight)) return false;
  if (g.kernel == 1 && divides(32, g.in_channels)) return use.template operator()<Middle1x1>();
  if (g.kernel == 1) return use.template operator()<Small1x1>();
  if (g.in_channels <= kChunkChannels) return use.template operator()<Narrow3x3>();
  if (divides(64, g.out_channels) && divides(64, g.in_channels)) return use.template operator()<Large3x3>();
  if (divides(32, g.out_channels) && divides(32, g.in_channels)) return use.template operator()<Middle3x3>();
  if (divides(32, g.out_channels)) return use.template operator()<Mixed3x3>();
  return use.template operator()<Small3x3>();
}

/// How many blocks share the channels and taps.
struct FilterTiles {
  int of_outputs = 1;
  int of_inputs_and_taps = 1;

  int count() const { return of_outputs * of_inputs_and_taps; }
};

template <typename C>
FilterTiles tiles_of(const ConvGeometry& g) {
  const int in_tiles = (g.in_channels + C::in_channels - 1) / C::in_channels;
  return {g.out_channels / C::out_channels, in_tiles * C::tap_blocks};
}

/// The distance of the input's rows in a strip. If rows are not made of eights, eight pixels that a warp reads together
/// may lie in two rows: this pitch, near `columns`, then puts them into different groups of banks, if any does.
inline int pitch_of(int columns, int row_step, int out_width) {
  if (out_width % 8 == 0) return columns;
  for (int pitch = columns; pitch < columns + 8; ++pitch)
    if ((pitch * row_step - out_width) % 8 == 0) return pitch;
  return columns;
}

template <typename C>
Strips strips_of_rows(const ConvGeometry& g, int rows) {
  Strips strips;
  strips.out_height = g.out_height();
  strips.out_width = g.out_width();
  strips.rows = rows;
  strips.per_image = (g.out_height() + rows - 1) / rows;
  strips.count = strips.per_image * g.batch;
  strips.pixels = (rows * g.out_width() + kProductPixels - 1) / kProductPixels * kProductPixels;
  const int tap_rows = C::has_all_taps ? C::kernel : 1;
  strips.column_step = C::kernel == 1 ? g.stride : 1;
  strips.row_step = g.stride / strips.column_step;
  strips.in_rows = (rows - 1) * strips.row_step + tap_rows;
  const int columns = (g.out_width() - 1) * strips.row_step + C::kernel;
  strips.in_pitch = pitch_of(columns, strips.row_step, g.out_width());
  strips.even = strips.row_step == 2 ? (columns + 1) / 2 : 0;
  strips.rows_per_pixel =
      ((1U << kPixelRowBits) + static_cast<unsigned>(g.out_width()) - 1) / static_cast<unsigned>(g.out_width());
  return strips;
}

/// Strips of four products per warp, or of as many rows as there is room for, about as many in each strip of an image;
/// nothing if there is not even room for one row.
template <typename C>
Strips cut_strips(const ConvGeometry& g, int multiprocessors) {
  constexpr int pixels = 4 * kProductPixels * C::pixel_warps;
  int rows = std::min((pixels + g.out_width() - 1) / g.out_width(), g.out_height());
  const auto bytes = [&] {
    return strips_of_rows<C>(g, rows).stage_vectors(C::out_chunks, C::in_chunks) * kVectorBytes;
  };
  while (rows > 1 && bytes() > kMostStageBytes) --rows;
  if (bytes() > kMostStageBytes) return {};
  const int per_image = (g.out_height() + rows - 1) / rows;
  rows = (g.out_height() + per_image - 1) / per_image;
  Strips strips = strips_of_rows<C>(g, rows);
  const int at_once = C::blocks_at_once * multiprocessors / tiles_of<C>(g).count();
  strips.splits = std::clamp(at_once, 1, strips.count);
  strips.images_apart = strips.splits / strips.per_image;
  strips.rows_apart = strips.splits % strips.per_image * rows;
  return strips;
}

/// Backend::gradient_parts(): the splits of a geometry.
inline int filter_gradient_parts(const ConvGeometry& geometry, int multiprocessors) {
  int parts = 1;
  with_cut(geometry, [&]<typename C>() { parts = cut_strips<C>(geometry, multiprocessors).splits; });
  return parts;
}

}  // namespace bsq::cuda
