// Convolutions of our own, for small bf16 layers that the vendor's library is slow at: 16, 32 or 64 channels on both
// sides. The output, and with a stride of 1 the gradient of the input, which is the same sum: its source is the
// gradient of the output, its taps lie the other way round, and rows and columns of each tap's filter change places.
//
// A block makes kColumns channels of a few patches of the target. It copies the patches of the source with the pixels
// around them to shared memory, with zeros for padding, and the filters. A warp makes kRows rows of kStrip pixels, 16
// channels of each. A row of the source that it loads serves all taps above each other, so for a column of taps it
// loads kRows + 2 rows and not 3 kRows; so its sums lie in registers, and multiplications need little more than one
// access to shared memory each.
//
// Products are summed in float32 on tensor cores, columns of taps in order, channels in order, rows of taps in order;
// the result is rounded once. The same bits every time.
//
// Least bytes: source, filter and target once. Of the source a block reads the pixels around its patches too: of a
// patch of 16x16 pixels 27 % more, which are in the cache.
#include "kernels/cuda/device/device.cuh"
#include "kernels/cuda/device/ptx.cuh"
#include "kernels/cuda/ops/launchers.h"

namespace bsq::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kStrip = 16;                           // pixels: the rows of a product on tensor cores
constexpr int kWarpColumns = 16;                     // channels of a warp: two products side by side
constexpr int kChunk = kVectorWidth<__nv_bfloat16>;  // channels of an access: 8
constexpr int kDepthStep = 16;                       // channels of the source of a product

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

/// How a block works. Depth: channels of the source; Columns: of the target, of a block; Width: of a patch; Rows:
/// strips of a warp, one above the other.
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
  static constexpr int kRowWarps = kThreads / kWarp / kColumnWarps;
  // A strip is a row of a patch, or of the same patch of two images where that is half as wide.
  static constexpr int kWidth = Width;
  static constexpr int kImagesOfStrip = kStrip / Width;
  static constexpr int kRowGroups = Width == kStrip ? kRowWarps : 2;
  static constexpr int kHeight = kRowGroups * Rows;
  static constexpr int kImages = kRowWarps / kRowGroups * kImagesOfStrip;

  // Of a patch of the source, with the pixels around it. What a 1x1 filter leaves out is not copied.
  static constexpr int kStep = Kernel == 1 ? 1 : Stride;     // from a pixel of the target to the next
  static constexpr int kSpacing = Kernel == 1 ? Stride : 1;  // of the pixels that are copied
  static constexpr int kPadding = Kernel / 2;
  static constexpr int kSourceHeight = (kHeight - 1) * kStep + Kernel;
  static constexpr int kSourceWidth = (Width - 1) * kStep + Kernel;
  static constexpr int kChunks = Depth / kChunk;  // of a pixel
  static constexpr int kRowChunks = kSourceWidth * kChunks;
  static constexpr int kPatchChunks = kSourceHeight * kRowChunks;
  static constexpr int kSourceChunks = kImages * kPatchChunks;

  // Filters lie as in memory, a row for each output channel of the layer. An odd number of chunks a row: eight rows
  // never share a bank.
  static constexpr int kFilterRows = Backward ? Depth : Columns;
  static constexpr int kTapChunks = (Backward ? Columns : Depth) / kChunk;
  static constexpr int kFilterPitch = kTaps * kTapChunks + 1;
  static_assert(kFilterPitch % 2 == 1);
  // Columns of taps arrive one after the other where there is much to wait for.
  static constexpr int kStages = Backward || Depth == 16 ? 1 : Kernel;

  static constexpr std::size_t kSharedBytes = (kSourceChunks + kFilterRows * kFilterPitch) * sizeof(uint4);

  /// Where column `x` of a patch of the source lies: with steps of 2 the even ones, then the odd ones, so that a strip
  /// lies side by side.
  static constexpr __device__ unsigned position_of(unsigned x) {
    return kStep == 1 ? x : x / 2 + x % 2 * ((kSourceWidth + 1) / 2);
  }
  /// What the chunk of a pixel is XORed with, so that one chunk of eight pixels side by side never shares a bank.
  static constexpr __device__ unsigned swizzle_of(unsigned position) { return position / (8 / kChunks) % kChunks; }
};

/// What a block makes: a patch of kImages images from `image` on, kColumns channels.
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

/// What a thread knows of its place in its block.
template <typename T>
struct WarpPlace {
  unsigned lane = threadIdx.x % kWarp;
  unsigned warp = threadIdx.x / kWarp;
  unsigned first_column = warp % T::kColumnWarps * kWarpColumns;
  unsigned first_row = warp / T::kColumnWarps % T::kRowGroups * T::kRows;
  unsigned first_image = warp / T::kColumnWarps / T::kRowGroups * T::kImagesOfStrip;

  /// Of pixel `pixel` of a strip.
  __device__ unsigned image_of(unsigned pixel) const { return first_image + pixel / T::kWidth; }
  __device__ unsigned column_of(unsigned pixel) const { return pixel % T::kWidth; }
};

// ---- to shared memory -----------------------------------------------------------------------------------------------

__device__ inline bool is_within(int i, int size) {
  return static_cast<unsigned>(i) < static_cast<unsigned>(size);
}

template <typename T>
__device__ void begin_source(const Maps& maps, const BlockPlace<T>& block, const __nv_bfloat16* source, uint4* shared) {
  const int image_chunks = maps.source_height * maps.source_width * T::kChunks;
  const auto* from = reinterpret_cast<const uint4*>(source + std::int64_t{block.image} * (image_chunks * kChunk));
  const int top = block.y * T::kStride - T::kPadding;
  const int left = block.x * T::kStride - T::kPadding;
  constexpr int rounds = up(T::kSourceChunks, kThreads);
#pragma unroll
  for (int round = 0; round < rounds; ++round) {
    const unsigned i = threadIdx.x + round * kThreads;
    if (round == rounds - 1 && i >= T::kSourceChunks) break;
    const unsigned chunk = i % T::kChunks;
    const unsigned column = i / T::kChunks % T::kSourceWidth;
    const unsigned row = i / T::kRowChunks;
    const int image = T::kImages == 1 ? 0 : static_cast<int>(row / T::kSourceHeight);
    const int y = top + static_cast<int>(T::kImages == 1 ? row : row % T::kSourceHeight) * T::kSpacing;
    const int x = left + static_cast<int>(column) * T::kSpacing;
    const bool is_there =
        block.image + image < maps.images && is_within(y, maps.source_height) && is_within(x, maps.source_width);
    const int offset = image * image_chunks + (y * maps.source_width + x) * T::kChunks + static_cast<int>(chunk);
    const unsigned position = T::position_of(column);
    begin_copy(shared + row * T::kRowChunks + position * T::kChunks + (chunk ^ T::swizzle_of(position)),
               from + (is_there ? offset : 0), is_there);
  }
}

// The columns of a product on tensor cores come to threads in pairs. So the 16 channels of a warp take places so that a
// thread gets four that lie side by side in memory: channels 4t, 4t + 1 are the t-th pair of the first product and 4t +
// 2, 4t + 3 that of the second.

/// A stage of the filter: a column of taps, or all of them. Every output channel is a row.
template <typename T>
__device__ void begin_filter(const BlockPlace<T>& block, const __nv_bfloat16* weight, unsigned stage, uint4* shared) {
  weight += block.first_channel * T::kTaps * T::kDepth;
  constexpr unsigned of_row = T::kTaps / T::kStages * T::kTapChunks;
  constexpr int rounds = up(T::kFilterRows * of_row, kThreads);
#pragma unroll
  for (int round = 0; round < rounds; ++round) {
    const unsigned i = threadIdx.x + round * kThreads;
    if (round == rounds - 1 && i >= T::kFilterRows * of_row) break;
    const unsigned row = i / of_row;
    unsigned in_row = i % of_row;
    if constexpr (T::kStages > 1) {
      const unsigned tap_y = in_row / T::kTapChunks;
      in_row = (tap_y * T::kKernel + stage) * T::kTapChunks + i % T::kTapChunks;
    }
    const unsigned place = row / 16 * 16 + row / 2 % 2 * 8 + row % 16 / 4 * 2 + row % 2;
    begin_copy(shared + place * T::kFilterPitch + in_row, weight + (row * T::kTaps * T::kTapChunks + in_row) * kChunk,
               true);
  }
}

/// All of it, the taps the other way round. Channels of the target lie side by side here: they take their places on the
/// way through registers.
template <typename T>
__device__ void copy_turned_filter(const Maps& maps, const BlockPlace<T>& block, const __nv_bfloat16* weight,
                                   uint4* shared) {
  constexpr unsigned of_tap = T::kColumnWarps;  // pairs of chunks
  constexpr unsigned pairs = T::kFilterRows * T::kTaps * of_tap;
  constexpr int rounds = up(pairs, kThreads);
  weight += block.first_channel;
  uint4 low[rounds];
  uint4 high[rounds];
#pragma unroll
  for (int round = 0; round < rounds; ++round) {
    const unsigned i = threadIdx.x + round * kThreads;
    if (round == rounds - 1 && i >= pairs) break;
    const __nv_bfloat16* from = weight + i / of_tap * maps.target_channels + i % of_tap * kWarpColumns;
    low[round] = load_raw<kChunk>(from);
    high[round] = load_raw<kChunk>(from + kChunk);
  }
#pragma unroll
  for (int round = 0; round < rounds; ++round) {
    const unsigned i = threadIdx.x + round * kThreads;
    if (round == rounds - 1 && i >= pairs) break;
    const unsigned row = i / of_tap / T::kTaps;
    const unsigned tap = T::kTaps - 1 - i / of_tap % T::kTaps;
    uint4* to = shared + row * T::kFilterPitch + tap * T::kTapChunks + i % of_tap * 2;
    to[0] = make_uint4(low[round].x, low[round].z, high[round].x, high[round].z);
    to[1] = make_uint4(low[round].y, low[round].w, high[round].y, high[round].w);
  }
}

// ---- products -------------------------------------------------------------------------------------------------------

template <typename T>
using Sums = float[T::kRows][2][4];

/// Adds the products of column `tap_x` of the taps.
template <typename T>
__device__ void multiply_column(const WarpPlace<T>& place, const uint4* source, const uint4* filter, unsigned tap_x,
                                Sums<T>& sums) {
  constexpr int rows = (T::kRows - 1) * T::kStep + T::kKernel;
  const unsigned row_of_matrix = place.lane % 8;
  const unsigned low_matrix = place.lane / 8 % 2;
  const unsigned high_matrix = place.lane / 16;

  // Of a product's left side: pixels 0 to 7 and 8 to 15, then the other half of the channels.
  const unsigned pixel = low_matrix * 8 + row_of_matrix;
  const unsigned position = T::position_of(place.column_of(pixel) * T::kStep + tap_x);
  source +=
      place.image_of(pixel) * T::kPatchChunks + place.first_row * T::kStep * T::kRowChunks + position * T::kChunks;
  const unsigned swizzle = T::swizzle_of(position);
  // Of its right side: both halves of its channels for 8 columns, then for the others.
  filter += T::kBackward
                ? (low_matrix * 8 + row_of_matrix) * T::kFilterPitch + place.first_column / kChunk + high_matrix
                : (place.first_column + high_matrix * 8 + row_of_matrix) * T::kFilterPitch + low_matrix;

#pragma unroll
  for (unsigned depth = 0; depth < T::kDepth / kDepthStep; ++depth) {
    unsigned left[rows][4];
    unsigned right[T::kKernel][4];
    const uint4* chunk = source + ((2 * depth + high_matrix) ^ swizzle);
#pragma unroll
    for (int row = 0; row < rows; ++row) load_matrices(left[row], chunk + row * T::kRowChunks);
#pragma unroll
    for (int tap_y = 0; tap_y < T::kKernel; ++tap_y) {
      const uint4* tap = filter + (tap_y * T::kKernel + tap_x) * T::kTapChunks;
      if constexpr (T::kBackward) load_transposed(right[tap_y], tap + depth * kDepthStep * T::kFilterPitch);
      if constexpr (!T::kBackward) load_matrices(right[tap_y], tap + depth * 2);
    }
#pragma unroll
    for (int tap_y = 0; tap_y < T::kKernel; ++tap_y) {
#pragma unroll
      for (int row = 0; row < T::kRows; ++row) {
        const unsigned(&pixels)[4] = left[row * T::kStep + tap_y];
        multiply_add(sums[row][0], pixels, right[tap_y][0], right[tap_y][1]);
        multiply_add(sums[row][1], pixels, right[tap_y][2], right[tap_y][3]);
      }
    }
  }
}

/// Column after column, each when it has arrived.
template <typename T, int TapX = 0>
__device__ void multiply_columns(const WarpPlace<T>& place, const uint4* source, const uint4* filter, Sums<T>& sums) {
  if constexpr (TapX < T::kStages) {
    wait_for_copies<T::kStages - 1 - TapX>();
    __syncthreads();
  }
  multiply_column<T>(place, source, filter, TapX, sums);
  if constexpr (TapX + 1 < T::kKernel) multiply_columns<T, TapX + 1>(place, source, filter, sums);
}

// ---- the target -----------------------------------------------------------------------------------------------------

/// Four channels.
using Quad = uint2;
constexpr int kQuad = 4;

/// Where a thread stores: four channels of two pixels of each of its strips.
template <typename T>
class TargetPlace {
 public:
  __device__ TargetPlace(const Maps& maps, const BlockPlace<T>& block, const WarpPlace<T>& place, __nv_bfloat16* target)
      : row_quads_(maps.target_width * maps.target_channels / kQuad),
        rows_(maps.target_height - block.y - static_cast<int>(place.first_row)) {
    const int image_quads = maps.target_height * row_quads_;
    auto* first = reinterpret_cast<Quad*>(target + std::int64_t{block.image} * (image_quads * kQuad));
    const int row = block.y + static_cast<int>(place.first_row);
    const int quad = (block.first_channel + static_cast<int>(place.first_column)) / kQuad;
    for (unsigned half = 0; half < 2; ++half) {
      const unsigned pixel = place.lane / 4 + 8 * half;
      const int x = block.x + static_cast<int>(place.column_of(pixel));
      const int image = static_cast<int>(place.image_of(pixel));
      is_there_[half] = block.image + image < maps.images && x < maps.target_width;
      first_[half] = first + (image * image_quads + row * row_quads_ + x * (maps.target_channels / kQuad) + quad +
                              static_cast<int>(place.lane % 4));
    }
  }
  __device__ bool has(int row, int half) const { return is_there_[half] && row < rows_; }
  __device__ Quad& at(int row, int half) const { return first_[half][row * row_quads_]; }

 private:
  int row_quads_;
  int rows_;
  Quad* first_[2];
  bool is_there_[2];
};

/// Adds two numbers.
__device__ inline void add_pair(unsigned pair, float& first, float& second) {
  first += __uint_as_float(pair << 16);
  second += __uint_as_float(pair & 0xFFFF0000U);
}

// grid (patches across * column blocks, patches down, ceil(images / kImages)), block kThreads, a warp for each 4 rows
// of 16 pixels and 16 channels. `adds`: to what the target holds
template <typename T>
__global__ void __launch_bounds__(kThreads, T::kRows > 4 ? 2 : 4)
    convolve_patches(Maps maps, const __nv_bfloat16* source, const __nv_bfloat16* weight, __nv_bfloat16* target,
                     bool adds) {
  BSQ_DYNAMIC_SHARED(uint4, patches);
  uint4* filter = patches + T::kSourceChunks;
  const BlockPlace<T> block(maps);
  begin_source<T>(maps, block, source, patches);
  if constexpr (T::kBackward) {
    end_copy_group();
    copy_turned_filter<T>(maps, block, weight, filter);
  } else {
    for (unsigned stage = 0; stage < T::kStages; ++stage) {
      begin_filter<T>(block, weight, stage, filter);
      end_copy_group();
    }
  }

  const WarpPlace<T> place;
  const TargetPlace<T> to(maps, block, place, target);
  Quad before[T::kRows][2] = {};
  if (T::kBackward && adds) {
#pragma unroll
    for (int row = 0; row < T::kRows; ++row)
      for (int half = 0; half < 2; ++half)
        if (to.has(row, half)) before[row][half] = to.at(row, half);
  }
  Sums<T> sums = {};
  multiply_columns<T>(place, patches, filter, sums);

#pragma unroll
  for (int row = 0; row < T::kRows; ++row) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float* low = &sums[row][0][2 * half];
      float* high = &sums[row][1][2 * half];
      if (T::kBackward && adds) {
        add_pair(before[row][half].x, low[0], low[1]);
        add_pair(before[row][half].y, high[0], high[1]);
      }
      if (to.has(row, half)) to.at(row, half) = make_uint2(pack_bf16(low[0], low[1]), pack_bf16(high[0], high[1]));
    }
  }
}

template <typename T>
void run(const Maps& maps, const void* source, const void* weight, void* target, bool adds, cudaStream_t stream) {
  const int column_blocks = maps.target_channels / T::kColumns;
  const dim3 grid(static_cast<unsigned>(up(maps.target_width, T::kWidth) * column_blocks),
                  static_cast<unsigned>(up(maps.target_height, T::kHeight)),
                  static_cast<unsigned>(up(maps.images, T::kImages)));
  launch(convolve_patches<T>, grid, dim3(kThreads), T::kSharedBytes, stream, maps,
         static_cast<const __nv_bfloat16*>(source), static_cast<const __nv_bfloat16*>(weight),
         static_cast<__nv_bfloat16*>(target), adds);
}

/// Calls body<Depth, Columns, Width>().
template <typename Body>
void with_sizes(const Maps& maps, int depth, Body body) {
  const auto with_depth = [&]<int Depth>() {
    if (maps.target_channels == 16 && maps.target_width > 8) return body.template operator()<Depth, 16, 16>();
    if (maps.target_channels == 16) return body.template operator()<Depth, 16, 8>();
    if (maps.target_width > 8) return body.template operator()<Depth, 32, 16>();
    return body.template operator()<Depth, 32, 8>();
  };
  if (depth == 16) return with_depth.template operator()<16>();
  if (depth == 32) return with_depth.template operator()<32>();
  return with_depth.template operator()<64>();
}

bool has_kernel(int channels) {
  return channels == 16 || channels == 32 || channels == 64;
}

/// What offsets in 32 bits within the images of a block, and the sizes of a grid, allow.
bool fits(const ConvGeometry& geometry) {
  constexpr int most = 65535;
  return geometry.batch > 0 && geometry.batch <= most && geometry.height > 0 && geometry.height <= most &&
         geometry.width > 0 && std::int64_t{geometry.height} * geometry.width <= 1 << 22;
}

Maps maps_of(const ConvGeometry& g, bool backward) {
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

}  // namespace

bool own_forward_serves(const ConvGeometry& geometry) {
  const bool kernel_is_there = geometry.kernel == 3 && geometry.stride == 1 && geometry.padding == 1;
  return geometry.dtype == DType::bf16 && kernel_is_there && has_kernel(geometry.in_channels) &&
         has_kernel(geometry.out_channels) && fits(geometry);
}

void own_conv2d_forward(const ConvForwardArgs& args, cudaStream_t stream) {
  const Maps maps = maps_of(args.geometry, /*backward=*/false);
  with_sizes(maps, args.geometry.in_channels, [&]<int Depth, int Columns, int Width>() {
    run<Tiling<Depth, Columns, 3, 1, Width, false>>(maps, args.input, args.weight, args.output, false, stream);
  });
}

bool own_backward_data_serves(const ConvGeometry& geometry) {
  const bool kernel_is_there = geometry.kernel == 3 && geometry.stride == 1 && geometry.padding == 1;
  return geometry.dtype == DType::bf16 && kernel_is_there && has_kernel(geometry.in_channels) &&
         has_kernel(geometry.out_channels) && fits(geometry);
}

void own_conv2d_backward_data(const ConvBackwardDataArgs& args, cudaStream_t stream) {
  const Maps maps = maps_of(args.geometry, /*backward=*/true);
  with_sizes(maps, args.geometry.out_channels, [&]<int Depth, int Columns, int Width>() {
    run<Tiling<Depth, Columns, 3, 1, Width, true>>(maps, args.d_output, args.weight, args.d_input,
                                                   args.mode == GradMode::accumulate, stream);
  });
}

}  // namespace bsq::cuda
