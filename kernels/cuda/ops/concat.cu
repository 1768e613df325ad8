// Concatenation along channels, and its gradient.
//
// Least bytes: what is placed is read and written once. Rows begin wherever pitch and offset say, so an access is as
// wide as all of them allow, 16 bytes at most.
#include "kernels/cuda/device/channel_tiles.cuh"
#include "kernels/cuda/ops/launchers.h"

namespace bsq::cuda {
namespace {

constexpr int kTilesAtOnce = 4;  // times as many blocks as kernels whose blocks leave sums behind

template <typename T>
struct Rows {
  const T* from;
  std::int64_t from_pitch;
  T* to;
  std::int64_t to_pitch;
};

// grid (row blocks, column tiles), block kTileThreads, one thread per vector of a row at a time
template <typename T, int Width, bool Accumulate>
__global__ void move_rows(ChannelTiles tiles, Rows<T> rows, TensorUnit unit) {
  const TilePlace place(tiles);
  wait_for_previous();
  if (!place.active) return;
  const float factor = value_of(unit);
  const std::int64_t step = std::int64_t{gridDim.x} * tiles.lanes;
  for (std::int64_t row = std::int64_t{blockIdx.x} * tiles.lanes + place.lane; row < tiles.rows;
       row += kRowsInFlight * step) {
    Raw<T, Width> raw[kRowsInFlight], raw_before[kRowsInFlight];
#pragma unroll
    for (int i = 0; i < kRowsInFlight; ++i) {
      const std::int64_t at = row + i * step;
      if (at >= tiles.rows) continue;
      raw[i] = load_raw<Width>(rows.from + at * rows.from_pitch + place.channel);
      if constexpr (Accumulate) raw_before[i] = load_raw<Width>(rows.to + at * rows.to_pitch + place.channel);
    }
#pragma unroll
    for (int i = 0; i < kRowsInFlight; ++i) {
      const std::int64_t at = row + i * step;
      if (at >= tiles.rows) continue;
      float value[Width], before[Width] = {};
      unpack(raw[i], value);
      if constexpr (Accumulate) unpack(raw_before[i], before);
      for (int k = 0; k < Width; ++k) value[k] = Accumulate ? factor * value[k] + before[k] : factor * value[k];
      store<Width>(rows.to + at * rows.to_pitch + place.channel, value);
    }
  }
}

template <typename T, int Width>
void launch_move(const ConcatGeometry& g, const Rows<T>& rows, TensorUnit unit, GradMode mode,
                 const DeviceContext& on) {
  const ChannelTiles tiles(g.rows, g.channels, Width, kTilesAtOnce * on.memory.multiprocessors);
  const auto kernel = mode == GradMode::accumulate ? move_rows<T, Width, true> : move_rows<T, Width, false>;
  launch(kernel, tiles.grid(), dim3(kTileThreads), 0, on.stream, tiles, rows, unit);
}

template <typename T>
void run(const ConcatGeometry& g, const Rows<T>& rows, TensorUnit unit, GradMode mode, const DeviceContext& on) {
  const auto allows = [&](int width) {
    return (g.channels | g.input_pitch | g.output_pitch | g.offset) % width == 0;  // a power of two
  };
  if constexpr (kVectorWidth<T> == 8)
    if (allows(8)) return launch_move<T, 8>(g, rows, unit, mode, on);
  if (allows(4)) return launch_move<T, 4>(g, rows, unit, mode, on);
  if (allows(2)) return launch_move<T, 2>(g, rows, unit, mode, on);
  launch_move<T, 1>(g, rows, unit, mode, on);
}

}  // namespace

void concat_forward(const ConcatForwardArgs& args, const DeviceContext& on) {
  const ConcatGeometry& g = args.geometry;
  with_element(g.dtype, [&]<typename T>() {
    const Rows<T> rows{static_cast<const T*>(args.input), g.input_pitch, static_cast<T*>(args.output) + g.offset,
                       g.output_pitch};
    run<T>(g, rows, args.unit, GradMode::overwrite, on);
  });
}

void concat_backward(const ConcatBackwardArgs& args, const DeviceContext& on) {
  const ConcatGeometry& g = args.geometry;
  with_element(g.dtype, [&]<typename T>() {
    const Rows<T> rows{static_cast<const T*>(args.d_output) + g.offset, g.output_pitch, static_cast<T*>(args.d_input),
                       g.input_pitch};
    run<T>(g, rows, args.unit, args.mode, on);
  });
}

}  // namespace bsq::cuda
