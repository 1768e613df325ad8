// The gradient of the input in our own convolutions with a stride of 2.
//
// Four pixels of the target, two by two, come from the same pixels of the source, each through taps of its own. With
// 3x3 filters the first pixel has one tap, its neighbours to the right and below have two, and the last has four. So a
// warp makes all four for each pixel of its strips, with nine products, as many as a convolution without stride has.
// With 1x1 filters only the first pixel has a tap: the others get zeros, or keep what they are added to.
//
// Order of sums, least bytes: as in own_convolution.cu.
#include "kernels/cuda/device/conv_patches.cuh"
#include "kernels/cuda/device/input_gradient_sums.cuh"
#include "kernels/cuda/ops/launchers.h"
#include "kernels/cuda/ops/own_convolution_parts.h"

namespace bsq::cuda {
namespace {

/// [row of the target % 2][column % 2][strip]
template <typename T>
using ScatteredSums = StripSums[2][2][T::kRows];

/// Which of two neighbouring pixels a tap leads to (odd_of), and how far in the source it is from it (shift_of).
constexpr __device__ int odd_of(int tap, int kernel) {
  return kernel == 3 && tap != 1 ? 1 : 0;
}
constexpr __device__ int shift_of(int tap, int kernel) {
  return kernel == 3 && tap == 0 ? 1 : 0;
}

template <typename T>
__device__ void multiply_scattered(const WarpPlace<T>& place, const uint4* source, const uint4* filter,
                                   ScatteredSums<T>& sums) {
  constexpr unsigned rows = T::kRows + T::kReach;
  const Filters<T> filters(place, filter);
#pragma unroll
  for (unsigned shift = 0; shift <= T::kReach; ++shift) {
    const Strips<T> strips(place, source, shift);
#pragma unroll
    for (unsigned depth = 0; depth < T::kDepth / kDepthStep; ++depth) {
      unsigned left[rows][4];
#pragma unroll
      for (unsigned row = 0; row < rows; ++row) strips.load(row, depth, left[row]);
#pragma unroll
      for (int tap = 0; tap < T::kTaps; ++tap) {
        const int tap_y = tap / T::kKernel;
        const int tap_x = tap % T::kKernel;
        if (shift_of(tap_x, T::kKernel) != static_cast<int>(shift)) continue;
        unsigned right[4];
        filters.load(tap, depth, right);
#pragma unroll
        for (int row = 0; row < T::kRows; ++row)
          multiply_add_strip(sums[odd_of(tap_y, T::kKernel)][odd_of(tap_x, T::kKernel)][row],
                             left[row + shift_of(tap_y, T::kKernel)], right);
      }
    }
  }
}

constexpr int kQuadsOfStrip = 8;  // of a thread: four pixels on either side

/// Calls body(y, x, row, side) for every quad of a thread: pixel (y, x) of the four, strip `row`, its first or last
/// eight pixels.
template <typename T, typename Body>
__device__ void for_each_quad(Body body) {
#pragma unroll
  for (int row = 0; row < T::kRows; ++row) {
#pragma unroll
    for (int side = 0; side < 2; ++side) {
#pragma unroll
      for (int pixel = 0; pixel < 4; ++pixel) body(pixel / 2, pixel % 2, row, side);
    }
  }
}

// grid (patches across * column blocks, patches down, ceil(images / kImages)), block kPatchThreads. `adds`: the result
// is added to the target
template <typename T>
__global__ void __launch_bounds__(kPatchThreads, 3)
    scatter_patches(Maps maps, const __nv_bfloat16* source, const __nv_bfloat16* weight, __nv_bfloat16* target,
                    bool adds, InputGradientSums task) {
  static_assert(T::kSharedBytes >= kGradientBytes);
  BSQ_DYNAMIC_SHARED(uint4, patches);
  uint4* filter = patches + T::kSourceChunks;
  const BlockPlace<T> block(maps);
  wait_for_previous();
  begin_source<T>(maps, block, source, patches);
  end_copy_group();
  copy_backward_filter<T>(maps, block, weight, filter);

  const WarpPlace<T> place;
  const TargetPlace<T> to(maps, block, place, target);
  Quad before[2][2][T::kRows][2] = {};
  if (adds) {
    for_each_quad<T>([&](int y, int x, int row, int side) {
      if (to.has(side, 2 * row + y, x)) before[y][x][row][side] = to.at(side, 2 * row + y, x);
    });
  }
  ScatteredSums<T> sums = {};
  wait_for_copies<0>();
  __syncthreads();
  multiply_scattered<T>(place, patches, filter, sums);
  Quad stored[T::kRows * kQuadsOfStrip];
  for_each_quad<T>([&](int y, int x, int row, int side) {
    Quad& quad = stored[row * kQuadsOfStrip + side * 4 + y * 2 + x];
    quad = round_quad(sums[y][x][row], side, adds, before[y][x][row][side]);
    if (to.has(side, 2 * row + y, x)) to.at(side, 2 * row + y, x) = quad;
  });
  const auto row_of = [](int i) { return i / kQuadsOfStrip * 2 + i / 2 % 2; };
  leave_sums<T::kColumns>(
      task, record_place(maps, block), stored, [&](int i) { return to.has(i / 4 % 2, row_of(i), i % 2); },
      [&](int i) { return to.number_of(i / 4 % 2, row_of(i), i % 2); }, patches);
}

/// Calls body<T>(maps) with how a geometry is cut into blocks.
template <typename Body>
void with_tiling(const ConvGeometry& g, Body body) {
  const Maps maps = maps_of(g, /*backward=*/true);
  const auto use = [&]<int Kernel>() {
    with_patch_sizes(g.out_channels, maps.target_channels, up(maps.target_width, 2),
                     [&]<int Depth, int Columns, int Width>() {
                       body.template operator()<Tiling<Depth, Columns, Kernel, 2, Width, true, 2>>(maps);
                     });
  };
  if (g.kernel == 3) return use.template operator()<3>();
  use.template operator()<1>();
}

}  // namespace

std::size_t strided_scratch_bytes(const ConvGeometry& geometry) {
  std::size_t size_bytes = 0;
  with_tiling(geometry, [&]<typename T>(const Maps& maps) {
    size_bytes = InputGradientSums::scratch_bytes(patches_of<T>(maps), column_blocks_of<T>(maps), geometry.in_channels);
  });
  return size_bytes;
}

void run_backward_strided(const ConvBackwardDataArgs& args, const GridMemory& memory, cudaStream_t stream) {
  with_tiling(args.geometry, [&]<typename T>(const Maps& maps) {
    launch(scatter_patches<T>, grid_of<T>(maps), dim3(kPatchThreads), T::kSharedBytes, stream, maps,
           static_cast<const __nv_bfloat16*>(args.d_output), static_cast<const __nv_bfloat16*>(args.weight),
           static_cast<__nv_bfloat16*>(args.d_input), args.mode == GradMode::accumulate,
           InputGradientSums(args, patches_of<T>(maps), column_blocks_of<T>(maps), memory));
  });
}

}  // namespace bsq::cuda
