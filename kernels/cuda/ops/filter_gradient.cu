// Gradients of filters on tensor cores: d_weight [O, K, K, I] float32 of bf16 tensors, 3x3 and 1x1, stride 1 and 2.
//
// A product of matrices for each tap: rows are output channels, columns input channels, and the sum runs over pixels. A
// block copies strips of both tensors, some rows of one image each, to shared memory, the next one while it works at
// this one. From there a warp takes 16 pixels at a time; all taps read the same input strip, shifted. The blocks' sums
// (splits) are added by a second kernel, warps and splits in order, so the same device gives the same bits.
// Least bytes: both tensors once. Besides: rows that two strips share, and 8 splits bytes per weight, which stay in the
// cache.
#include "kernels/cuda/device/device.cuh"
#include "kernels/cuda/device/ptx.cuh"
#include "kernels/cuda/ops/launchers.h"
#include "kernels/cuda/ops/own_geometries.h"

#include <algorithm>

namespace bsq::cuda {
namespace {

constexpr int kPixels = 16;   // of one product
constexpr int kChunk = 8;     // channels that lie in 16 bytes
constexpr int kRowBits = 22;  // enough for the pixels of a stage, fewer than 1024, and products below 2^32
constexpr int kStages = 2;    // strips in shared memory: the one that is worked at, and the next one
constexpr std::size_t kMostStageBytes = 48 * 1024;  // so that every device has room for all stages

/// How the work of a block is cut. Each warp has sums of MTiles x 16 output channels and Chunks x 8 input channels for
/// `Taps` neighbouring taps; MWarps x NWarps x TapWarps of them make up a block's channels and taps, and PixelWarps
/// share its pixels.
template <int MTiles, int Chunks, int Taps, int MWarps, int NWarps, int TapWarps, int PixelWarps, int BlocksAtOnce>
struct Cut {
  static constexpr int m_tiles = MTiles;
  static constexpr int chunks = Chunks;
  static constexpr int taps = Taps;
  static constexpr int m_warps = MWarps;
  static constexpr int n_warps = NWarps;
  static constexpr int tap_warps = TapWarps;
  static constexpr int pixel_warps = PixelWarps;
  static constexpr int blocks_at_once = BlocksAtOnce;  // on a multiprocessor

  static constexpr int kernel = Taps * TapWarps == 1 ? 1 : 3;
  static constexpr bool has_all_taps = Taps * TapWarps == kernel * kernel;  // or a row of them
  static constexpr int tap_blocks = kernel * kernel / (Taps * TapWarps);
  static constexpr int out_channels = MTiles * 16 * MWarps;
  static constexpr int in_channels = Chunks * kChunk * NWarps;
  static constexpr int out_chunks = out_channels / kChunk;
  static constexpr int in_chunks = in_channels / kChunk;
  static constexpr int sums = Taps * MTiles * Chunks * 4;  // of a thread
  static constexpr int group_threads = MWarps * NWarps * TapWarps * kWarp;
  static constexpr int threads = group_threads * PixelWarps;
  static constexpr std::size_t reduction_bytes = std::size_t{PixelWarps / 2} * sums * group_threads * sizeof(float);
};

using Narrow3x3 = Cut<1, 1, 3, 1, 1, 3, 4, 2>;  // up to 8 input channels: the first convolution
using Small3x3 = Cut<1, 2, 3, 1, 1, 3, 4, 2>;   // 16 of each
using Mixed3x3 = Cut<2, 2, 3, 1, 1, 3, 4, 1>;   // 32 output, 16 input channels
using Middle3x3 = Cut<2, 2, 3, 1, 2, 3, 2, 1>;  // 32 of each
using Large3x3 = Cut<2, 4, 3, 2, 2, 1, 2, 1>;   // 64 of each; a block for each row of taps
using Small1x1 = Cut<2, 2, 1, 1, 1, 1, 8, 2>;   // 32 output, 16 input channels
using Middle1x1 = Cut<2, 4, 1, 1, 1, 1, 8, 2>;  // 32 of each

/// The strips of all images, and how one lies in shared memory: gradients [pixels, chunks], input [rows, pitch,
/// chunks].
struct Strips {
  int out_height = 0;  // of an image: given, since a kernel would divide by the stride for them
  int out_width = 0;
  int rows = 0;  // of output, in a strip
  int per_image = 0;
  int count = 0;   // of all images
  int pixels = 0;  // places of a strip's gradients: whole products
  int in_rows = 0;
  int in_pitch = 0;
  int column_step = 1;  // columns that a strip's neighbouring pixels are apart in the image: only 1x1 leaves any out
  int row_step = 1;     // rows that they are apart in the strip
  int even = 0;         // with stride 2 even columns come first, so that a tap's pixels are neighbours; their number
  int splits = 0;
  int images_apart = 0;  // so many images and rows lie between a block's strip and its next one
  int rows_apart = 0;
  unsigned rows_per_pixel = 0;  // 2^kRowBits / output width, rounded up: the row of a pixel without a division

  std::size_t stage_vectors(int out_chunks, int in_chunks) const {
    return static_cast<std::size_t>(pixels) * out_chunks + static_cast<std::size_t>(in_rows) * in_pitch * in_chunks;
  }
};

/// Where a pixel's chunk lies, in vectors of 16 bytes. Shifted so that the same chunk of 8 neighbouring pixels is in
/// 8 different groups of banks, wherever they begin.
template <int Chunks>
__device__ int place_of(int pixel, int chunk) {
  static_assert(Chunks == 1 || Chunks == 2 || Chunks == 4 || Chunks == 8);
  const auto index = static_cast<unsigned>(pixel);
  return static_cast<int>(index * Chunks + (static_cast<unsigned>(chunk) ^ (index / (8 / Chunks) & (Chunks - 1))));
}

/// Which strip it is; a block goes from one to the next that is its own.
struct StripPlace {
  int image;
  int row;  // of output, the strip's first

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

/// What a block reads and where it puts it.
template <typename C>
struct StripLoader {
  const ConvGeometry& g;
  const Strips& strips;
  const __nv_bfloat16* input;
  const __nv_bfloat16* d_output;
  int first_out;  // channel
  int first_in;   // channel
  int first_tap_row;

  /// Pixels of the gradients; the last strip of an image may have fewer.
  __device__ int pixels(const StripPlace& place) const {
    const int rows = strips.out_height - place.row;
    return (rows < strips.rows ? rows : strips.rows) * strips.out_width;
  }

  __device__ void load(const StripPlace& place, uint4* gradients, uint4* inputs) const {
    const auto image = static_cast<std::int64_t>(place.image);
    load_gradients((image * strips.out_height + place.row) * strips.out_width, pixels(place), gradients);
    load_inputs(input + image * g.height * g.width * g.in_channels + first_in,
                place.row * g.stride - g.padding + first_tap_row, inputs);
  }

  /// A thread has the same chunk of every so many pixels; `there` of them are in the strip.
  __device__ void load_gradients(std::int64_t first_pixel, int there, uint4* to) const {
    constexpr int step = C::threads / C::out_chunks;
    static_assert(C::threads % C::out_chunks == 0 &&
                  step % 8 == 0);  // so that place_of is the same for all, but shifted
    const auto first = static_cast<int>(threadIdx.x / C::out_chunks);
    const auto chunk = static_cast<int>(threadIdx.x % C::out_chunks);
    to += place_of<C::out_chunks>(first, chunk);
    const __nv_bfloat16* from = d_output + (first_pixel + first) * g.out_channels + first_out + chunk * kChunk;
#pragma unroll 1  // the registers are needed for sums, and copies wait for nothing
    for (int pixel = first; pixel < strips.pixels; pixel += step) {
      begin_copy(to, pixel < there ? from : d_output, pixel < there);
      to += C::threads;
      from += step * g.out_channels;
    }
  }

  /// A warp takes rows, its lanes the chunks of one. `top`: the row of the image that is the strip's first.
  __device__ void load_inputs(const __nv_bfloat16* image, int top, uint4* to) const {
    const auto lane = static_cast<int>(threadIdx.x % kWarp);
#pragma unroll 1
    for (auto row = static_cast<int>(threadIdx.x / kWarp); row < strips.in_rows; row += C::threads / kWarp) {
      const int y = top + row * strips.column_step;
      const bool has_row = y >= 0 && y < g.height;
      const __nv_bfloat16* const from = image + (has_row ? y : 0) * g.width * g.in_channels;
#pragma unroll 1
      for (int i = lane; i < strips.in_pitch * C::in_chunks; i += kWarp) {
        const auto position = static_cast<int>(static_cast<unsigned>(i) / C::in_chunks);
        const auto chunk = static_cast<int>(static_cast<unsigned>(i) % C::in_chunks);
        int column = position;
        if (strips.even != 0) column = position < strips.even ? 2 * position : 2 * (position - strips.even) + 1;
        const int x = column * strips.column_step - g.padding;
        const bool is_there = has_row && x >= 0 && x < g.width;
        const __nv_bfloat16* const pixel = from + (is_there ? x * g.in_channels : 0);
        uint4* const place = to + place_of<C::in_chunks>(row * strips.in_pitch + position, chunk);
        if constexpr (C::chunks == 1)
          *place = is_there ? narrow_pixel(pixel) : make_uint4(0, 0, 0, 0);
        else
          begin_copy(place, pixel + chunk * kChunk, is_there);
      }
    }
  }

  /// The channels of a pixel, which are not aligned to anything, and zeros behind them.
  __device__ uint4 narrow_pixel(const __nv_bfloat16* from) const {
    unsigned words[4] = {};
#pragma unroll
    for (int i = 0; i < kChunk; ++i)
      if (i < g.in_channels) words[i / 2] |= unsigned{__bfloat16_as_ushort(from[i])} << (i % 2 * 16);
    return make_uint4(words[0], words[1], words[2], words[3]);
  }
};

/// What a warp of a block is for.
template <typename C>
struct WarpPlace {
  int lane = static_cast<int>(threadIdx.x % kWarp);
  int pixel_warp;
  int tap_warp;
  int m_warp;
  int n_warp;

  __device__ WarpPlace() {
    unsigned warp = threadIdx.x / kWarp;
    m_warp = static_cast<int>(warp % C::m_warps);
    warp /= C::m_warps;
    n_warp = static_cast<int>(warp % C::n_warps);
    warp /= C::n_warps;
    tap_warp = static_cast<int>(warp % C::tap_warps);
    pixel_warp = static_cast<int>(warp / C::tap_warps);
  }
};

/// Adds the products of a strip to the sums of a thread: sum[tap][m tile][chunk][see multiply_add].
template <typename C>
__device__ void add_strip(const Strips& strips, const WarpPlace<C>& warp, int pixels, const uint4* gradients,
                          const uint4* inputs, float (&sum)[C::taps][C::m_tiles][C::chunks][4]) {
  const int tap_row = C::taps == 3 ? warp.tap_warp : 0;  // of the rows that the strip has
  for (int step = warp.pixel_warp; step * kPixels < pixels; step += C::pixel_warps) {
    unsigned a[C::m_tiles][4];
    const int gradient_pixel = step * kPixels + warp.lane % 8 + warp.lane / 16 * 8;
#pragma unroll
    for (int m = 0; m < C::m_tiles; ++m) {
      const int chunk = (warp.m_warp * C::m_tiles + m) * 2 + warp.lane / 8 % 2;
      load_transposed(a[m], gradients + place_of<C::out_chunks>(gradient_pixel, chunk));
    }
    int pixel = step * kPixels + warp.lane % 16;
    if (pixel >= pixels) pixel = 0;  // its gradient counts as zero: any pixel will do
    const auto row = static_cast<int>(static_cast<unsigned>(pixel) * strips.rows_per_pixel >> kRowBits);
    const int first = (row * strips.row_step + tap_row) * strips.in_pitch + pixel - row * strips.out_width;
#pragma unroll
    for (int tap = 0; tap < C::taps; ++tap) {
      const int column = tap % C::kernel;
      const int shift = strips.even == 0 ? column : column % 2 * strips.even + column / 2;
      const int at = first + tap / C::kernel * strips.in_pitch + shift;
      if constexpr (C::chunks == 1) {
        unsigned b[2];
        load_transposed(b, inputs + at);
#pragma unroll
        for (int m = 0; m < C::m_tiles; ++m) multiply_add(sum[tap][m][0], a[m], b[0], b[1]);
      } else {
#pragma unroll
        for (int chunk = 0; chunk < C::chunks; chunk += 2) {
          unsigned b[4];
          load_transposed(b, inputs + place_of<C::in_chunks>(at, warp.n_warp * C::chunks + chunk + warp.lane / 16));
#pragma unroll
          for (int m = 0; m < C::m_tiles; ++m) {
            multiply_add(sum[tap][m][chunk], a[m], b[0], b[1]);
            multiply_add(sum[tap][m][chunk + 1], a[m], b[2], b[3]);
          }
        }
      }
    }
  }
}

/// Adds the sums of the warps that share the pixels; those of pixel warp 0 are the block's then. `shared`:
/// C::reduction_bytes.
template <typename C>
__device__ void add_pixel_warps(const WarpPlace<C>& warp, float* shared,
                                float (&sum)[C::taps][C::m_tiles][C::chunks][4]) {
  float(&flat)[C::sums] = reinterpret_cast<float(&)[C::sums]>(sum);
  const int thread = static_cast<int>(threadIdx.x) % C::group_threads;
#pragma unroll
  for (int half = C::pixel_warps / 2; half > 0; half /= 2) {
    float* const own =
        shared + static_cast<std::ptrdiff_t>(warp.pixel_warp % half) * C::sums * C::group_threads + thread;
    __syncthreads();
    if (warp.pixel_warp >= half && warp.pixel_warp < 2 * half) {
#pragma unroll
      for (int i = 0; i < C::sums; ++i) own[i * C::group_threads] = flat[i];
    }
    __syncthreads();
    if (warp.pixel_warp < half) {
#pragma unroll
      for (int i = 0; i < C::sums; ++i) flat[i] += own[i * C::group_threads];
    }
  }
}

// grid (splits, tiles of output channels, tiles of input channels times blocks of taps), block C::threads; strips are
// dealt out to the splits
template <typename C>
__global__ void __launch_bounds__(C::threads, C::blocks_at_once)
    sum_products(ConvGeometry g, Strips strips, const __nv_bfloat16* input, const __nv_bfloat16* d_output,
                 float* partials) {
  BSQ_DYNAMIC_SHARED(uint4, shared);
  const int first_out = static_cast<int>(blockIdx.y) * C::out_channels;
  const int first_in = static_cast<int>(blockIdx.z / C::tap_blocks) * C::in_channels;
  const auto tap_block = static_cast<int>(blockIdx.z % C::tap_blocks);
  const StripLoader<C> loader{g, strips, input, d_output, first_out, first_in, tap_block};
  const WarpPlace<C> warp;
  const int gradient_vectors = strips.pixels * C::out_chunks;
  const int stage_vectors = gradient_vectors + strips.in_rows * strips.in_pitch * C::in_chunks;
  const auto load = [&](const StripPlace& place, int stage) {
    uint4* const gradients = shared + stage * stage_vectors;
    loader.load(place, gradients, gradients + gradient_vectors);
  };

  float sum[C::taps][C::m_tiles][C::chunks][4] = {};
  StripPlace place(strips, blockIdx.x);
  load(place, 0);
  end_copy_group();
  for (int stage = 0; place.image < g.batch; stage = 1 - stage) {
    StripPlace next = place;
    next.advance(strips);
    if (next.image < g.batch) load(next, 1 - stage);
    end_copy_group();
    wait_for_copies<1>();
    __syncthreads();
    const uint4* const gradients = shared + stage * stage_vectors;
    add_strip<C>(strips, warp, loader.pixels(place), gradients, gradients + gradient_vectors, sum);
    __syncthreads();
    place = next;
  }
  wait_for_copies<0>();
  add_pixel_warps<C>(warp, reinterpret_cast<float*>(shared), sum);
  if (warp.pixel_warp != 0) return;

  const int row_floats = C::kernel * C::kernel * g.in_channels;  // of an output channel
  const int first_channel = first_in + warp.n_warp * C::chunks * kChunk + warp.lane % 4 * 2;
  float* const own = partials + static_cast<std::int64_t>(blockIdx.x) * g.out_channels * row_floats +
                     (first_out + warp.m_warp * C::m_tiles * 16 + warp.lane / 4) * row_floats +
                     (tap_block * C::tap_warps + warp.tap_warp) * C::taps * g.in_channels + first_channel;
#pragma unroll
  for (int m = 0; m < 2 * C::m_tiles; ++m) {  // halves of them: 8 output channels
    float* const of_row = own + m * 8 * row_floats;
#pragma unroll
    for (int tap = 0; tap < C::taps; ++tap) {
      float* const to = of_row + tap * g.in_channels;
#pragma unroll
      for (int chunk = 0; chunk < C::chunks; ++chunk) {
        const float first = sum[tap][m / 2][chunk][m % 2 * 2];
        const float second = sum[tap][m / 2][chunk][m % 2 * 2 + 1];
        if constexpr (C::chunks == 1) {
          if (first_channel < g.in_channels) to[0] = first;
          if (first_channel + 1 < g.in_channels) to[1] = second;
        } else {
          *reinterpret_cast<float2*>(to + chunk * kChunk) = make_float2(first, second);
        }
      }
    }
  }
}

constexpr int kSumVectors = 16;  // of 4 weights, that a block adds up
constexpr int kSumLanes = 32;    // that share the splits of each

// grid over the weights, block (kSumVectors, kSumLanes)
__global__ void __launch_bounds__(kSumVectors* kSumLanes)
    add_splits(int numel, int splits, const float* partials, float* d_weight) {
  BSQ_SHARED(float4, shared, [kSumLanes][kSumVectors]);
  const int column = static_cast<int>(threadIdx.x);
  const int lane = static_cast<int>(threadIdx.y);
  const int first = static_cast<int>(blockIdx.x) * kSumVectors * 4;
  const int at = first + column * 4;
  float4 sum = make_float4(0, 0, 0, 0);
  if (at < numel) {
#pragma unroll 8
    for (int split = lane; split < splits; split += kSumLanes) {
      const float4 part = *reinterpret_cast<const float4*>(partials + static_cast<std::int64_t>(split) * numel + at);
      sum = make_float4(sum.x + part.x, sum.y + part.y, sum.z + part.z, sum.w + part.w);
    }
  }
  shared[lane][column] = sum;
  __syncthreads();
  const int thread = lane * kSumVectors + column;
  if (thread >= kSumVectors * 4 || first + thread >= numel) return;
  const float* const parts = reinterpret_cast<const float*>(shared) + thread;
  const int lanes = splits < kSumLanes ? splits : kSumLanes;
  float total = parts[0];
#pragma unroll 8
  for (int other = 1; other < lanes; ++other) total += parts[other * kSumVectors * 4];
  d_weight[first + thread] = total;
}

// ---- on the host ----------------------------------------------------------------------------------------------------

bool divides(int tile, int channels) {
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
  if (g.in_channels <= kChunk) return use.template operator()<Narrow3x3>();
  if (divides(64, g.out_channels) && divides(64, g.in_channels)) return use.template operator()<Large3x3>();
  if (divides(32, g.out_channels) && divides(32, g.in_channels)) return use.template operator()<Middle3x3>();
  if (divides(32, g.out_channels)) return use.template operator()<Mixed3x3>();
  return use.template operator()<Small3x3>();
}

template <typename C>
dim3 tiles_of(const ConvGeometry& g) {
  const int in_tiles = (g.in_channels + C::in_channels - 1) / C::in_channels;
  return dim3(1, static_cast<unsigned>(g.out_channels / C::out_channels),
              static_cast<unsigned>(in_tiles * C::tap_blocks));
}

template <typename C>
Strips strips_of_rows(const ConvGeometry& g, int rows) {
  Strips strips;
  strips.out_height = g.out_height();
  strips.out_width = g.out_width();
  strips.rows = rows;
  strips.per_image = (g.out_height() + rows - 1) / rows;
  strips.count = strips.per_image * g.batch;
  strips.pixels = (rows * g.out_width() + kPixels - 1) / kPixels * kPixels;
  const int tap_rows = C::has_all_taps ? C::kernel : 1;
  strips.column_step = C::kernel == 1 ? g.stride : 1;
  strips.row_step = g.stride / strips.column_step;
  strips.in_rows = (rows - 1) * strips.row_step + tap_rows;
  strips.in_pitch = (g.out_width() - 1) * strips.row_step + C::kernel;
  strips.even = strips.row_step == 2 ? (strips.in_pitch + 1) / 2 : 0;
  strips.rows_per_pixel =
      ((1U << kRowBits) + static_cast<unsigned>(g.out_width()) - 1) / static_cast<unsigned>(g.out_width());
  return strips;
}

/// Strips of four products a warp, or as many rows as there is room for, about as many in each strip of an image; none,
/// if there is not even room for one.
template <typename C>
Strips cut_strips(const ConvGeometry& g, int multiprocessors) {
  constexpr int pixels = 4 * kPixels * C::pixel_warps;
  int rows = std::min((pixels + g.out_width() - 1) / g.out_width(), g.out_height());
  const auto bytes = [&] {
    return strips_of_rows<C>(g, rows).stage_vectors(C::out_chunks, C::in_chunks) * sizeof(uint4);
  };
  while (rows > 1 && bytes() > kMostStageBytes) --rows;
  if (bytes() > kMostStageBytes) return {};
  const int per_image = (g.out_height() + rows - 1) / rows;
  rows = (g.out_height() + per_image - 1) / per_image;
  Strips strips = strips_of_rows<C>(g, rows);
  const dim3 tiles = tiles_of<C>(g);
  const int at_once = C::blocks_at_once * multiprocessors / static_cast<int>(tiles.y * tiles.z);
  strips.splits = std::clamp(at_once, 1, strips.count);
  strips.images_apart = strips.splits / strips.per_image;
  strips.rows_apart = strips.splits % strips.per_image * rows;
  return strips;
}

}  // namespace

bool own_filter_gradient_serves(const ConvGeometry& geometry) {
  bool fits = false;
  with_cut(geometry, [&]<typename C>() { fits = cut_strips<C>(geometry, 1).count > 0; });
  return fits;
}

std::size_t own_filter_gradient_scratch_bytes(const ConvGeometry& geometry, int multiprocessors) {
  std::size_t size_bytes = 0;
  with_cut(geometry, [&]<typename C>() {
    const int splits = cut_strips<C>(geometry, multiprocessors).splits;
    if (splits > 1) size_bytes = static_cast<std::size_t>(geometry.weight_shape().numel()) * splits * sizeof(float);
  });
  return size_bytes;
}

void own_filter_gradient(const ConvBackwardWeightArgs& args, cudaStream_t stream, int multiprocessors) {
  const ConvGeometry& g = args.geometry;
  with_cut(g, [&]<typename C>() {
    const Strips strips = cut_strips<C>(g, multiprocessors);
    dim3 grid = tiles_of<C>(g);
    grid.x = static_cast<unsigned>(strips.splits);
    const std::size_t shared_bytes =
        std::max(kStages * strips.stage_vectors(C::out_chunks, C::in_chunks) * sizeof(uint4), C::reduction_bytes);
    auto* const partials = strips.splits > 1 ? static_cast<float*>(args.scratch) : args.d_weight;
    launch(sum_products<C>, grid, dim3(C::threads), shared_bytes, stream, g, strips,
           static_cast<const __nv_bfloat16*>(args.input), static_cast<const __nv_bfloat16*>(args.d_output), partials);
    if (strips.splits == 1) return;
    const auto numel = static_cast<int>(g.weight_shape().numel());
    constexpr int own = kSumVectors * 4;
    launch(add_splits, dim3(static_cast<unsigned>((numel + own - 1) / own)), dim3(kSumVectors, kSumLanes), 0, stream,
           numel, strips.splits, partials, args.d_weight);
  });
}

}  // namespace bsq::cuda
