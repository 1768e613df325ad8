// Flattening to PyTorch's order: through shared memory, so that both sides are read and written along their rows.
#include "kernels/cuda/device/device.cuh"
#include "kernels/cuda/device/vector_width.cuh"
#include "kernels/cuda/ops/launchers.h"

namespace bsq::cuda {
namespace {

constexpr unsigned kFlattenThreads = 256;
constexpr int kTilePixels = 64;
constexpr int kTileFloats = 64 * (kTilePixels + 1);

/// How [images, pixels, channels] is cut: a block turns a tile of one image round at a time.
struct FlatTiles {
  int images = 0;
  int pixels = 0;
  int channels = 0;
  int tile_pixels = 0;
  int tile_channels = 0;
  int pitch = 0;  // of a channel's pixels in shared memory: odd, so that a warp's channels lie in different banks
  int channel_tiles = 0;
  int pixel_tiles = 0;

  FlatTiles(const FlattenGeometry& geometry, int width)
      : images(geometry.batch), pixels(geometry.pixels), channels(geometry.channels) {
    if (pixels == 1) {  // both orders are one
      channels *= images;
      images = 1;
    }
    tile_pixels = pixels < kTilePixels ? pixels : kTilePixels;
    pitch = tile_pixels | 1;
    const int most = kTileFloats / pitch / width * width;
    tile_channels = channels < most ? channels : most;
    channel_tiles = (channels + tile_channels - 1) / tile_channels;
    pixel_tiles = (pixels + tile_pixels - 1) / tile_pixels;
  }
  dim3 grid() const {
    const auto image_count = static_cast<unsigned>(images);
    return dim3(static_cast<unsigned>(channel_tiles) * static_cast<unsigned>(pixel_tiles),
                image_count < kMostImages ? image_count : kMostImages);
  }
};

/// A block's tile of its images.
struct FlatTile {
  int first_channel = 0;
  int first_pixel = 0;
  int channels = 0;
  int pixels = 0;

  __device__ explicit FlatTile(const FlatTiles& tiles) {
    const int block = static_cast<int>(blockIdx.x);
    first_channel = block / tiles.pixel_tiles * tiles.tile_channels;
    first_pixel = block % tiles.pixel_tiles * tiles.tile_pixels;
    channels =
        tiles.channels - first_channel < tiles.tile_channels ? tiles.channels - first_channel : tiles.tile_channels;
    pixels = tiles.pixels - first_pixel < tiles.tile_pixels ? tiles.pixels - first_pixel : tiles.tile_pixels;
  }
  /// Calls body(where the vector lies in its image [pixels, channels], in shared memory), one thread per vector.
  template <int Width, typename Body>
  __device__ void for_vectors(const FlatTiles& tiles, Body body) const {
    const int vectors = channels / Width;
    for (int i = static_cast<int>(threadIdx.x); i < pixels * vectors; i += static_cast<int>(kFlattenThreads)) {
      const int pixel = i / vectors;
      const int channel = i % vectors * Width;
      body(std::int64_t{first_pixel + pixel} * tiles.channels + first_channel + channel, channel * tiles.pitch + pixel);
    }
  }
  /// Calls body(where the number lies in its image [channels, pixels], in shared memory), one thread per number.
  template <typename Body>
  __device__ void for_numbers(const FlatTiles& tiles, Body body) const {
    for (int i = static_cast<int>(threadIdx.x); i < channels * pixels; i += static_cast<int>(kFlattenThreads)) {
      const int channel = i / pixels;
      const int pixel = i % pixels;
      body(std::int64_t{first_channel + channel} * tiles.pixels + first_pixel + pixel, channel * tiles.pitch + pixel);
    }
  }
};

// grid (tiles of an image, images), block kFlattenThreads
template <typename T, int Width>
__global__ void __launch_bounds__(kFlattenThreads)
    flatten(FlatTiles tiles, const T* input, TensorUnit unit, float* output) {
  BSQ_SHARED(float, shared, [kTileFloats]);
  wait_for_previous();
  const float factor = value_of(unit);
  const FlatTile tile(tiles);
  for (int image = static_cast<int>(blockIdx.y); image < tiles.images; image += static_cast<int>(gridDim.y)) {
    const std::int64_t first = std::int64_t{image} * tiles.pixels * tiles.channels;
    tile.for_vectors<Width>(tiles, [&](std::int64_t from, int to) {
      float value[Width];
      load<Width>(input + first + from, value);
      for (int i = 0; i < Width; ++i) shared[to + i * tiles.pitch] = factor * value[i];
    });
    __syncthreads();
    tile.for_numbers(tiles, [&](std::int64_t to, int from) { output[first + to] = shared[from]; });
    __syncthreads();
  }
}

// grid (tiles of an image, images), block kFlattenThreads
template <typename T, int Width>
__global__ void __launch_bounds__(kFlattenThreads)
    unflatten(FlatTiles tiles, const float* d_output, TensorUnit unit, GradMode mode, T* d_input) {
  BSQ_SHARED(float, shared, [kTileFloats]);
  wait_for_previous();
  const float factor = value_of(unit);
  const FlatTile tile(tiles);
  for (int image = static_cast<int>(blockIdx.y); image < tiles.images; image += static_cast<int>(gridDim.y)) {
    const std::int64_t first = std::int64_t{image} * tiles.pixels * tiles.channels;
    tile.for_numbers(tiles, [&](std::int64_t from, int to) { shared[to] = factor * d_output[first + from]; });
    __syncthreads();
    tile.for_vectors<Width>(tiles, [&](std::int64_t to, int from) {
      float value[Width];
      for (int i = 0; i < Width; ++i) value[i] = shared[from + i * tiles.pitch];
      store_gradient<Width>(d_input + first + to, value, mode);
    });
    __syncthreads();
  }
}

}  // namespace

void flatten_forward(const FlattenForwardArgs& args, const DeviceContext& on) {
  with_vectors(args.geometry.dtype, args.geometry.channels, [&]<typename T, int Width>() {
    const FlatTiles tiles(args.geometry, Width);
    launch(flatten<T, Width>, tiles.grid(), dim3(kFlattenThreads), 0, on.stream, tiles,
           static_cast<const T*>(args.input), args.unit, args.output);
  });
}

void flatten_backward(const FlattenBackwardArgs& args, const DeviceContext& on) {
  with_vectors(args.geometry.dtype, args.geometry.channels, [&]<typename T, int Width>() {
    const FlatTiles tiles(args.geometry, Width);
    launch(unflatten<T, Width>, tiles.grid(), dim3(kFlattenThreads), 0, on.stream, tiles, args.d_output, args.unit,
           args.mode, static_cast<T*>(args.d_input));
  });
}

}  // namespace bsq::cuda
