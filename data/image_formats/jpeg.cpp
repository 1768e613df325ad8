// JPEG by libjpeg's default decoder (islow IDCT, fancy upsampling), which is also that of PIL.
//
// libjpeg reports errors through callbacks that must not return and, being C, must not be thrown through. They jump
// back into the function that called libjpeg; nothing with a destructor lives between that call and the jump.
#include "data/image_formats/image_format.h"

#include <algorithm>
#include <csetjmp>
#include <cstdio>

#include <jerror.h>
#include <jpeglib.h>

namespace bsq {
namespace {

struct JpegDecoder {
  jpeg_decompress_struct state{};
  jpeg_error_mgr errors{};
  std::jmp_buf on_error{};
  char message[JMSG_LENGTH_MAX] = "";
  bool is_damaged = false;  // `message` is a warning

  JpegDecoder() {
    state.err = jpeg_std_error(&errors);
    state.client_data = this;
    errors.error_exit = [](j_common_ptr common) { jump(common); };
    errors.emit_message = [](j_common_ptr common, int level) {
      if (level >= 0) return;  // talk
      // The end of the file in the middle of the picture: what follows would be invented.
      if (common->err->msg_code == JWRN_JPEG_EOF) jump(common);
      auto* decoder = static_cast<JpegDecoder*>(common->client_data);
      if (!decoder->is_damaged) common->err->format_message(common, decoder->message);
      decoder->is_damaged = true;
    };
  }
  JpegDecoder(const JpegDecoder&) = delete;
  JpegDecoder& operator=(const JpegDecoder&) = delete;
  ~JpegDecoder() { jpeg_destroy_decompress(&state); }

  [[noreturn]] static void jump(j_common_ptr common) {
    auto* decoder = static_cast<JpegDecoder*>(common->client_data);
    common->err->format_message(common, decoder->message);
    std::longjmp(decoder->on_error, 1);
  }
};

bool read_header(JpegDecoder& decoder, ImageBytes bytes) {
  if (setjmp(decoder.on_error) != 0) return false;
  jpeg_create_decompress(&decoder.state);
  jpeg_mem_src(&decoder.state, bytes.data(), static_cast<unsigned long>(bytes.size()));
  jpeg_read_header(&decoder.state, TRUE);
  return true;
}

using TakeRow = void (*)(const std::uint8_t*, int, std::uint8_t*);

#ifdef LIBJPEG_TURBO_VERSION_NUMBER
// Neither colours nor frequencies of other columns and rows are computed.
void skip_columns(jpeg_decompress_struct& state, JDIMENSION& first, JDIMENSION& count) {
  if (count < state.output_width) jpeg_crop_scanline(&state, &first, &count);
}
void skip_rows(jpeg_decompress_struct& state, JDIMENSION count) {
  if (count > 0) jpeg_skip_scanlines(&state, count);
}
#else
void skip_columns(jpeg_decompress_struct&, JDIMENSION& first, JDIMENSION&) {
  first = 0;
}
void skip_rows(jpeg_decompress_struct&, JDIMENSION) {}
#endif

/// Whether frequencies are missing in the file, so that libjpeg guesses them from blocks around: those at the border of
/// a part would have others.
bool guesses_frequencies(const jpeg_decompress_struct& state) {
  constexpr int kGuessed = 9;
  if (!state.progressive_mode || state.coef_bits == nullptr) return false;
  for (int component = 0; component < state.num_components; ++component)
    for (int i = 1; i <= kGuessed; ++i)
      if (state.coef_bits[component][i] != 0) return true;
  return false;
}

/// Reads a part, but all of the file, so that it fails as it does as a whole. `row` has room for a row of as many
/// components as the file has.
bool read_rows(JpegDecoder& decoder, const ImagePart& part, std::uint8_t* row, TakeRow take_row, std::uint8_t* pixels) {
  // Pixels at the border of what is decoded lack neighbours, from which colours are interpolated.
  constexpr JDIMENSION kBorder = 8;
  if (setjmp(decoder.on_error) != 0) return false;
  jpeg_decompress_struct& state = decoder.state;
  state.scale_num = 1;
  state.scale_denom = static_cast<unsigned>(part.reduction);
  jpeg_start_decompress(&state);
  const auto top = static_cast<JDIMENSION>(part.window.top), left = static_cast<JDIMENSION>(part.window.left);
  const JDIMENSION bottom = top + static_cast<JDIMENSION>(part.window.size.height);
  const JDIMENSION right = left + static_cast<JDIMENSION>(part.window.size.width);
  JDIMENSION first = left - std::min(left, kBorder);
  JDIMENSION columns = std::min(right + kBorder, state.output_width) - first;
  const bool skips = !guesses_frequencies(state);
  if (skips) {
    skip_columns(state, first, columns);
    skip_rows(state, top - std::min(top, kBorder));
  } else {
    first = 0;
  }
  const std::size_t bytes_left =
      static_cast<std::size_t>(left - first) * static_cast<unsigned>(state.output_components);
  while (state.output_scanline < state.output_height) {
    const JDIMENSION y = state.output_scanline;
    JSAMPROW scanline = row;
    jpeg_read_scanlines(&state, &scanline, 1);
    if (y >= top && y < bottom)
      take_row(row + bytes_left, part.window.size.width,
               pixels + static_cast<std::size_t>(y - top) * static_cast<std::size_t>(right - left) * 3);
    // Skipping to the very end would leave the rest of the file unread.
    if (skips && y + 1 >= bottom && y + 2 < state.output_height) skip_rows(state, state.output_height - y - 2);
  }
  jpeg_finish_decompress(&state);
  return true;
}

void take_rgb(const std::uint8_t* row, int width, std::uint8_t* pixels) {
  std::copy_n(row, static_cast<std::size_t>(width) * 3, pixels);
}

/// Inks are stored inverted, as Adobe does; the rest is PIL's conversion, with its rounding.
void take_cmyk(const std::uint8_t* row, int width, std::uint8_t* pixels) {
  for (int x = 0; x < width; ++x, row += 4, pixels += 3) {
    const int light = row[3];
    for (int channel = 0; channel < 3; ++channel) {
      const int product = (255 - row[channel]) * light + 128;
      pixels[channel] = static_cast<std::uint8_t>(std::max(0, light - (((product >> 8) + product) >> 8)));
    }
  }
}

ImageSize size_of(const JpegDecoder& decoder) {
  return {static_cast<int>(decoder.state.image_height), static_cast<int>(decoder.state.image_width)};
}

bool is_jpeg(ImageBytes bytes) {
  return begins_with(bytes, "\xFF\xD8\xFF");
}

ImageSize read_jpeg_size(ImageBytes bytes) {
  JpegDecoder decoder;
  if (!read_header(decoder, bytes)) throw ImageFault(decoder.message);
  return size_of(decoder);
}

std::string read_jpeg_part(ImageBytes bytes, const ImagePart& part, std::uint8_t* pixels) {
  JpegDecoder decoder;
  if (!read_header(decoder, bytes)) throw ImageFault(decoder.message);
  const bool is_cmyk = decoder.state.num_components == 4;
  decoder.state.out_color_space = is_cmyk ? JCS_CMYK : JCS_RGB;
  std::vector<std::uint8_t> row(static_cast<std::size_t>(decoder.state.image_width) * (is_cmyk ? 4 : 3));
  if (!read_rows(decoder, part, row.data(), is_cmyk ? take_cmyk : take_rgb, pixels)) throw ImageFault(decoder.message);
  return decoder.is_damaged ? decoder.message : "";
}

std::string read_jpeg(ImageBytes bytes, ImageSize size, std::uint8_t* pixels) {
  return read_jpeg_part(bytes, {{0, 0, size}, 1}, pixels);
}

}  // namespace

ImageFormat jpeg_format() {
  return {"JPEG", {".jpg", ".jpeg"}, "libjpeg-dev", is_jpeg, read_jpeg_size, read_jpeg, read_jpeg_part};
}

}  // namespace bsq
