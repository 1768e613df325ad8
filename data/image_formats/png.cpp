// PNG by libpng, row by row: its simplified reader applies gamma, which PIL does not.
//
// Errors jump back, as those of libjpeg; see jpeg.cpp.
#include "data/image_formats/image_format.h"

#include <csetjmp>
#include <cstring>

#include <png.h>

namespace bsq {
namespace {

struct PngDecoder {
  explicit PngDecoder(ImageBytes file) : bytes(file) {
    png = png_create_read_struct(
        PNG_LIBPNG_VER_STRING, this,
        [](png_structp of, png_const_charp why) {
          auto* decoder = static_cast<PngDecoder*>(png_get_error_ptr(of));
          std::strncpy(decoder->message, why, sizeof(decoder->message) - 1);
          std::longjmp(decoder->on_error, 1);
        },
        [](png_structp, png_const_charp) {});  // warnings are of chunks that are not used here
    if (png != nullptr) info = png_create_info_struct(png);
    if (info == nullptr) throw ImageFault("no memory for libpng");
    png_set_read_fn(png, this, [](png_structp of, png_bytep into, std::size_t count) {
      auto* decoder = static_cast<PngDecoder*>(png_get_io_ptr(of));
      if (count > decoder->bytes.size()) png_error(of, "the file ends early");
      std::memcpy(into, decoder->bytes.data(), count);
      decoder->bytes = decoder->bytes.subspan(count);
    });
  }
  PngDecoder(const PngDecoder&) = delete;
  PngDecoder& operator=(const PngDecoder&) = delete;
  ~PngDecoder() { png_destroy_read_struct(&png, &info, nullptr); }

  ImageBytes bytes;  // that are not read yet
  png_structp png = nullptr;
  png_infop info = nullptr;
  std::jmp_buf on_error{};
  char message[160] = "";
};

bool read_header(PngDecoder& decoder) {
  if (setjmp(decoder.on_error) != 0) return false;
  png_read_info(decoder.png, decoder.info);
  return true;
}

bool read_rows(PngDecoder& decoder, ImageSize size, std::uint8_t* pixels) {
  if (setjmp(decoder.on_error) != 0) return false;
  png_structp png = decoder.png;
  png_set_strip_16(png);  // the high byte
  if (png_get_color_type(png, decoder.info) == PNG_COLOR_TYPE_PALETTE)
    png_set_palette_to_rgb(png);
  else
    png_set_expand_gray_1_2_4_to_8(png);
  png_set_gray_to_rgb(png);
  png_set_strip_alpha(png);
  const int passes = png_set_interlace_handling(png);
  png_read_update_info(png, decoder.info);
  const std::size_t row_bytes = static_cast<std::size_t>(size.width) * 3;
  if (png_get_rowbytes(png, decoder.info) != row_bytes) png_error(png, "rows of an unexpected length");
  for (int pass = 0; pass < passes; ++pass)
    for (int y = 0; y < size.height; ++y) png_read_row(png, pixels + static_cast<std::size_t>(y) * row_bytes, nullptr);
  png_read_end(png, nullptr);
  return true;
}

bool is_png(ImageBytes bytes) {
  return begins_with(bytes, "\x89PNG\r\n\x1A\n");
}

ImageSize read_png_size(ImageBytes bytes) {
  PngDecoder decoder(bytes);
  if (!read_header(decoder)) throw ImageFault(decoder.message);
  // libpng's own limit (1,000,000 pixels per side) keeps the casts exact.
  return {static_cast<int>(png_get_image_height(decoder.png, decoder.info)),
          static_cast<int>(png_get_image_width(decoder.png, decoder.info))};
}

std::string read_png(ImageBytes bytes, ImageSize size, std::uint8_t* pixels) {
  PngDecoder decoder(bytes);
  if (!read_header(decoder)) throw ImageFault(decoder.message);
  const bool is_deep_gray = png_get_bit_depth(decoder.png, decoder.info) == 16 &&
                            png_get_color_type(decoder.png, decoder.info) == PNG_COLOR_TYPE_GRAY;
  if (!read_rows(decoder, size, pixels)) throw ImageFault(decoder.message);
  return is_deep_gray ? kDeepGray : "";
}

}  // namespace

ImageFormat png_format() {
  return {"PNG", {".png"}, "libpng-dev", is_png, read_png_size, read_png};
}

}  // namespace bsq
