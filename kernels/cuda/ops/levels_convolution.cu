// Convolutions of levels on tensor cores: a matrix product of the windows, [pixels of all images, depth], and the
// filters, [O, depth], in which depth is the taps and, of each, the channels. Sums are exact.
//
// A block makes kRows pixels of Columns channels, a warp 32 of the pixels. Both factors come to shared memory a stage
// of kStageBytes of the depth at a time, while the stages before are multiplied; the windows are read where they lie,
// and padding is written as the level that stands for 0. Levels go back through shared memory, so that whole accesses
// are written.
//
// Least bytes: input, filter and output once. A pixel is read for every tap and for every block of channels: from the
// cache.
#include "kernels/cuda/device/device.cuh"
#include "kernels/cuda/device/ptx.cuh"
#include "kernels/cuda/ops/launchers.h"
#include "kernels/level_rounding.h"

#include <limits>

namespace bsq::cuda {
namespace {

constexpr unsigned kThreads = 128;
constexpr int kRows = 128;
constexpr int kWarpRows = 32;  // two products, one above the other
constexpr int kChunkBytes = 16;
constexpr int kStageBytes = 64;  // two products one after the other
constexpr int kStageChunks = kStageBytes / kChunkBytes;
constexpr int kStages = 3;
constexpr int kPitch = kStageChunks + 1;  // odd, so that eight rows never share a bank
constexpr int kOwnRows = kRows * kStageChunks / static_cast<int>(kThreads);  // whose chunks a thread copies

template <int Columns>
struct Tile {
  static constexpr int kColumns = Columns;
  static constexpr int kProducts = Columns / 8;                  // side by side
  static constexpr int kStageSize = (kRows + Columns) * kPitch;  // in chunks
  static constexpr int kOutputPitch = Columns / kChunkBytes + 1;
  static constexpr std::size_t kSharedBytes = std::size_t{kStages} * kStageSize * kChunkBytes;
  static_assert(kRows * kOutputPitch <= kStages * kStageSize);
};

/// The windows of the rows that a thread copies: one chunk of each, and the same one of all.
class Windows {
 public:
  __device__ Windows(const ConvolveLevelsArgs& args, std::int64_t first_row, std::int64_t rows) : args_(args) {
    const ConvGeometry& g = args.geometry;
    const int width = g.out_width(), height = g.out_height();
#pragma unroll
    for (int i = 0; i < kOwnRows; ++i) {
      const std::int64_t row = first_row + row_of(i);
      const auto pixel = static_cast<unsigned>(row < rows ? row : 0);
      const unsigned line = pixel / static_cast<unsigned>(width);
      const unsigned image = line / static_cast<unsigned>(height);
      x_[i] = static_cast<int>(pixel - line * static_cast<unsigned>(width)) * g.stride - g.padding;
      y_[i] = static_cast<int>(line - image * static_cast<unsigned>(height)) * g.stride - g.padding;
      image_[i] = row < rows ? static_cast<int>(image) : -1;
    }
  }

  /// Begins to copy the chunks of this thread at `depth`, which is a multiple of kChunkBytes.
  __device__ void begin_copies(int depth, int whole_depth, uint4* to) const {
    const ConvGeometry& g = args_.geometry;
    const bool is_of_filter = depth < whole_depth;
    const int tap = depth / g.in_channels;
    const int channel = depth - tap * g.in_channels;
    const int ky = tap / g.kernel;
    const int kx = tap - ky * g.kernel;
    const unsigned zeros = static_cast<unsigned>(args_.input_zero) * 0x01010101U;
#pragma unroll
    for (int i = 0; i < kOwnRows; ++i) {
      const int y = y_[i] + ky, x = x_[i] + kx;
      const bool is_there = y >= 0 && y < g.height && x >= 0 && x < g.width;
      uint4* const place = to + row_of(i) * kPitch + chunk();
      if (is_of_filter && image_[i] >= 0 && !is_there) {
        *place = make_uint4(zeros, zeros, zeros, zeros);
        continue;
      }
      const bool is_read = is_of_filter && image_[i] >= 0;
      const std::int64_t pixel = is_read ? (std::int64_t{image_[i]} * g.height + y) * g.width + x : 0;
      begin_copy(place, args_.input + pixel * g.in_channels + (is_read ? channel : 0), is_read);
    }
  }

  __device__ static int chunk() {
    return static_cast<int>(threadIdx.x) % kStageChunks;
  }
  /// Rows side by side are copied by threads side by side.
  __device__ static int row_of(int i) {
    return static_cast<int>(threadIdx.x) / kStageChunks + i * (kRows / kOwnRows);
  }

 private:
  const ConvolveLevelsArgs& args_;
  int image_[kOwnRows];  // -1: there is no such row
  int y_[kOwnRows];      // of the window's corner
  int x_[kOwnRows];
};

/// Begins to copy a stage of the filters.
template <typename T>
__device__ void begin_filters(const ConvolveLevelsArgs& args, int first_channel, int depth, int whole_depth,
                              uint4* to) {
  for (int row = static_cast<int>(threadIdx.x) / kStageChunks; row < T::kColumns;
       row += static_cast<int>(kThreads) / kStageChunks) {
    const bool is_there = depth < whole_depth && first_channel + row < args.geometry.out_channels;
    const std::int64_t from = is_there ? std::int64_t{first_channel + row} * whole_depth + depth : 0;
    begin_copy(to + row * kPitch + Windows::chunk(), args.k + from, is_there);
  }
}

/// Multiplies a stage.
template <typename T>
__device__ void multiply_stage(const uint4* windows, const uint4* filters, int (&sums)[2][T::kProducts][4]) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
#pragma unroll
  for (int chunk = 0; chunk < kStageChunks; chunk += 2) {
    unsigned left[2][4];
#pragma unroll
    for (int half = 0; half < 2; ++half)
      load_matrices(left[half], windows + (warp * kWarpRows + half * 16 + lane % 16) * kPitch + chunk + lane / 16);
#pragma unroll
    for (int pair = 0; pair < T::kProducts / 2; ++pair) {
      unsigned right[4];
      load_matrices(right, filters + (pair * 16 + lane / 16 * 8 + lane % 8) * kPitch + chunk + lane / 8 % 2);
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        multiply_add(sums[half][2 * pair], left[half], right[0], right[1]);
        multiply_add(sums[half][2 * pair + 1], left[half], right[2], right[3]);
      }
    }
  }
}

/// The levels of a block's sums, to shared memory [kRows, kOutputPitch chunks].
template <typename T>
__device__ void round_sums(const ConvolveLevelsArgs& args, int first_channel, const int (&sums)[2][T::kProducts][4],
                           std::uint8_t* to) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp, warp = static_cast<int>(threadIdx.x) / kWarp;
  const LevelRounding rounding(args.range.zero, args.range.top);
#pragma unroll
  for (int product = 0; product < T::kProducts; ++product) {
    const int column = product * 8 + lane % 4 * 2;
    if (first_channel + column >= args.geometry.out_channels) continue;  // two at a time, of an even number
    const int* start = args.start + first_channel + column;
    const float* multiplier = args.multiplier + first_channel + column;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const int row = warp * kWarpRows + i / 2 * 8 + lane / 4;
      const auto sum = static_cast<float>(start[i % 2] + sums[i / 4][product][i % 4]);
      to[row * T::kOutputPitch * kChunkBytes + column + i % 2] = rounding(__fmul_rn(sum, multiplier[i % 2]));
    }
  }
}

// grid (ceil(pixels of all images / kRows), ceil(output channels / T::kColumns)), block kThreads
template <typename T>
__global__ void __launch_bounds__(kThreads) multiply_windows(ConvolveLevelsArgs args) {
  BSQ_DYNAMIC_SHARED(uint4, stages);
  wait_for_previous();
  const ConvGeometry& g = args.geometry;
  const std::int64_t rows = std::int64_t{g.batch} * g.out_height() * g.out_width();
  const std::int64_t first_row = std::int64_t{blockIdx.x} * kRows;
  const int first_channel = static_cast<int>(blockIdx.y) * T::kColumns;
  const int whole_depth = g.kernel * g.kernel * g.in_channels;
  const int stage_count = (whole_depth + kStageBytes - 1) / kStageBytes;
  const Windows windows(args, first_row, rows);
  const auto begin_stage = [&](int stage) {
    uint4* const to = stages + stage % kStages * T::kStageSize;
    const int depth = stage * kStageBytes + Windows::chunk() * kChunkBytes;
    if (stage < stage_count) {
      windows.begin_copies(depth, whole_depth, to);
      begin_filters<T>(args, first_channel, depth, whole_depth, to + kRows * kPitch);
    }
    end_copy_group();  // an empty one too, so that their number says which have come
  };
  for (int stage = 0; stage < kStages - 1; ++stage) begin_stage(stage);
  int sums[2][T::kProducts][4] = {};
  for (int stage = 0; stage < stage_count; ++stage) {
    wait_for_copies<kStages - 2>();
    __syncthreads();  // all have multiplied the stage whose place the next one takes
    begin_stage(stage + kStages - 1);
    const uint4* from = stages + stage % kStages * T::kStageSize;
    multiply_stage<T>(from, from + kRows * kPitch, sums);
  }
  wait_for_copies<0>();
  __syncthreads();
  round_sums<T>(args, first_channel, sums, reinterpret_cast<std::uint8_t*>(stages));
  __syncthreads();
  constexpr int row_chunks = T::kColumns / kChunkBytes;
  for (int i = static_cast<int>(threadIdx.x); i < kRows * row_chunks; i += static_cast<int>(kThreads)) {
    const std::int64_t row = first_row + i / row_chunks;
    const int chunk = i % row_chunks, channel = first_channel + chunk * kChunkBytes;
    if (row < rows && channel < g.out_channels)
      *reinterpret_cast<uint4*>(args.output + row * g.out_channels + channel) =
          stages[i / row_chunks * T::kOutputPitch + chunk];
  }
}

template <int Columns>
void run(const ConvolveLevelsArgs& args, cudaStream_t stream) {
  const ConvGeometry& g = args.geometry;
  const std::int64_t rows = std::int64_t{g.batch} * g.out_height() * g.out_width();
  const dim3 grid(static_cast<unsigned>((rows + kRows - 1) / kRows),
                  static_cast<unsigned>((g.out_channels + Columns - 1) / Columns));
  launch(multiply_windows<Tile<Columns>>, grid, dim3(kThreads), Tile<Columns>::kSharedBytes, stream, args);
}

}  // namespace

bool tensor_cores_serve(const ConvolveLevelsArgs& args) {
  const ConvGeometry& g = args.geometry;
  constexpr int most_column_blocks = 65535;
  return g.groups == 1 && g.in_channels % kChunkBytes == 0 && g.out_channels % kChunkBytes == 0 &&
         std::int64_t{g.batch} * g.out_height() * g.out_width() <= std::numeric_limits<int>::max() &&
         g.out_channels / 64 < most_column_blocks;
}

void convolve_levels_on_tensor_cores(const ConvolveLevelsArgs& args, cudaStream_t stream) {
  if (args.geometry.out_channels <= 16) return run<16>(args, stream);
  if (args.geometry.out_channels <= 32) return run<32>(args, stream);
  run<64>(args, stream);
}

}  // namespace bsq::cuda
