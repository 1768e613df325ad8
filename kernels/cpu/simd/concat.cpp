// Concatenation along channels, and its gradient.
#include "kernels/cpu/simd/lanes.h"
#include "kernels/cpu/simd/units.h"
#include "kernels/cpu/simd/variant.h"

namespace bsq::BSQ_SIMD_NAMESPACE {
namespace {

/// Where a row lies in two tensors, and how far it is to the next row of each.
template <typename T>
struct Rows {
  std::int64_t rows;
  int channels;
  const T* from;
  std::int64_t from_pitch;
  T* to;
  std::int64_t to_pitch;
};

template <bool Full, bool Accumulate, typename T>
BSQ_LANES_INLINE void move_lanes(const T* from, float unit, T* to, int count) {
  FloatLanes value = unit * load_lanes<Full>(from, count);
  if constexpr (Accumulate) value += load_lanes<Full>(static_cast<const T*>(to), count);
  store_lanes<Full>(to, value, count);
}

template <bool Accumulate, typename T>
void move_rows(const Rows<T>& rows, float unit) {
#pragma omp parallel for schedule(static)
  for (std::int64_t row = 0; row < rows.rows; ++row) {
    const T* from = rows.from + row * rows.from_pitch;
    T* to = rows.to + row * rows.to_pitch;
    int channel = 0;
    for (; channel + kLanes <= rows.channels; channel += kLanes)
      move_lanes<true, Accumulate>(from + channel, unit, to + channel, kLanes);
    if (channel < rows.channels)
      move_lanes<false, Accumulate>(from + channel, unit, to + channel, rows.channels - channel);
  }
}

template <typename T>
void forward(const ConcatForwardArgs& args) {
  const ConcatGeometry& g = args.geometry;
  move_rows<false>(Rows<T>{g.rows, g.channels, static_cast<const T*>(args.input), g.input_pitch,
                           static_cast<T*>(args.output) + g.offset, g.output_pitch},
                   value_of(args.unit));
}

template <typename T>
void backward(const ConcatBackwardArgs& args) {
  const ConcatGeometry& g = args.geometry;
  const Rows<T> rows{g.rows,
                     g.channels,
                     static_cast<const T*>(args.d_output) + g.offset,
                     g.output_pitch,
                     static_cast<T*>(args.d_input),
                     g.input_pitch};
  const float unit = value_of(args.unit);
  args.mode == GradMode::accumulate ? move_rows<true>(rows, unit) : move_rows<false>(rows, unit);
}

}  // namespace

void concat_forward(const ConcatForwardArgs& args) {
  args.geometry.dtype == DType::bf16 ? forward<Bf16>(args) : forward<float>(args);
}

void concat_backward(const ConcatBackwardArgs& args) {
  args.geometry.dtype == DType::bf16 ? backward<Bf16>(args) : backward<float>(args);
}

}  // namespace bsq::BSQ_SIMD_NAMESPACE
