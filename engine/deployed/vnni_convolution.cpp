#include "engine/deployed/vnni_convolution.h"

#include <algorithm>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace bsq {
namespace {

constexpr int kLanes = 16;  // 32-bit sums in a register
constexpr int kQuad = 4;    // products that one instruction adds to a sum

std::size_t extent(int count) {
  return static_cast<std::size_t>(count);
}

#if defined(__x86_64__)

/// One block of output channels at neighbouring pixels of a row.
struct RowPart {
  const std::uint8_t* pixels;  // the corner of the first window
  std::size_t row_bytes;       // of the padded picture
  std::size_t step;            // from one window to the next
  const std::int8_t* k;
  std::size_t block_bytes;  // of k
  const std::int32_t* start;
  int kernel;
  int quads;
};

/// sums[pixel][block] of Pixels windows and Blocks blocks of channels, which stay in registers.
template <int Pixels, int Blocks>
__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) void add_up(const RowPart& part, __m512i* found) {
  __m512i sums[Pixels][Blocks];
  for (int p = 0; p < Pixels; ++p)
    for (int b = 0; b < Blocks; ++b) sums[p][b] = _mm512_loadu_si512(part.start + b * kLanes);
  const std::int8_t* k = part.k;
  for (int ky = 0; ky < part.kernel; ++ky) {
    const std::uint8_t* row = part.pixels + extent(ky) * part.row_bytes;
    const int quads = part.kernel * part.quads;  // the pixels of a window's row lie beside each other
    for (int quad = 0; quad < quads; ++quad, k += kLanes * kQuad) {
      __m512i filter[Blocks];
      for (int b = 0; b < Blocks; ++b) filter[b] = _mm512_loadu_si512(k + extent(b) * part.block_bytes);
      for (int p = 0; p < Pixels; ++p) {
        int four = 0;
        std::memcpy(&four, row + extent(p) * part.step + extent(quad) * kQuad, kQuad);
        const __m512i levels = _mm512_set1_epi32(four);
        for (int b = 0; b < Blocks; ++b) sums[p][b] = _mm512_dpbusd_epi32(sums[p][b], levels, filter[b]);
      }
    }
  }
  for (int p = 0; p < Pixels; ++p)
    for (int b = 0; b < Blocks; ++b) _mm512_storeu_si512(found + p * Blocks + b, sums[p][b]);
}

/// All pixels of a row for Blocks blocks from `block` on.
template <int Blocks>
__attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni"))) void add_up_blocks(RowPart part, int width, int block,
                                                                                   int outputs, std::int32_t* sums) {
  constexpr int kPixels = 8;
  __m512i found[kPixels * Blocks];
  const int channels = std::min(outputs - block * kLanes, Blocks * kLanes);
  for (int column = 0; column < width;) {
    const int pixels = column + kPixels <= width ? kPixels : 1;
    if (pixels == kPixels)
      add_up<kPixels, Blocks>(part, found);
    else
      add_up<1, Blocks>(part, found);
    for (int p = 0; p < pixels; ++p)
      std::memcpy(sums + extent(column + p) * extent(outputs) + extent(block * kLanes), found + p * Blocks,
                  extent(channels) * sizeof(std::int32_t));
    column += pixels;
    part.pixels += extent(pixels) * part.step;
  }
}

bool has_instructions() {
  return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
         __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512vnni") != 0;
}

#else

bool has_instructions() {
  return false;
}

#endif

}  // namespace

VnniConvolution::VnniConvolution(const LevelConvolution& convolution, const DeployedTensor& x, const DeployedTensor& y)
    : kernel_(convolution.kernel),
      stride_(convolution.stride),
      padding_(convolution.padding),
      x_(&x),
      out_width_(y.width),
      outputs_(y.channels),
      quads_((x.channels + kQuad - 1) / kQuad),
      blocks_((y.channels + kLanes - 1) / kLanes) {
  const int taps = kernel_ * kernel_;
  k_.resize(extent(blocks_ * taps * quads_) * kLanes * kQuad);
  start_.resize(extent(blocks_) * kLanes);
  for (int o = 0; o < outputs_; ++o) {
    const int block = o / kLanes, lane = o % kLanes;
    for (int tap = 0; tap < taps; ++tap) {
      for (int i = 0; i < x.channels; ++i) {
        const std::int8_t k = convolution.k[extent(o * taps + tap) * extent(x.channels) + extent(i)];
        const std::size_t quad = extent(block * taps + tap) * extent(quads_) + extent(i / kQuad);
        k_[(quad * kLanes + extent(lane)) * kQuad + extent(i % kQuad)] = k;
        start_[extent(o)] -= x.grid.zero * k;
      }
    }
  }
}

std::optional<VnniConvolution> VnniConvolution::make(const LevelConvolution& convolution, const DeployedTensor& x,
                                                     const DeployedTensor& y) {
  if (convolution.groups > 1 || !has_instructions()) return std::nullopt;
  return VnniConvolution(convolution, x, y);
}

std::vector<std::uint8_t> VnniConvolution::padded(std::span<const std::uint8_t> x) const {
  const std::size_t pixel = extent(quads_) * kQuad, row = extent(x_->width + 2 * padding_) * pixel;
  // What is beyond the image is the number 0; what fills a pixel up is multiplied by 0.
  std::vector<std::uint8_t> picture(extent(x_->height + 2 * padding_) * row, static_cast<std::uint8_t>(x_->grid.zero));
  const std::size_t channels = extent(x_->channels);
  for (int from_row = 0; from_row < x_->height; ++from_row) {
    const std::uint8_t* from = x.data() + extent(from_row) * extent(x_->width) * channels;
    std::uint8_t* to = picture.data() + extent(from_row + padding_) * row + extent(padding_) * pixel;
    if (pixel == channels) {
      std::memcpy(to, from, extent(x_->width) * channels);
      continue;
    }
    for (int column = 0; column < x_->width; ++column, from += channels, to += pixel) std::memcpy(to, from, channels);
  }
  return picture;
}

void VnniConvolution::add_up_row([[maybe_unused]] std::span<const std::uint8_t> padded, [[maybe_unused]] int row,
                                 [[maybe_unused]] std::span<std::int32_t> sums) const {
#if defined(__x86_64__)
  const std::size_t pixel = extent(quads_) * kQuad, row_bytes = extent(x_->width + 2 * padding_) * pixel;
  const std::size_t block_bytes = extent(kernel_ * kernel_ * quads_) * kLanes * kQuad;
  for (int block = 0; block < blocks_;) {
    const RowPart part{.pixels = padded.data() + extent(row * stride_) * row_bytes,
                       .row_bytes = row_bytes,
                       .step = extent(stride_) * pixel,
                       .k = k_.data() + extent(block) * block_bytes,
                       .block_bytes = block_bytes,
                       .start = start_.data() + extent(block) * kLanes,
                       .kernel = kernel_,
                       .quads = quads_};
    if (block + 2 <= blocks_) {
      add_up_blocks<2>(part, out_width_, block, outputs_, sums.data());
      block += 2;
    } else {
      add_up_blocks<1>(part, out_width_, block, outputs_, sums.data());
      block += 1;
    }
  }
#endif
}

}  // namespace bsq
