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
#include "kernels/cuda/ops/own_geometries.h"

namespace bsq::cuda {
namespace {

constexpr int kThreads = 128;
constexpr int kStrip = 16;                           // pixels: the rows of a product on tensor cores
constexpr int kRows = 4;                             // strips of a warp, one above the other
constexpr int kWarpColumns = 16;                     // channels of a warp: two products side by side
constexpr int kChunk = kVectorWidth<__nv_bfloat16>;  // channels of an access: 8
constexpr int kDepthStep = 16;                       // channels of the source of a product

/// The sizes of a layer, as a pass sees it.
struct Maps {
  int images = 0;
  int source_height = 0;
  int source_width = 0;
  int target_height = 0;
  int target_width = 0;
  int target_channels = 0;
  int patches_across = 0;
  int patches_down = 0;
};

/// How a block works. Depth: channels of the source; Columns: of the target, of a block; Width: of a patch.
template <int Depth, int Columns, int Kernel, int Stride, int Width, bool Backward>
struct Tiling {
  static constexpr int kDepth = Depth;
  static constexpr int kColumns = Columns;
  static constexpr int kKernel = Kernel;
  static constexpr int kStride = Stride;
  static constexpr bool kBackward = Backward;

  static constexpr int kColumnWarps = Columns / kWarpColumns;
  static constexpr int kRowWarps = kThreads / kWarp / kColumnWarps;
  // A strip is a row of a patch, or of two patches of half the width. Patches are 8 rows high, or 16.
  static constexpr int kWidth = Width;
  static constexpr int kPatchesOfStrip = kStrip / Width;
  static constexpr int kRowGroups = Width == kStrip ? kRowWarps : 2;
  static constexpr int kHeight = kRowGroups * kRows;
  static constexpr int kPatches = kRowWarps / kRowGroups * kPatchesOfStrip;

  // Of a patch of the source, with the pixels around it. What a 1x1 filter leaves out is not copied.
  static constexpr int kStep = Kernel == 1 ? 1 : Stride;     // from a pixel of the target to the next
  static constexpr int kSpacing = Kernel == 1 ? Stride : 1;  // of the pixels that are copied
  static constexpr int kPadding = Kernel / 2;
  static constexpr int kSourceHeight = (kHeight - 1) * kStep + Kernel;
  static constexpr int kSourceWidth = (Width - 1) * kStep + Kernel;
  static constexpr int kChunks = Depth / kChunk;  // of a pixel
  static constexpr int kRowChunks = kSourceWidth * kChunks;
  static constexpr int kPatchChunks = kSourceHeight * kRowChunks;

  // Filters lie as in memory, a row for each output channel of the layer. An odd number of chunks a row: eight rows
  // never share a bank.
  static constexpr int kFilterRows = Backward ? Depth : Columns;
  static constexpr int kTapChunks = (Backward ? Columns : Depth) / kChunk;
  static constexpr int kFilterPitch = Kernel * Kernel * kTapChunks + 1;
  static_assert(kFilterPitch % 2 == 1);
  // Columns of taps, which arrive one after the other where there are many.
  static constexpr int kStages = Depth == 16 ? 1 : Kernel;

  static constexpr int kSharedChunks = kPatches * kPatchChunks + kFilterRows * kFilterPitch;

  /// Where column `x` of a patch of the source lies: with steps of 2 the even ones, then the odd ones, so that a strip
  /// lies side by side.
  static constexpr __device__ int position_of(int x) {
    return kStep == 1 ? x : x / 2 + x % 2 * ((kSourceWidth + 1) / 2);
  }
  /// What the chunk of a pixel is XORed with, so that one chunk of eight pixels side by side never shares a bank.
  static constexpr __device__ int swizzle_of(int position) { return position / (8 / kChunks) % kChunks; }
};

/// The first pixel of a patch in the target.
struct PatchPlace {
  __device__ PatchPlace(const Maps& maps, int patch, int height, int width)
      : image(patch / (maps.patches_across * maps.patches_down)),
        y(patch / maps.patches_across % maps.patches_down * height),
        x(patch % maps.patches_across * width) {}

  int image;
  int y;
  int x;
};

template <typename T>
__device__ void begin_source(const Maps& maps, const __nv_bfloat16* source, uint4* shared) {
  for (int patch = 0; patch < T::kPatches; ++patch) {
    const PatchPlace place(maps, static_cast<int>(blockIdx.x) * T::kPatches + patch, T::kHeight, T::kWidth);
    const bool image_is_there = place.image < maps.images;
    const __nv_bfloat16* image =
        source + std::int64_t{image_is_there ? place.image : 0} * maps.source_height * maps.source_width * T::kDepth;
    const int top = place.y * T::kStride - T::kPadding;
    const int left = place.x * T::kStride - T::kPadding;
    uint4* to = shared + patch * T::kPatchChunks;
    for (int i = static_cast<int>(threadIdx.x); i < T::kPatchChunks; i += kThreads) {
      const int chunk = i % T::kChunks;
      const int column = i / T::kChunks % T::kSourceWidth;
      const int row = i / T::kRowChunks;
      const int y = top + row * T::kSpacing;
      const int x = left + column * T::kSpacing;
      const bool is_there = image_is_there && y >= 0 && y < maps.source_height && x >= 0 && x < maps.source_width;
      const int pixel = is_there ? y * maps.source_width + x : 0;
      const int position = T::position_of(column);
      begin_copy(to + row * T::kRowChunks + position * T::kChunks + (chunk ^ T::swizzle_of(position)),
                 image + pixel * T::kDepth + chunk * kChunk, is_there);
    }
  }
}

/// The columns of taps from `first` on, `count` of them.
template <typename T>
__device__ void begin_filter(const Maps& maps, const __nv_bfloat16* weight, int first, int count, uint4* shared) {
  constexpr int taps = T::kKernel * T::kKernel;
  const int first_channel = static_cast<int>(blockIdx.y) * T::kColumns;
  const int chunks = T::kFilterRows * T::kKernel * count * T::kTapChunks;
  for (int i = static_cast<int>(threadIdx.x); i < chunks; i += kThreads) {
    const int chunk = i % T::kTapChunks;
    const int tap_x = first + i / T::kTapChunks % count;
    const int tap_y = i / T::kTapChunks / count % T::kKernel;
    const int row = i / T::kTapChunks / count / T::kKernel;
    const int tap = tap_y * T::kKernel + tap_x;
    const __nv_bfloat16* from = T::kBackward
                                    ? weight + (row * taps + taps - 1 - tap) * maps.target_channels + first_channel
                                    : weight + ((first_channel + row) * taps + tap) * T::kDepth;
    begin_copy(shared + row * T::kFilterPitch + tap * T::kTapChunks + chunk, from + chunk * kChunk, true);
  }
}

/// What a thread knows of its place in its block.
template <typename T>
struct WarpPlace {
  int lane = static_cast<int>(threadIdx.x) % kWarp;
  int warp = static_cast<int>(threadIdx.x) / kWarp;
  int first_column = warp % T::kColumnWarps * kWarpColumns;
  int first_row = warp / T::kColumnWarps % T::kRowGroups * kRows;
  int first_patch = warp / T::kColumnWarps / T::kRowGroups * T::kPatchesOfStrip;

  /// Of pixel `pixel` of a strip.
  __device__ int patch_of(int pixel) const { return first_patch + pixel / T::kWidth; }
  __device__ int column_of(int pixel) const { return pixel % T::kWidth; }
};

using Sums = float[kRows][2][4];

/// Adds the products of column `tap_x` of the taps.
template <typename T>
__device__ void multiply_column(const WarpPlace<T>& place, const uint4* source, const uint4* filter, int tap_x,
                                Sums& sums) {
  constexpr int rows = (kRows - 1) * T::kStep + T::kKernel;
  const int row_of_matrix = place.lane % 8;
  const int low_matrix = place.lane / 8 % 2;
  const int high_matrix = place.lane / 16;

  // Of a product's left side: pixels 0 to 7 and 8 to 15, then the other half of the channels.
  const int pixel = low_matrix * 8 + row_of_matrix;
  const int position = T::position_of(place.column_of(pixel) * T::kStep + tap_x);
  source +=
      place.patch_of(pixel) * T::kPatchChunks + place.first_row * T::kStep * T::kRowChunks + position * T::kChunks;
  const int swizzle = T::swizzle_of(position);
  // Of its right side: both halves of its channels for 8 columns, then for the others.
  filter += T::kBackward
                ? (low_matrix * 8 + row_of_matrix) * T::kFilterPitch + place.first_column / kChunk + high_matrix
                : (place.first_column + high_matrix * 8 + row_of_matrix) * T::kFilterPitch + low_matrix;

#pragma unroll
  for (int depth = 0; depth < T::kDepth / kDepthStep; ++depth) {
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
      for (int row = 0; row < kRows; ++row) {
        const unsigned(&pixels)[4] = left[row * T::kStep + tap_y];
        multiply_add(sums[row][0], pixels, right[tap_y][0], right[tap_y][1]);
        multiply_add(sums[row][1], pixels, right[tap_y][2], right[tap_y][3]);
      }
    }
  }
}

/// Column after column, each when it has arrived.
template <typename T, int TapX = 0>
__device__ void multiply_columns(const WarpPlace<T>& place, const uint4* source, const uint4* filter, Sums& sums) {
  if constexpr (TapX < T::kStages) {
    wait_for_copies<T::kStages - 1 - TapX>();
    __syncthreads();
  }
  multiply_column<T>(place, source, filter, TapX, sums);
  if constexpr (TapX + 1 < T::kKernel) multiply_columns<T, TapX + 1>(place, source, filter, sums);
}

/// Word i of lane l of every four becomes word l of lane i.
__device__ inline void transpose_in_quad(unsigned (&words)[4]) {
#pragma unroll
  for (int distance = 1; distance <= 2; distance *= 2) {
    const bool is_upper = (threadIdx.x & distance) != 0;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int low = distance == 1 ? 2 * i : i;
      unsigned& kept_low = words[low];
      unsigned& kept_high = words[low + distance];
      const unsigned got = __shfl_xor_sync(kFullMask, is_upper ? kept_low : kept_high, distance);
      (is_upper ? kept_low : kept_high) = got;
    }
  }
}

/// Eight sums of a thread, two channels of each of four chunks: sum i of chunk c.
__device__ inline float& sum_of(float (&sums)[2][4], int chunk, int i) {
  return sums[chunk % 2][chunk / 2 * 2 + i];
}

/// Where a thread stores: lane l of every four has chunk l % 2 of the pixel of its quad, of pixels 8 to 15 where l > 1.
template <typename T>
class TargetPlace {
 public:
  __device__ TargetPlace(const Maps& maps, const WarpPlace<T>& place) : maps_(maps) {
    const int pixel = place.lane / 4 + place.lane % 4 / 2 * 8;
    const PatchPlace patch(maps, static_cast<int>(blockIdx.x) * T::kPatches + place.patch_of(pixel), T::kHeight,
                           T::kWidth);
    y_ = patch.y + place.first_row;
    x_ = patch.x + place.column_of(pixel);
    is_there_ = patch.image < maps.images && x_ < maps.target_width;
    image_ = std::int64_t{patch.image} * maps.target_height * maps.target_width * maps.target_channels;
    channel_ = static_cast<int>(blockIdx.y) * T::kColumns + place.first_column + place.lane % 2 * kChunk;
  }
  __device__ bool has(int row) const { return is_there_ && y_ + row < maps_.target_height; }
  __device__ std::int64_t offset(int row) const {
    return image_ + ((y_ + row) * maps_.target_width + x_) * maps_.target_channels + channel_;
  }

 private:
  const Maps& maps_;
  std::int64_t image_;
  int y_;
  int x_;
  int channel_;
  bool is_there_;
};

// grid (ceil(patches / kPatches), channels of the target / kColumns), block kThreads, a warp for each 4 rows of 16
// pixels and 16 channels. `adds`: to what the target holds
template <typename T>
__global__ void __launch_bounds__(kThreads, 4)
    convolve_patches(Maps maps, const __nv_bfloat16* source, const __nv_bfloat16* weight, __nv_bfloat16* target,
                     bool adds) {
  BSQ_DYNAMIC_SHARED(uint4, patches);
  uint4* filter = patches + T::kPatches * T::kPatchChunks;
  begin_source<T>(maps, source, patches);
  for (int stage = 0; stage < T::kStages; ++stage) {
    constexpr int columns = T::kKernel / T::kStages;
    begin_filter<T>(maps, weight, stage * columns, columns, filter);
    end_copy_group();
  }

  const WarpPlace<T> place;
  const TargetPlace<T> to(maps, place);
  uint4 before[kRows] = {};
  if (T::kBackward && adds) {
#pragma unroll
    for (int row = 0; row < kRows; ++row)
      if (to.has(row)) before[row] = load_raw<kChunk>(target + to.offset(row));
  }
  Sums sums = {};
  multiply_columns<T>(place, patches, filter, sums);

#pragma unroll
  for (int row = 0; row < kRows; ++row) {
    unsigned words[4] = {before[row].x, before[row].y, before[row].z, before[row].w};
    if (T::kBackward && adds) {
      transpose_in_quad(words);
#pragma unroll
      for (int chunk = 0; chunk < 4; ++chunk) {
        sum_of(sums[row], chunk, 0) += __uint_as_float(words[chunk] << 16);
        sum_of(sums[row], chunk, 1) += __uint_as_float(words[chunk] & 0xFFFF0000U);
      }
    }
#pragma unroll
    for (int chunk = 0; chunk < 4; ++chunk)
      words[chunk] = pack_bf16(sum_of(sums[row], chunk, 0), sum_of(sums[row], chunk, 1));
    transpose_in_quad(words);
    if (to.has(row))
      *reinterpret_cast<uint4*>(target + to.offset(row)) = make_uint4(words[0], words[1], words[2], words[3]);
  }
}

constexpr int up(int count, int per) {
  return (count + per - 1) / per;
}

template <typename T>
void run(Maps maps, const void* source, const void* weight, void* target, bool adds, cudaStream_t stream) {
  maps.patches_across = up(maps.target_width, T::kWidth);
  maps.patches_down = up(maps.target_height, T::kHeight);
  const int patches = maps.images * maps.patches_down * maps.patches_across;
  const dim3 grid(static_cast<unsigned>(up(patches, T::kPatches)),
                  static_cast<unsigned>(maps.target_channels / T::kColumns));
  launch(convolve_patches<T>, grid, dim3(kThreads), T::kSharedChunks * sizeof(uint4), stream, maps,
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

/// What offsets and numbers of patches in 32 bits allow.
bool fits(const ConvGeometry& geometry) {
  constexpr std::int64_t most = std::int64_t{1} << 30;
  const std::int64_t pixels = std::int64_t{geometry.height} * geometry.width;
  return pixels > 0 && pixels <= most / 64 && geometry.batch > 0 && pixels * geometry.batch <= most;
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
  return has_own_kernel(geometry, ConvPass::forward) && fits(geometry);
}

void own_conv2d_forward(const ConvForwardArgs& args, cudaStream_t stream) {
  const Maps maps = maps_of(args.geometry, /*backward=*/false);
  with_sizes(maps, args.geometry.in_channels, [&]<int Depth, int Columns, int Width>() {
    run<Tiling<Depth, Columns, 3, 1, Width, false>>(maps, args.input, args.weight, args.output, false, stream);
  });
}

bool own_backward_data_serves(const ConvGeometry& geometry) {
  return has_own_kernel(geometry, ConvPass::backward_data) && fits(geometry);
}

void own_conv2d_backward_data(const ConvBackwardDataArgs& args, cudaStream_t stream) {
  const Maps maps = maps_of(args.geometry, /*backward=*/true);
  with_sizes(maps, args.geometry.out_channels, [&]<int Depth, int Columns, int Width>() {
    run<Tiling<Depth, Columns, 3, 1, Width, true>>(maps, args.d_output, args.weight, args.d_input,
                                                   args.mode == GradMode::accumulate, stream);
  });
}

}  // namespace bsq::cuda
