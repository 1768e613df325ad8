// Our own convolutions, for small bf16 layers that the vendor's library is slow at: 16, 32 or 64 channels on both
// sides. They make the output, and with a stride of 1 the gradient of the input. That is the same sum: its source is
// the gradient of the output, its taps are in reverse order, and rows and columns of each tap's filter change places.
//
// A block makes kColumns channels of a few patches of the target. It copies the filters and the patches of the source,
// with the pixels around them and zeros for padding, to shared memory. If the source is the output of a norm that
// nobody has written, it is made of the copies there. A warp makes 16 channels of kRows rows of kStrip pixels. A row of
// the source that it loads serves all taps above each other, so for a column of taps it loads kRows + 2 rows and not 3
// kRows. Its sums lie in registers, and a multiplication needs little more than one access to shared memory.
//
// Products are summed in float32 on tensor cores, columns of taps in order, channels in order, rows of taps in order;
// the result is rounded once. The bits are the same every time.
//
// Least bytes: source, filter and target once. A block also reads the pixels around its patches of the source: 27 %
// more for a patch of 16x16 pixels; they are in the cache.
#include "kernels/cuda/device/conv_patches.cuh"
#include "kernels/cuda/device/input_gradient_sums.cuh"
#include "kernels/cuda/device/output_statistics.cuh"
#include "kernels/cuda/ops/launchers.h"
#include "kernels/cuda/ops/own_convolution_parts.h"
#include "kernels/cuda/device/own_geometries.h"

namespace bsq::cuda {
namespace {

/// Adds the products of column `tap_x` of the taps.
template <typename T>
__device__ void multiply_column(const WarpPlace<T>& place, const uint4* source, const uint4* filter, unsigned tap_x,
                                StripSums (&sums)[T::kRows]) {
  constexpr unsigned rows = (T::kRows - 1) * T::kStep + T::kKernel;
  const Strips<T> strips(place, source, tap_x);
  const Filters<T> filters(place, filter);
#pragma unroll
  for (unsigned depth = 0; depth < T::kDepth / kDepthStep; ++depth) {
    unsigned left[rows][4];
    unsigned right[T::kKernel][4];
#pragma unroll
    for (unsigned row = 0; row < rows; ++row) strips.load(row, depth, left[row]);
#pragma unroll
    for (unsigned tap_y = 0; tap_y < T::kKernel; ++tap_y) filters.load(tap_y * T::kKernel + tap_x, depth, right[tap_y]);
#pragma unroll
    for (unsigned tap_y = 0; tap_y < T::kKernel; ++tap_y) {
#pragma unroll
      for (unsigned row = 0; row < T::kRows; ++row)
        multiply_add_strip(sums[row], left[row * T::kStep + tap_y], right[tap_y]);
    }
  }
}

/// Multiplies column after column, each when it has arrived. on_arrival() is called when the source has, before the
/// barrier.
template <typename T, int TapX = 0, typename OnArrival>
__device__ void multiply_columns(const WarpPlace<T>& place, const uint4* source, const uint4* filter,
                                 StripSums (&sums)[T::kRows], OnArrival on_arrival) {
  if constexpr (TapX < T::kStages) {
    wait_for_copies<T::kStages - 1 - TapX>();
    if constexpr (TapX == 0) on_arrival();
    __syncthreads();
  }
  multiply_column<T>(place, source, filter, TapX, sums);
  if constexpr (TapX + 1 < T::kKernel) multiply_columns<T, TapX + 1>(place, source, filter, sums, on_arrival);
}

/// What a pass leaves for the norm that reads its target, or has written it.
template <typename T>
using NormTask = std::conditional_t<T::kBackward, InputGradientSums, OutputStatistics>;

// grid (patches across * column blocks, patches down, ceil(images / kImages)), block kPatchThreads. `adds`: the result
// is added to the target
template <typename T>
__global__ void __launch_bounds__(kPatchThreads, T::kRows > 4 ? 2 : 4)
    convolve_patches(Maps maps, const __nv_bfloat16* source, const __nv_bfloat16* weight, __nv_bfloat16* target,
                     bool adds, NormTask<T> task, InputNorm input_norm) {
  static_assert(T::kSharedBytes >= kStatisticsBytes && T::kSharedBytes >= kGradientBytes);
  BSQ_DYNAMIC_SHARED(uint4, patches);
  uint4* filter = patches + T::kSourceChunks;
  const BlockPlace<T> block(maps);
  wait_for_previous();
  begin_source<T>(maps, block, source, patches);
  if constexpr (T::kBackward) {
    end_copy_group();
    copy_backward_filter<T>(maps, block, weight, filter);
  } else {
    for (unsigned stage = 0; stage < T::kStages; ++stage) {
      begin_filter<T>(block, weight, stage, filter);
      end_copy_group();
    }
  }

  const WarpPlace<T> place;
  const TargetPlace<T> to(maps, block, place, target);
  const bool reads = T::kBackward && adds;
  Quad before[T::kRows][2] = {};
  if (reads) {
#pragma unroll
    for (int row = 0; row < T::kRows; ++row)
      for (int half = 0; half < 2; ++half)
        if (to.has(half, row, 0)) before[row][half] = to.at(half, row, 0);
  }
  StripSums sums[T::kRows] = {};
  multiply_columns<T>(place, patches, filter, sums, [&] {
    if constexpr (!T::kBackward)
      if (input_norm.is_wanted) apply_norm(maps, block, input_norm, patches);
  });
  Quad stored[2 * T::kRows];
#pragma unroll
  for (int row = 0; row < T::kRows; ++row) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      stored[2 * row + half] = round_quad(sums[row], half, reads, before[row][half]);
      if (to.has(half, row, 0)) to.at(half, row, 0) = stored[2 * row + half];
    }
  }
  const auto has = [&](int i) { return to.has(i % 2, i / 2, 0); };
  if constexpr (T::kBackward)
    leave_sums<T::kColumns>(
        task, record_place(maps, block), stored, has, [&](int i) { return to.number_of(i % 2, i / 2, 0); }, patches);
  else
    leave_statistics<T::kColumns>(task, record_place(maps, block), pixels_of(maps, block), stored, has, patches);
}

template <typename T>
void run(const Maps& maps, const void* source, const void* weight, void* target, bool adds, const NormTask<T>& task,
         const InputNorm& input_norm, cudaStream_t stream) {
  launch(convolve_patches<T>, grid_of<T>(maps), dim3(kPatchThreads), T::kSharedBytes, stream, maps,
         static_cast<const __nv_bfloat16*>(source), static_cast<const __nv_bfloat16*>(weight),
         static_cast<__nv_bfloat16*>(target), adds, task, input_norm);
}

/// Calls body<T>(maps) with how the forward pass of a geometry is cut into blocks; not for the stem.
template <typename Body>
void with_forward_tiling(const ConvGeometry& g, Body body) {
  const Maps maps = maps_of(g, /*backward=*/false);
  const auto use = [&]<int Kernel, int Stride>() {
    with_patch_sizes(g.in_channels, maps.target_channels, maps.target_width, [&]<int Depth, int Columns, int Width>() {
      // A stride of 2 takes four times the source, for which there is no room.
      if constexpr (Depth < 64 || Stride == 1 || Kernel == 1)
        body.template operator()<Tiling<Depth, Columns, Kernel, Stride, Width, false>>(maps);
    });
  };
  if (g.stride == 1) return use.template operator()<3, 1>();
  if (g.kernel == 3) return use.template operator()<3, 2>();
  use.template operator()<1, 2>();
}

/// The same for the backward pass without a stride.
template <typename Body>
void with_backward_tiling(const ConvGeometry& g, Body body) {
  const Maps maps = maps_of(g, /*backward=*/true);
  with_patch_sizes(g.out_channels, maps.target_channels, maps.target_width, [&]<int Depth, int Columns, int Width>() {
    body.template operator()<Tiling<Depth, Columns, 3, 1, Width, true>>(maps);
  });
}

}  // namespace

bool own_forward_serves(const ConvGeometry& geometry) {
  return has_own_kernel(geometry, ConvPass::forward) && fits_in_grid(geometry);
}

std::size_t own_forward_scratch_bytes(const ConvGeometry& geometry) {
  if (geometry.in_channels == kImageChannels) return stem_scratch_bytes(geometry);
  std::size_t size_bytes = 0;
  with_forward_tiling(geometry, [&]<typename T>(const Maps& maps) {
    size_bytes = OutputStatistics::scratch_bytes(patches_of<T>(maps), column_blocks_of<T>(maps), geometry.out_channels);
  });
  return size_bytes;
}

bool own_forward_leaves_statistics(const ConvGeometry& geometry, const NormActForwardArgs& norm) {
  return own_forward_serves(geometry) && norm.rule.normalize && norm.rule.batch_statistics && norm.slice == nullptr &&
         norm.geometry.x_pitch == 0;
}

void own_conv2d_forward(const ConvForwardArgs& args, const GridMemory& memory, cudaStream_t stream) {
  if (args.geometry.in_channels == kImageChannels) return run_stem(args, memory, stream);
  const InputNorm input_norm(args.input_norm);
  with_forward_tiling(args.geometry, [&]<typename T>(const Maps& maps) {
    run<T>(maps, input_norm.source(args.input), args.weight, args.output, false,
           OutputStatistics(args, patches_of<T>(maps), column_blocks_of<T>(maps), memory), input_norm, stream);
  });
}

bool own_backward_data_serves(const ConvGeometry& geometry) {
  return has_own_kernel(geometry, ConvPass::backward_data) && fits_in_grid(geometry);
}

std::size_t own_backward_data_scratch_bytes(const ConvGeometry& geometry) {
  if (geometry.stride == 2) return strided_scratch_bytes(geometry);
  std::size_t size_bytes = 0;
  with_backward_tiling(geometry, [&]<typename T>(const Maps& maps) {
    size_bytes = InputGradientSums::scratch_bytes(patches_of<T>(maps), column_blocks_of<T>(maps), geometry.in_channels);
  });
  return size_bytes;
}

bool own_backward_data_leaves_sums(const ConvGeometry& geometry, const NormActBackwardArgs& norm) {
  return own_backward_data_serves(geometry) && norm.rule.normalize && norm.slice == nullptr &&
         norm.geometry.x_pitch == 0;
}

void own_conv2d_backward_data(const ConvBackwardDataArgs& args, const GridMemory& memory, cudaStream_t stream) {
  if (args.geometry.stride == 2) return run_backward_strided(args, memory, stream);
  with_backward_tiling(args.geometry, [&]<typename T>(const Maps& maps) {
    run<T>(maps, args.d_output, args.weight, args.d_input, args.mode == GradMode::accumulate,
           InputGradientSums(args, patches_of<T>(maps), column_blocks_of<T>(maps), memory), {}, stream);
  });
}

}  // namespace bsq::cuda
