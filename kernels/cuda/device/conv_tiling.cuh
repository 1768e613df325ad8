// How our own convolutions cut a layer into blocks and warps (conv_patches.cuh has what a block does).
//
// A pass has a source and a target: input and output, or the gradient of the output and that of the input. A block
// makes kColumns channels of a patch of the target, in one or several images. A warp makes 16 channels of kRows strips,
// one above the other, each of kStrip pixels.
#pragma once

#include "kernels/cuda/device/channel_records.cuh"
#include "kernels/ops/convolution.h"

#include <cstddef>
#include <cstdint>
#include <utility>

namespace bsq::cuda {

constexpr int kPatchThreads = kRecordThreads;
constexpr int kStrip = 16;                           // pixels: the rows of a product on tensor cores
constexpr int kWarpColumns = kChannelsOfWarp;        // 16: two products side by side
constexpr int kChunk = kVectorWidth<__nv_bfloat16>;  // channels per access: 8
constexpr int kDepthStep = 16;                       // channels of the source per product

constexpr int up(int count, int per) {
  return (count + per - 1) / per;
}

/// The sizes of a layer, as a pass sees it.
struct Maps {
  int images = 0;
  int source_height = 0;
  int source_width = 0;
  int target_height = 0;
  int target_width = 0;
  int target_channels = 0;
};

/// How a block works. Depth: channels of the source; Columns: channels of the target per block; Width: pixels of a
/// patch side by side; Rows: strips per warp, one above the other. With a stride the gradient of the input is made two
/// by two: pixel (y, x) of a patch is pixels (2y, 2x) to (2y + 1, 2x + 1) of the target.
template <int Depth, int Columns, int Kernel, int Stride, int Width, bool Backward, int Rows = 4>
struct Tiling {
  static constexpr int kDepth = Depth;
  static constexpr int kColumns = Columns;
  static constexpr int kKernel = Kernel;
  static constexpr int kTaps = Kernel * Kernel;
  static constexpr int kRows = Rows;
  static constexpr int kStride = Stride;
  static constexpr bool kBackward = Backward;

  static constexpr int kColumnWarps = Columns / kWarpColumns;
  static constexpr int kRowWarps = kPatchThreads / kWarp / kColumnWarps;
  // A strip is a row of a patch, or, if the patch is half as wide, the same row of two images.
  static constexpr int kWidth = Width;
  static constexpr int kImagesOfStrip = kStrip / Width;
  static constexpr int kRowGroups = Width == kStrip ? kRowWarps : 2;
  static constexpr int kHeight = kRowGroups * Rows;
  static constexpr int kImages = kRowWarps / kRowGroups * kImagesOfStrip;

  // The patch of the source, with the pixels around it. Pixels that a strided 1x1 filter skips are not copied.
  static constexpr bool kScatters = Backward && Stride == 2;
  static constexpr int kScatter = kScatters ? 2 : 1;
  static constexpr int kSourceStride = Backward ? 1 : Stride;       // from a pixel of a patch to the next
  static constexpr int kStep = Kernel == 1 ? 1 : kSourceStride;     // the same in shared memory
  static constexpr int kSpacing = Kernel == 1 ? kSourceStride : 1;  // between the pixels that are copied
  static constexpr int kPadding = kScatters ? 0 : Kernel / 2;
  static constexpr int kReach = kScatters ? Kernel / 2 : Kernel - 1;  // pixels that a tap is away, at most
  static constexpr int kSourceHeight = (kHeight - 1) * kStep + 1 + kReach;
  static constexpr int kSourceWidth = (Width - 1) * kStep + 1 + kReach;
  static constexpr int kEvenColumns = (kSourceWidth + 1) / 2;
  static constexpr int kChunks = Depth / kChunk;  // per pixel
  static constexpr int kRowChunks = kSourceWidth * kChunks;
  static constexpr int kPatchChunks = kSourceHeight * kRowChunks;
  static constexpr int kSourceChunks = kImages * kPatchChunks;

  // Filters lie as in memory, one row per output channel of the layer. The number of chunks per row is odd, so that
  // eight rows never share a bank.
  static constexpr int kFilterRows = Backward ? Depth : Columns;
  static constexpr int kTapChunks = (Backward ? Columns : Depth) / kChunk;
  static constexpr int kFilterPitch = kTaps * kTapChunks + 1;
  static_assert(kFilterPitch % 2 == 1);
  // In the backward pass a row has the columns of first products and then those of second ones, so that threads side by
  // side write chunks side by side.
  static constexpr int kSecondProduct = kTaps * kColumnWarps;
  // If there is much to wait for, columns of taps arrive one after the other.
  static constexpr int kStages = Backward || Depth == 16 ? 1 : Kernel;

  static constexpr std::size_t kSharedBytes = (kSourceChunks + kFilterRows * kFilterPitch) * sizeof(uint4);
  static_assert(kSharedBytes <= 99 * 1024, "what a block gets on every device from compute capability 8.0 on");

  /// The position of column `x` of a patch of the source: with steps of 2 the even columns come first, then the odd
  /// ones, so that the pixels of a strip are neighbours.
  static constexpr __device__ unsigned position_of(unsigned x) { return kStep == 1 ? x : x / 2 + x % 2 * kEvenColumns; }
  static constexpr __device__ unsigned column_at(unsigned position) {
    return kStep == 1 ? position : position % kEvenColumns * 2 + position / kEvenColumns;
  }
  /// The number of a chunk is XORed with this, so that the same chunk of eight pixels side by side never shares a bank.
  static constexpr __device__ unsigned swizzle_of(unsigned position) { return position / (8 / kChunks) % kChunks; }
};

/// What a block makes: kColumns channels of a patch of kImages images from `image` on. The first pixel of the patch is
/// (y, x).
template <typename T>
struct BlockPlace {
  __device__ explicit BlockPlace(const Maps& maps) {
    const unsigned column_blocks = static_cast<unsigned>(maps.target_channels) / T::kColumns;  // 1 or 2
    const unsigned shift = column_blocks / 2;
    y = static_cast<int>(blockIdx.y) * T::kHeight;
    x = static_cast<int>(blockIdx.x >> shift) * T::kWidth;
    image = static_cast<int>(blockIdx.z) * T::kImages;
    first_channel = static_cast<int>(blockIdx.x & (column_blocks - 1)) * T::kColumns;
  }

  int image;
  int y;
  int x;
  int first_channel;
};

/// Where a block stands among those of its channels.
template <typename T>
__device__ RecordPlace record_place(const Maps& maps, const BlockPlace<T>& block) {
  const unsigned column_blocks = static_cast<unsigned>(maps.target_channels) / T::kColumns;  // 1 or 2
  const unsigned shift = column_blocks / 2;
  const unsigned patch = (blockIdx.z * gridDim.y + blockIdx.y) * (gridDim.x >> shift) + (blockIdx.x >> shift);
  return {static_cast<int>(patch), blockIdx.x & (column_blocks - 1), block.first_channel};
}

/// How many pixels of a target, one for each of a patch, a block has.
template <typename T>
__device__ int pixels_of(const Maps& maps, const BlockPlace<T>& block) {
  const auto least = [](int a, int b) { return a < b ? a : b; };
  return least(maps.images - block.image, T::kImages) * least(maps.target_height - block.y, T::kHeight) *
         least(maps.target_width - block.x, T::kWidth);
}

/// The place of a thread in its block.
template <typename T>
struct WarpPlace {
  unsigned lane = threadIdx.x % kWarp;
  unsigned warp = threadIdx.x / kWarp;
  unsigned first_column = warp % T::kColumnWarps * kWarpColumns;
  unsigned first_row = warp / T::kColumnWarps % T::kRowGroups * T::kRows;
  unsigned first_image = warp / T::kColumnWarps / T::kRowGroups * T::kImagesOfStrip;

  /// The image of pixel `pixel` of a strip.
  __device__ unsigned image_of(unsigned pixel) const { return first_image + pixel / T::kWidth; }
  __device__ unsigned column_of(unsigned pixel) const { return pixel % T::kWidth; }
};

// ---- on the host ----------------------------------------------------------------------------------------------------

/// Whether offsets in 32 bits within the images of a block, and the sizes of a grid, allow this geometry.
inline bool fits_in_grid(const ConvGeometry& geometry) {
  constexpr int most = 65535;
  return geometry.batch > 0 && geometry.batch <= most && geometry.height > 0 && geometry.height <= most &&
         geometry.width > 0 && std::int64_t{geometry.height} * geometry.width <= 1 << 22;
}

inline Maps maps_of(const ConvGeometry& g, bool backward) {
  Maps maps{.images = g.batch,
            .source_height = g.height,
            .source_width = g.width,
            .target_height = g.out_height(),
            .target_width = g.out_width(),
            .target_channels = backward ? g.in_channels : g.out_channels};
  if (backward) {
    std::swap(maps.source_height, maps.target_height);
    std::swap(maps.source_width, maps.target_width);
  }
  return maps;
}

template <typename T>
int column_blocks_of(const Maps& maps) {
  return maps.target_channels / T::kColumns;
}

template <typename T>
dim3 grid_of(const Maps& maps) {
  const int column_blocks = column_blocks_of<T>(maps);
  return {static_cast<unsigned>(up(maps.target_width, T::kWidth * T::kScatter) * column_blocks),
          static_cast<unsigned>(up(maps.target_height, T::kHeight * T::kScatter)),
          static_cast<unsigned>(up(maps.images, T::kImages))};
}

/// The blocks that make the same channels.
template <typename T>
int patches_of(const Maps& maps) {
  const dim3 grid = grid_of<T>(maps);
  return static_cast<int>(grid.x * grid.y * grid.z) / column_blocks_of<T>(maps);
}

/// Calls body<Depth, Columns, Width>(). `width`: the width of the target in pixels of patches.
template <typename Body>
void with_patch_sizes(int depth, int target_channels, int width, Body body) {
  const auto with_depth = [&]<int Depth>() {
    if (target_channels == 16 && width > 8) return body.template operator()<Depth, 16, 16>();
    if (target_channels == 16) return body.template operator()<Depth, 16, 8>();
    if (width > 8) return body.template operator()<Depth, 32, 16>();
    return body.template operator()<Depth, 32, 8>();
  };
  if (depth == 16) return with_depth.template operator()<16>();
  if (depth == 32) return with_depth.template operator()<32>();
  return with_depth.template operator()<64>();
}

}  // namespace bsq::cuda
