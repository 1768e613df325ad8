// Twins of kernels/cuda/device/ptx.cuh: matrices of a warp, and copies that come as late as they may.
#pragma once

#include "tests/cuda_on_host/emulator/scheduler.h"

#include <bit>
#include <cstdint>
#include <type_traits>
#include <vector_functions.h>
#include <vector_types.h>

namespace bsq::cuda_on_host {

inline float bf16_in(unsigned pair, int half) {
  return std::bit_cast<float>(half == 0 ? pair << 16 : pair & 0xFFFF0000U);
}

// ---- ldmatrix -------------------------------------------------------------------------------------------------------

struct MatrixRow {
  unsigned own[4] = {};  // the row that this lane names
  unsigned* result = nullptr;
  bool transposes = false;
};

template <int Matrices>
void spread_matrices(void* const* slots, unsigned /*mask*/) {
  const auto row = [&](int lane) -> const MatrixRow& { return *static_cast<const MatrixRow*>(slots[lane]); };
  const auto element = [&](int matrix, int r, int c) {
    return row(matrix * 8 + r).own[c / 2] >> (c % 2 * 16) & 0xFFFFU;
  };
  for (int lane = 0; lane < 32; ++lane) {
    const MatrixRow& slot = row(lane);
    const int across = lane / 4;
    const int along = lane % 4 * 2;
    for (int m = 0; m < Matrices; ++m) {
      const unsigned first = slot.transposes ? element(m, along, across) : element(m, across, along);
      const unsigned second = slot.transposes ? element(m, along + 1, across) : element(m, across, along + 1);
      slot.result[m] = first | second << 16;
    }
  }
}

template <int Matrices>
inline constexpr WarpOperation kLoadMatrices{"ldmatrix", spread_matrices<Matrices>};

template <int Matrices>
void load_matrices(unsigned (&to)[Matrices], const void* row, bool transposes, Site site = Site::here()) {
  if (reinterpret_cast<std::uintptr_t>(row) % 16 != 0)
    report_mistake("ldmatrix: lane %d names a row that is not aligned to 16 bytes", lane());
  MatrixRow slot{{}, to, transposes};
  if (lane() < 8 * Matrices) {  // the lane's own read, whole, to be checked and counted
    const uint4 whole = *static_cast<const uint4*>(row);
    const unsigned words[4] = {whole.x, whole.y, whole.z, whole.w};
    for (int i = 0; i < 4; ++i) slot.own[i] = words[i];
  }
  warp_rendezvous(~0U, &slot, kLoadMatrices<Matrices>, site);
}

// ---- mma ------------------------------------------------------------------------------------------------------------

struct Product {
  float* sum = nullptr;
  const unsigned* a = nullptr;
  unsigned b[2] = {};
};

inline void compute_product(void* const* slots, unsigned /*mask*/) {
  float a[16][16];
  float b[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    const Product& slot = *static_cast<const Product*>(slots[lane]);
    const int g = lane / 4;
    const int t = lane % 4 * 2;
    for (int half = 0; half < 2; ++half) {
      for (int i = 0; i < 4; ++i) a[g + i % 2 * 8][t + half + i / 2 * 8] = bf16_in(slot.a[i], half);
      for (int i = 0; i < 2; ++i) b[t + half + i * 8][g] = bf16_in(slot.b[i], half);
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    const Product& slot = *static_cast<const Product*>(slots[lane]);
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 4 + i / 2 * 8;
      const int column = lane % 4 * 2 + i % 2;
      float sum = slot.sum[i];
      for (int k = 0; k < 16; ++k) sum += a[row][k] * b[k][column];
      slot.sum[i] = sum;
    }
  }
}

inline constexpr WarpOperation kMultiplyAdd{"mma.m16n8k16", compute_product};

inline void multiply_add(float (&sum)[4], const unsigned (&a)[4], unsigned b_low, unsigned b_high,
                         Site site = Site::here()) {
  Product slot{sum, a, {b_low, b_high}};
  warp_rendezvous(~0U, &slot, kMultiplyAdd, site);
}

/// Bytes of levels and of weights.
inline int level_in(unsigned word, int place) {
  return static_cast<int>(word >> (8 * place) & 0xFFU);
}
inline int weight_in(unsigned word, int place) {
  return static_cast<std::int8_t>(word >> (8 * place) & 0xFFU);
}

struct LevelProduct {
  int* sum = nullptr;
  const unsigned* a = nullptr;
  unsigned b[2] = {};
};

inline void compute_level_product(void* const* slots, unsigned /*mask*/) {
  int a[16][32];
  int b[32][8];
  for (int lane = 0; lane < 32; ++lane) {
    const LevelProduct& slot = *static_cast<const LevelProduct*>(slots[lane]);
    const int g = lane / 4;
    const int t = lane % 4 * 4;
    for (int place = 0; place < 4; ++place) {
      for (int i = 0; i < 4; ++i) a[g + i % 2 * 8][t + place + i / 2 * 16] = level_in(slot.a[i], place);
      for (int i = 0; i < 2; ++i) b[t + place + i * 16][g] = weight_in(slot.b[i], place);
    }
  }
  for (int lane = 0; lane < 32; ++lane) {
    const LevelProduct& slot = *static_cast<const LevelProduct*>(slots[lane]);
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 4 + i / 2 * 8;
      const int column = lane % 4 * 2 + i % 2;
      for (int k = 0; k < 32; ++k) slot.sum[i] += a[row][k] * b[k][column];
    }
  }
}

inline constexpr WarpOperation kMultiplyAddLevels{"mma.m16n8k32", compute_level_product};

inline void multiply_add(int (&sum)[4], const unsigned (&a)[4], unsigned b_low, unsigned b_high,
                         Site site = Site::here()) {
  LevelProduct slot{sum, a, {b_low, b_high}};
  warp_rendezvous(~0U, &slot, kMultiplyAddLevels, site);
}

/// dp4a
inline int add_products(int sum, unsigned levels, unsigned weights) {
  for (int place = 0; place < 4; ++place) sum += level_in(levels, place) * weight_in(weights, place);
  return sum;
}

// ---- cp.async -------------------------------------------------------------------------------------------------------

/// A copy that a thread has begun: made when the thread waits for it, no sooner.
struct LateCopy {
  void* to = nullptr;
  const void* from = nullptr;  // null: zeros
};
void begin_late_copy(LateCopy copy);
void end_late_copies();
/// The next copy that has to be made so that at most `pending` groups of the running thread are left.
bool take_late_copy(int pending, LateCopy& copy);
/// Of a thread of the block that exits: whether it has waited for all.
void check_late_copies(int thread);

/// Until it is waited for, the place holds NaNs.
inline void begin_copy(void* to, const void* from, bool is_there) {
  if (reinterpret_cast<std::uintptr_t>(to) % 16 != 0 || reinterpret_cast<std::uintptr_t>(from) % 16 != 0)
    report_mistake("cp.async: an address is not aligned to 16 bytes");
  *static_cast<uint4*>(to) = make_uint4(~0U, ~0U, ~0U, ~0U);
  begin_late_copy({to, is_there ? from : nullptr});
}
inline void end_copy_group() {
  end_late_copies();
}
inline void wait_for_copies(int pending) {
  for (LateCopy copy; take_late_copy(pending, copy);)
    *static_cast<uint4*>(copy.to) =
        copy.from == nullptr ? make_uint4(0, 0, 0, 0) : *static_cast<const uint4*>(copy.from);
}

}  // namespace bsq::cuda_on_host
