// What the first pass of norm_act forward finds out about a channel: its moments and its extremes.
#pragma once

#include "kernels/cuda/device/device.cuh"

#include <cmath>
#include <cstdint>

namespace bsq::cuda {

struct Statistics {
  double mean = 0;
  double variance = 0;
  double unbiased_variance = 0;
};

/// 1 / rows, divided on the host: a division in double takes some hundred instructions.
struct RowCount {
  double per_row = 0;
  double per_row_unbiased = 0;  // 1 / (rows - 1), for a variance

  explicit RowCount(std::int64_t rows)
      : per_row(1.0 / static_cast<double>(rows)),
        per_row_unbiased(1.0 / static_cast<double>(rows > 1 ? rows - 1 : 1)) {}
};

/// Makes statistics from the sums over the stored x, whose unit is given.
__device__ inline Statistics statistics_of(double pivot, double sum, double squares, const RowCount& rows,
                                           double unit) {
  const double offset = sum * rows.per_row;
  double centred = unit * unit * (squares - sum * offset);  // sum of (x - mean)^2
  if (centred < 0) centred = 0;
  return {unit * (pivot + offset), centred * rows.per_row, centred * rows.per_row_unbiased};
}

/// What the ranks exchange: first and second moments about the running mean, which is the same on all of them.
struct SliceMoments {
  float* first = nullptr;   // [C]
  float* second = nullptr;  // [C], right behind `first`; both null: statistics are those of this rank's rows
  double rows = 0;          // of all slices together

  __device__ void set(const Statistics& own, float running_mean, int channel) const {
    const double offset = own.mean - running_mean;
    first[channel] = static_cast<float>(offset);
    second[channel] = static_cast<float>(own.variance + offset * offset);
  }
  __device__ Statistics statistics(float running_mean, int channel) const {
    const double offset = first[channel];
    double variance = second[channel] - offset * offset;
    if (variance < 0) variance = 0;
    return {running_mean + offset, variance, variance * rows / (rows > 1 ? rows - 1 : 1)};
  }
};

/// The extremes of each channel of x, kept if its statistics have to wait for other ranks.
struct Extremes {
  float* low = nullptr;   // [C]
  float* high = nullptr;  // [C]
};

/// The extremes of the vectors of x that a thread sees.
template <typename T, int Width>
struct Range {
  float negated_low[Width];
  float high[Width];

  __device__ Range() {
    for (int i = 0; i < Width; ++i) negated_low[i] = high[i] = -INFINITY;
  }
  __device__ void add(const Raw<T, Width>& raw) {
    float value[Width];
    unpack(raw, value);
    for (int i = 0; i < Width; ++i) {
      negated_low[i] = Largest()(negated_low[i], -value[i]);
      high[i] = Largest()(high[i], value[i]);
    }
  }
  __device__ void get(float (&to_negated_low)[Width], float (&to_high)[Width]) const {
    for (int i = 0; i < Width; ++i) {
      to_negated_low[i] = negated_low[i];
      to_high[i] = high[i];
    }
  }
};
/// Compares two bf16 at a time, without unpacking them; here too a NaN wins.
template <>
struct Range<__nv_bfloat16, 8> {
  __nv_bfloat162 low[4];
  __nv_bfloat162 high[4];

  __device__ Range() {
    for (int i = 0; i < 4; ++i) {
      low[i] = pair_of(0x7F807F80U);  // infinity
      high[i] = pair_of(0xFF80FF80U);
    }
  }
  __device__ void add(const uint4& raw) {
    const unsigned words[4] = {raw.x, raw.y, raw.z, raw.w};
    for (int i = 0; i < 4; ++i) {
      low[i] = __hmin2_nan(low[i], pair_of(words[i]));
      high[i] = __hmax2_nan(high[i], pair_of(words[i]));
    }
  }
  __device__ void get(float (&to_negated_low)[8], float (&to_high)[8]) const {
    for (int i = 0; i < 4; ++i) {
      to_negated_low[2 * i] = -__low2float(low[i]);
      to_negated_low[2 * i + 1] = -__high2float(low[i]);
      to_high[2 * i] = __low2float(high[i]);
      to_high[2 * i + 1] = __high2float(high[i]);
    }
  }

 private:
  __device__ static __nv_bfloat162 pair_of(unsigned word) {
    return __nv_bfloat162(__ushort_as_bfloat16(static_cast<unsigned short>(word)),
                          __ushort_as_bfloat16(static_cast<unsigned short>(word >> 16)));
  }
};

}  // namespace bsq::cuda
