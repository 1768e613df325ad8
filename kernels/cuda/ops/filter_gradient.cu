// Gradients of filters on tensor cores: d_weight [O, K, K, I] float32 of bf16 tensors, 3x3 and 1x1, stride 1 and 2.
//
// One product of matrices per tap: rows are output channels, columns input channels, and the sum runs over pixels. A
// block copies strips of both tensors, each some rows of one image, to shared memory, the next one while it works on
// this one. From there a warp takes 16 pixels at a time; all taps read the same input strip, shifted. A second kernel
// adds the sums of the blocks (splits, parts), warps and splits in order, so the same device gives the same bits: at
// once, or later for many layers together.
// Least bytes: both tensors once. Besides: rows that two strips share, and 8 * splits bytes per weight, which stay in
// the cache.
#include "kernels/cuda/device/filter_strips.cuh"
#include "kernels/cuda/ops/launchers.h"

#include <algorithm>

namespace bsq::cuda {
namespace {

/// The part of a block's work that a warp does.
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
  const int tap_row = C::taps == 3 ? warp.tap_warp : 0;  // the warp's row of taps, of those that the strip is for
  for (int step = warp.pixel_warp; step * kProductPixels < pixels; step += C::pixel_warps) {
    unsigned a[C::m_tiles][4];
    const int gradient_pixel = step * kProductPixels + warp.lane % 8 + warp.lane / 16 * 8;
#pragma unroll
    for (int m = 0; m < C::m_tiles; ++m) {
      const int chunk = (warp.m_warp * C::m_tiles + m) * 2 + warp.lane / 8 % 2;
      load_transposed(a[m], gradients + place_of<C::out_chunks>(gradient_pixel, chunk));
    }
    int pixel = step * kProductPixels + warp.lane % 16;
    if (pixel >= pixels) pixel = 0;  // its gradient counts as zero: any pixel will do
    const auto row = static_cast<int>(static_cast<unsigned>(pixel) * strips.rows_per_pixel >> kPixelRowBits);
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

/// Adds the sums of the warps that share the pixels: pixel warp 0 then has those of the block. `shared`:
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

// grid (splits, tiles of output channels, tiles of input channels times blocks of taps), block C::threads; splits take
// strips in turn
template <typename C>
__global__ void __launch_bounds__(C::threads, C::blocks_at_once)
    sum_products(ConvGeometry g, Strips strips, const __nv_bfloat16* input, const __nv_bfloat16* d_output,
                 float* partials, InputNorm input_norm) {
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
  wait_for_previous();
  load(place, 0);
  end_copy_group();
  for (int stage = 0; place.image < g.batch; stage = 1 - stage) {
    StripPlace next = place;
    next.advance(strips);
    if (next.image < g.batch) load(next, 1 - stage);
    end_copy_group();
    wait_for_copies<1>();
    uint4* const gradients = shared + stage * stage_vectors;
    if (input_norm.is_wanted) loader.apply_norm(input_norm, place, gradients + gradient_vectors);
    __syncthreads();
    add_strip<C>(strips, warp, loader.pixels(place), gradients, gradients + gradient_vectors, sum);
    __syncthreads();
    place = next;
  }
  wait_for_copies<0>();
  add_pixel_warps<C>(warp, reinterpret_cast<float*>(shared), sum);
  if (warp.pixel_warp != 0) return;

  const int row_floats = C::kernel * C::kernel * g.in_channels;  // per output channel
  const int first_channel = first_in + warp.n_warp * C::chunks * kChunkChannels + warp.lane % 4 * 2;
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
          *reinterpret_cast<float2*>(to + chunk * kChunkChannels) = make_float2(first, second);
        }
      }
    }
  }
}

constexpr int kSumVectors = 16;  // vectors of 4 weights that a block adds up
constexpr int kSumLanes = 32;    // threads that share the parts of a vector
constexpr int kSumWeights = kSumVectors * 4;
constexpr int kMostSums = 32;  // that one kernel takes in: a lane each looks for the block's own

/// The gradients of a kernel, and the number of the first block of each; past the last one that of no block.
struct PartSums {
  GradientParts gradients[kMostSums];
  int first_blocks[kMostSums];
};

// grid over the weights of all gradients, block (kSumVectors, kSumLanes)
__global__ void __launch_bounds__(kSumVectors* kSumLanes) add_parts(PartSums sums) {
  BSQ_SHARED(float4, shared, [kSumLanes][kSumVectors]);
  const int column = static_cast<int>(threadIdx.x);
  const int lane = static_cast<int>(threadIdx.y);
  const int thread = lane * kSumVectors + column;
  const auto block = static_cast<int>(blockIdx.x);
  const unsigned begun = __ballot_sync(kFullMask, sums.first_blocks[thread % kWarp] <= block);
  const int own = __popc(begun) - 1;
  const GradientParts gradient = sums.gradients[own];
  const auto numel = static_cast<int>(gradient.numel);
  const int first = (block - sums.first_blocks[own]) * kSumWeights;
  const int at = first + column * 4;
  float4 sum = make_float4(0, 0, 0, 0);
  wait_for_previous();
  if (at < numel) {
#pragma unroll 8
    for (int i = lane; i < gradient.count; i += kSumLanes) {
      const float4 part = *reinterpret_cast<const float4*>(gradient.parts + i * gradient.numel + at);
      sum = make_float4(sum.x + part.x, sum.y + part.y, sum.z + part.z, sum.w + part.w);
    }
  }
  shared[lane][column] = sum;
  __syncthreads();
  if (thread >= kSumWeights || first + thread >= numel) return;
  const float* const parts = reinterpret_cast<const float*>(shared) + thread;
  const int lanes = gradient.count < kSumLanes ? gradient.count : kSumLanes;
  float total = parts[0];
#pragma unroll 8
  for (int other = 1; other < lanes; ++other) total += parts[other * kSumWeights];
  gradient.d_weight[first + thread] = total;
}

}  // namespace

// ---- on the host ----------------------------------------------------------------------------------------------------

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
  const InputNorm input_norm(args.input_norm);
  with_cut(g, [&]<typename C>() {
    const Strips strips = cut_strips<C>(g, multiprocessors);
    const FilterTiles tiles = tiles_of<C>(g);
    const dim3 grid(static_cast<unsigned>(strips.splits), static_cast<unsigned>(tiles.of_outputs),
                    static_cast<unsigned>(tiles.of_inputs_and_taps));
    const std::size_t shared_bytes =
        std::max(kStripStages * strips.stage_vectors(C::out_chunks, C::in_chunks) * sizeof(uint4), C::reduction_bytes);
    const bool sums_up = args.parts == nullptr && strips.splits > 1;
    auto* const parts = args.parts != nullptr ? args.parts
                        : sums_up             ? static_cast<float*>(args.scratch)
                                              : args.d_weight;
    launch(sum_products<C>, grid, dim3(C::threads), shared_bytes, stream, g, strips,
           static_cast<const __nv_bfloat16*>(input_norm.source(args.input)),
           static_cast<const __nv_bfloat16*>(args.d_output), parts, input_norm);
    if (!sums_up) return;
    const GradientParts gradient{g.weight_shape().numel(), strips.splits, parts, args.d_weight};
    sum_gradient_parts({&gradient, 1}, stream);
  });
}

void sum_gradient_parts(std::span<const GradientParts> gradients, cudaStream_t stream) {
  while (!gradients.empty()) {
    const std::size_t count = std::min(gradients.size(), static_cast<std::size_t>(kMostSums));
    PartSums sums;
    int blocks = 0;
    for (std::size_t i = 0; i < count; ++i) {
      sums.gradients[i] = gradients[i];
      sums.first_blocks[i] = blocks;
      blocks += static_cast<int>((gradients[i].numel + kSumWeights - 1) / kSumWeights);
    }
    std::fill(std::begin(sums.first_blocks) + count, std::end(sums.first_blocks), blocks);
    launch(add_parts, dim3(static_cast<unsigned>(blocks)), dim3(kSumVectors, kSumLanes), 0, stream, sums);
    gradients = gradients.subspan(count);
  }
}

}  // namespace bsq::cuda
