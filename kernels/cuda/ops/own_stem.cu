// The output of a network's first convolution, of images with 3 channels, by a kernel of our own.
//
// A pixel takes four places in shared memory, the last of which is zero, so that four pixels from the first tap's
// column on are the 16 channels of one product on tensor cores. The filter has three of these pixels; the fourth is
// taken as zero, so that a NaN beside a filter does not come into its sum. A warp makes 16 channels of kRows rows of 16
// pixels; a row that it loads serves three rows of taps.
//
// Products are summed in float32 on tensor cores, rows of taps in order, and rounded once. Least bytes: input and
// output once; a block also reads the pixels around its patch of the input.
#include "kernels/cuda/device/output_statistics.cuh"
#include "kernels/cuda/device/ptx.cuh"
#include "kernels/cuda/ops/launchers.h"
#include "kernels/cuda/ops/own_convolution_parts.h"
#include "kernels/cuda/device/own_geometries.h"

namespace bsq::cuda {
namespace {

constexpr int kThreads = kRecordThreads;
constexpr int kTaps = 3;  // taps in a row, and rows of taps
constexpr int kRows = 8;  // rows per warp
constexpr int kWidth = 16;
constexpr int kColumns = kChannelsOfWarp;  // of a block
constexpr int kHeight = kThreads / kWarp * kRows;
constexpr int kSourceWidth = kWidth + kTaps - 1;
constexpr int kSourceHeight = kHeight + kTaps - 1;

struct StemSizes {
  int height = 0;
  int width = 0;
  int channels = 0;  // of the output
};

/// Loads the patch of the input, each pixel as two words, with zeros around the image.
__device__ void load_patch(const StemSizes& sizes, int top, int left, const __nv_bfloat16* image, uint2* patch) {
  constexpr int pixels = kSourceHeight * kSourceWidth;
  constexpr int rounds = (pixels + kThreads - 1) / kThreads;
#pragma unroll
  for (int round = 0; round < rounds; ++round) {
    const unsigned i = threadIdx.x + round * kThreads;
    if (round == rounds - 1 && i >= pixels) break;
    const int y = top + static_cast<int>(i / kSourceWidth);
    const int x = left + static_cast<int>(i % kSourceWidth);
    unsigned value[kImageChannels] = {};
    if (y >= 0 && y < sizes.height && x >= 0 && x < sizes.width) {
      const __nv_bfloat16* from = image + (y * sizes.width + x) * kImageChannels;
      for (int c = 0; c < kImageChannels; ++c) value[c] = __bfloat16_as_ushort(from[c]);
    }
    patch[i] = make_uint2(value[0] | value[1] << 16, value[2]);
  }
}

/// Loads the right operands of products: [row of taps][8 columns, twice][half of the channels]. Columns are ordered as
/// in conv_patches.cuh, so that a thread gets four channels side by side.
__device__ void load_filter(const __nv_bfloat16* weight, unsigned (&right)[kTaps][2][2]) {
  const unsigned lane = threadIdx.x % kWarp;
  const unsigned column = lane / 4;
  const unsigned pair = lane % 4;
#pragma unroll
  for (unsigned product = 0; product < 2; ++product) {
    const unsigned channel = column / 2 * 4 + product * 2 + column % 2;
    const __nv_bfloat16* filter = weight + channel * kTaps * kTaps * kImageChannels;
#pragma unroll
    for (unsigned half = 0; half < 2; ++half) {
      const unsigned tap_x = half * 2 + pair / 2;
      const unsigned first = pair % 2 * 2;  // channel of the image
#pragma unroll
      for (unsigned tap_y = 0; tap_y < kTaps; ++tap_y) {
        unsigned both = 0;
        if (tap_x < kTaps) {
          const __nv_bfloat16* from = filter + (tap_y * kTaps + tap_x) * kImageChannels + first;
          both = __bfloat16_as_ushort(from[0]);
          if (first + 1 < kImageChannels) both |= static_cast<unsigned>(__bfloat16_as_ushort(from[1])) << 16;
        }
        right[tap_y][product][half] = both;
      }
    }
  }
}

/// Loads the left operand: a strip of the source. `at`: the first word of this thread.
__device__ void load_strip(const unsigned* at, bool has_last_tap, unsigned (&left)[4]) {
  constexpr int eight_pixels = 16;
  constexpr int two_pixels = 4;
  left[0] = at[0];
  left[1] = at[eight_pixels];
  left[2] = has_last_tap ? at[two_pixels] : 0;
  left[3] = has_last_tap ? at[eight_pixels + two_pixels] : 0;
}

// grid (patches across, patches down * column blocks, images), block kThreads, one warp per kRows rows of 16 pixels
__global__ void __launch_bounds__(kThreads, 4)
    convolve_image(StemSizes sizes, int column_blocks, const __nv_bfloat16* input, const __nv_bfloat16* weight,
                   __nv_bfloat16* output, OutputStatistics task) {
  wait_for_previous();
  BSQ_SHARED(uint2, patch, [kSourceHeight * kSourceWidth]);
  static_assert(sizeof(patch) >= kStatisticsBytes);
  const int top = static_cast<int>(blockIdx.y) / column_blocks * kHeight;
  const int first_channel = static_cast<int>(blockIdx.y) % column_blocks * kColumns;
  const int x0 = static_cast<int>(blockIdx.x) * kWidth;
  const std::int64_t first_pixel = std::int64_t{blockIdx.z} * sizes.height * sizes.width;
  load_patch(sizes, top - 1, x0 - 1, input + first_pixel * kImageChannels, patch);
  unsigned right[kTaps][2][2];
  load_filter(weight + first_channel * kTaps * kTaps * kImageChannels, right);
  __syncthreads();

  const unsigned lane = threadIdx.x % kWarp;
  const int first_row = static_cast<int>(threadIdx.x / kWarp) * kRows;
  const unsigned pair = lane % 4;
  const unsigned* at = reinterpret_cast<const unsigned*>(patch) + (first_row * kSourceWidth + lane / 4) * 2 + pair;
  float sums[kRows][2][4] = {};
#pragma unroll
  for (int source_row = 0; source_row < kRows + kTaps - 1; ++source_row) {
    unsigned left[4];
    load_strip(at + source_row * kSourceWidth * 2, pair < 2, left);
#pragma unroll
    for (int tap_y = 0; tap_y < kTaps; ++tap_y) {
      const int row = source_row - tap_y;
      if (row < 0 || row >= kRows) continue;
#pragma unroll
      for (int product = 0; product < 2; ++product)
        multiply_add(sums[row][product], left, right[tap_y][product][0], right[tap_y][product][1]);
    }
  }

  auto* image = reinterpret_cast<uint2*>(output + first_pixel * sizes.channels);
  const int quads = sizes.channels / kQuad;
  const int quad = first_channel / kQuad + static_cast<int>(pair);
  const auto x_of = [&](int i) { return x0 + static_cast<int>(lane / 4) + 8 * (i / kRows); };
  const auto y_of = [&](int i) { return top + first_row + i % kRows; };
  const auto has = [&](int i) { return x_of(i) < sizes.width && y_of(i) < sizes.height; };
  uint2 stored[2 * kRows];
#pragma unroll
  for (int i = 0; i < 2 * kRows; ++i) {
    const int half = i / kRows;
    const int row = i % kRows;
    stored[i] = make_uint2(pack_bf16(sums[row][0][2 * half], sums[row][0][2 * half + 1]),
                           pack_bf16(sums[row][1][2 * half], sums[row][1][2 * half + 1]));
    if (has(i)) image[(y_of(i) * sizes.width + x_of(i)) * quads + quad] = stored[i];
  }
  const auto least = [](int a, int b) { return a < b ? a : b; };
  const unsigned down = gridDim.y / static_cast<unsigned>(column_blocks);
  const unsigned patch_row = blockIdx.z * down + blockIdx.y / static_cast<unsigned>(column_blocks);
  const RecordPlace place{static_cast<int>(patch_row * gridDim.x + blockIdx.x),
                          blockIdx.y % static_cast<unsigned>(column_blocks), first_channel};
  const int pixels = least(sizes.width - x0, kWidth) * least(sizes.height - top, kHeight);
  leave_statistics<kColumns>(task, place, pixels, stored, has, patch);
}

unsigned up(int count, int per) {
  return static_cast<unsigned>((count + per - 1) / per);
}

/// The blocks that make the same channels.
int patches_of(const ConvGeometry& g) {
  return static_cast<int>(up(g.width, kWidth) * up(g.height, kHeight)) * g.batch;
}

}  // namespace

std::size_t stem_scratch_bytes(const ConvGeometry& geometry) {
  return OutputStatistics::scratch_bytes(patches_of(geometry), geometry.out_channels / kColumns, geometry.out_channels);
}

void run_stem(const ConvForwardArgs& args, const GridMemory& memory, cudaStream_t stream) {
  const ConvGeometry& g = args.geometry;
  const int column_blocks = g.out_channels / kColumns;
  const dim3 grid(up(g.width, kWidth), up(g.height, kHeight) * static_cast<unsigned>(column_blocks),
                  static_cast<unsigned>(g.batch));
  launch(convolve_image, grid, dim3(kThreads), 0, stream, StemSizes{g.height, g.width, g.out_channels}, column_blocks,
         static_cast<const __nv_bfloat16*>(args.input), static_cast<const __nv_bfloat16*>(args.weight),
         static_cast<__nv_bfloat16*>(args.output), OutputStatistics(args, patches_of(g), column_blocks, memory));
}

}  // namespace bsq::cuda
