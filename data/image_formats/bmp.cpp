// BMP: palettes of 1, 4 and 8 bits, and 24 and 32 bits, without compression. The numbers of a header are checked
// against the size of the file before they are used.
//
// Layout: 14 bytes, of which the last 4 say where the pixels begin; a header, whose first 4 bytes say how long it is;
// the colours, blue first; the pixels, in rows of multiples of 4 bytes, the bottom row first unless the height is
// negative.
#include "data/image_formats/image_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

namespace bsq {
namespace {

constexpr std::size_t kPixelsAt = 10;
constexpr std::size_t kHeaderAt = 14;
constexpr std::size_t kOldHeaderBytes = 12;    // of OS/2: sizes of 16 bits, colours of 3 bytes
constexpr std::size_t kPlainHeaderBytes = 40;  // without masks
constexpr std::uint32_t kUncompressed = 0;
constexpr std::uint32_t kBitFields = 3;

struct BmpLayout {
  ImageSize size;
  bool top_row_first = false;
  unsigned bits = 0;  // of a pixel
  std::size_t colours_at = 0;
  std::size_t colour_bytes = 4;
  std::size_t colours = 0;  // of the palette
  std::size_t pixels_at = 0;
  std::array<std::size_t, 3> places = {2, 1, 0};  // of red, green and blue among the bytes of a pixel
};

bool is_bmp(ImageBytes bytes) {
  return begins_with(bytes, "BM");
}

std::uint32_t number_at(ImageBytes bytes, std::size_t place, std::size_t width) {
  if (place + width > bytes.size()) throw ImageFault("the file ends in its header");
  std::uint32_t number = 0;
  for (std::size_t i = 0; i < width; ++i) number |= std::uint32_t{bytes[place + i]} << (8 * i);
  return number;
}

/// The byte that a mask of 8 bits selects.
std::size_t place_of(std::uint32_t mask) {
  for (unsigned byte = 0; byte < 4; ++byte)
    if (mask == 0xFFU << (8 * byte)) return byte;
  throw ImageFault("colours that are no whole bytes; save it with 24 bits");
}

void read_masks(ImageBytes bytes, BmpLayout& layout) {
  std::array<std::uint32_t, 3> masks{};
  for (std::size_t i = 0; i < masks.size(); ++i) masks[i] = number_at(bytes, kHeaderAt + kPlainHeaderBytes + 4 * i, 4);
  if (masks == std::array<std::uint32_t, 3>{}) return;  // the usual ones
  for (std::size_t i = 0; i < masks.size(); ++i) layout.places[i] = place_of(masks[i]);
}

void read_sizes(ImageBytes bytes, std::size_t header_bytes, BmpLayout& layout) {
  const bool is_old = header_bytes == kOldHeaderBytes;
  const std::size_t width_bytes = is_old ? 2 : 4;
  const std::uint32_t width = number_at(bytes, kHeaderAt + 4, width_bytes);
  std::uint32_t height = number_at(bytes, kHeaderAt + 4 + width_bytes, width_bytes);
  layout.top_row_first = (height >> 31) != 0;
  if (layout.top_row_first) height = ~height + 1;
  constexpr std::uint32_t kMost = std::numeric_limits<int>::max();
  layout.size = {static_cast<int>(std::min(height, kMost)), static_cast<int>(std::min(width, kMost))};
  layout.bits = number_at(bytes, kHeaderAt + (is_old ? 10 : 14), 2);
  constexpr unsigned kKnown[] = {1, 4, 8, 24, 32};
  if (std::find(std::begin(kKnown), std::end(kKnown), layout.bits) == std::end(kKnown))
    throw ImageFault(fmt::format("{} bits a pixel; 1, 4, 8, 24 and 32 are read", layout.bits));
}

BmpLayout read_layout(ImageBytes bytes) {
  BmpLayout layout;
  layout.pixels_at = number_at(bytes, kPixelsAt, 4);
  const std::size_t header_bytes = number_at(bytes, kHeaderAt, 4);
  constexpr std::size_t kKnown[] = {kOldHeaderBytes, kPlainHeaderBytes, 56, 108, 124};
  if (std::find(std::begin(kKnown), std::end(kKnown), header_bytes) == std::end(kKnown))
    throw ImageFault(fmt::format("a header of {} bytes; 12, 40, 56, 108 and 124 are read", header_bytes));
  read_sizes(bytes, header_bytes, layout);
  layout.colours_at = kHeaderAt + header_bytes;
  std::size_t colours = std::size_t{1} << std::min(layout.bits, 8U);
  if (header_bytes == kOldHeaderBytes) {
    layout.colour_bytes = 3;
  } else {
    const std::uint32_t compression = number_at(bytes, kHeaderAt + 16, 4);
    if (compression == kBitFields && layout.bits == 32)
      read_masks(bytes, layout);
    else if (compression != kUncompressed)
      throw ImageFault("it is compressed; save it uncompressed");
    const std::size_t used = number_at(bytes, kHeaderAt + 32, 4);
    if (used > 0) colours = std::min(colours, used);
  }
  if (layout.bits <= 8) {
    const std::size_t room = std::min(layout.pixels_at, bytes.size());
    layout.colours = room < layout.colours_at ? 0 : std::min(colours, (room - layout.colours_at) / layout.colour_bytes);
  }
  return layout;
}

ImageSize read_bmp_size(ImageBytes bytes) {
  return read_layout(bytes).size;
}

/// The first of the three bytes of the colour that pixel x of a row has; blue comes first.
const std::uint8_t* colour_of(ImageBytes bytes, const BmpLayout& layout, const std::uint8_t* row, std::size_t x) {
  const std::size_t first_bit = x * layout.bits;
  const unsigned shift = 8 - layout.bits - static_cast<unsigned>(first_bit % 8);  // the leftmost pixel comes first
  const std::size_t number = (row[first_bit / 8] >> shift) & ((1U << layout.bits) - 1);
  if (number >= layout.colours)
    throw ImageFault(fmt::format("a pixel has colour {} of a palette of {}", number, layout.colours));
  return bytes.data() + layout.colours_at + number * layout.colour_bytes;
}

std::string read_bmp(ImageBytes bytes, ImageSize size, std::uint8_t* pixels) {
  const BmpLayout layout = read_layout(bytes);
  const auto height = static_cast<std::size_t>(size.height), width = static_cast<std::size_t>(size.width);
  const std::size_t row_bytes = (width * layout.bits + 7) / 8;
  const std::size_t stride = (row_bytes + 3) / 4 * 4;
  if (layout.pixels_at + stride * (height - 1) + row_bytes > bytes.size())
    throw ImageFault("the file ends within its pixels");
  for (std::size_t y = 0; y < height; ++y) {
    const std::size_t number = layout.top_row_first ? y : height - 1 - y;
    const std::uint8_t* row = bytes.data() + layout.pixels_at + number * stride;
    for (std::size_t x = 0; x < width; ++x) {
      const std::uint8_t* pixel = layout.bits <= 8 ? colour_of(bytes, layout, row, x) : row + x * (layout.bits / 8);
      for (const std::size_t place : layout.places) *pixels++ = pixel[place];
    }
  }
  return "";
}

}  // namespace

ImageFormat bmp_format() {
  return {"BMP", {".bmp"}, "", is_bmp, read_bmp_size, read_bmp};
}

}  // namespace bsq
