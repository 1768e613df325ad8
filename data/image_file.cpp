// The two decoders, libjpeg and libpng, behind one interface. Both work on the bytes of the file in memory.
#include "data/image_file.h"

#include "data/files.h"
#include "engine/base/text.h"
#include "kernels/base/error.h"

#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include <jerror.h>
#include <jpeglib.h>
#include <png.h>

namespace bsq {
namespace {

namespace fs = std::filesystem;
using Bytes = std::span<const std::uint8_t>;

// No honest file of the largest image is longer: 4096 x 4096 pixels of 4 channels of 16 bits, stored uncompressed.
constexpr std::uintmax_t kLargestFileBytes = std::uintmax_t{4096} * 4096 * 8;

[[noreturn]] void fail_corrupt(const fs::path& path, const char* format, const char* why) {
  fail(ErrorKind::data, "{}: not a readable {}: {}", path.string(), format, why);
}

void check_not_huge(const fs::path& path, ImageSize size) {
  if (size.height <= kLargestImage.height && size.width <= kLargestImage.width) return;
  fail(ErrorKind::data, "{}: {}x{} pixels; images up to {}x{} are read", path.string(), size.width, size.height,
       kLargestImage.width, kLargestImage.height);
}

void check_size(const fs::path& path, ImageSize size, ImageSize expected) {
  check_not_huge(path, size);
  if (size == expected) return;
  fail(ErrorKind::data, "{}: {}x{} pixels, the first image has {}x{}; all images must have one size", path.string(),
       size.width, size.height, expected.width, expected.height);
}

// ---- JPEG -------------------------------------------------------------------------------------------------------
// libjpeg reports errors through callbacks that must not return and, being C, must not be thrown through. They jump
// back into the function that called libjpeg; nothing with a destructor lives between that call and the jump.

struct JpegDecoder {
  jpeg_decompress_struct state{};
  jpeg_error_mgr errors{};
  std::jmp_buf on_error{};
  char message[JMSG_LENGTH_MAX] = "";

  JpegDecoder() {
    state.err = jpeg_std_error(&errors);
    state.client_data = this;
    errors.error_exit = [](j_common_ptr common) { jump(common); };
    errors.emit_message = [](j_common_ptr common, int level) {
      if (level < 0) jump(common);  // a warning: the decoder would go on and invent pixels
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

bool read_jpeg_header(JpegDecoder& decoder, Bytes bytes) {
  if (setjmp(decoder.on_error) != 0) return false;
  jpeg_create_decompress(&decoder.state);
  jpeg_mem_src(&decoder.state, bytes.data(), static_cast<unsigned long>(bytes.size()));
  jpeg_read_header(&decoder.state, TRUE);
  return true;
}

bool decode_jpeg_pixels(JpegDecoder& decoder, std::uint8_t* pixels) {
  if (setjmp(decoder.on_error) != 0) return false;
  jpeg_decompress_struct& state = decoder.state;
  state.out_color_space = JCS_RGB;
  jpeg_start_decompress(&state);
  const std::size_t row_bytes = static_cast<std::size_t>(state.output_width) * 3;
  while (state.output_scanline < state.output_height) {
    JSAMPROW row = pixels + state.output_scanline * row_bytes;
    jpeg_read_scanlines(&state, &row, 1);
  }
  jpeg_finish_decompress(&state);
  return true;
}

ImageSize jpeg_size(const JpegDecoder& decoder) {
  return {static_cast<int>(decoder.state.image_height), static_cast<int>(decoder.state.image_width)};
}

// ---- PNG --------------------------------------------------------------------------------------------------------

struct PngDecoder {
  png_image image{};

  PngDecoder(const fs::path& path, Bytes bytes) {
    image.version = PNG_IMAGE_VERSION;
    if (png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()) == 0) {
      const std::string why = image.message;
      png_image_free(&image);
      fail_corrupt(path, "PNG", why.c_str());
    }
    image.flags |= PNG_IMAGE_FLAG_16BIT_sRGB;  // 16-bit files are encoded as 8-bit ones are, whatever libpng assumes
    image.format = PNG_FORMAT_RGB;
  }
  PngDecoder(const PngDecoder&) = delete;
  PngDecoder& operator=(const PngDecoder&) = delete;
  ~PngDecoder() { png_image_free(&image); }

  // libpng's own limit (1,000,000 pixels per side) keeps the casts exact.
  ImageSize size() const { return {static_cast<int>(image.height), static_cast<int>(image.width)}; }
};

// ---- either ------------------------------------------------------------------------------------------------------

bool is_jpeg(Bytes bytes) {
  return bytes.size() >= 3 && std::memcmp(bytes.data(), "\xFF\xD8\xFF", 3) == 0;
}
bool is_png(Bytes bytes) {
  return bytes.size() >= 8 && std::memcmp(bytes.data(), "\x89PNG\r\n\x1A\n", 8) == 0;
}

std::vector<std::uint8_t> read_encoded(const fs::path& path) {
  const std::uintmax_t size_bytes = file_size_of(path);
  if (size_bytes > kLargestFileBytes) {
    fail(ErrorKind::data, "{}: {} bytes; image files up to {} bytes are read", path.string(),
         with_thousands(size_bytes), with_thousands(kLargestFileBytes));
  }
  std::vector<std::uint8_t> bytes = read_file(path);
  if (!is_jpeg(bytes) && !is_png(bytes)) {
    fail(ErrorKind::data, "{}: neither a JPEG nor a PNG file ({} bytes)", path.string(), with_thousands(bytes.size()));
  }
  return bytes;
}

}  // namespace

ImageSize read_image_size(const fs::path& path) {
  const std::vector<std::uint8_t> bytes = read_encoded(path);
  ImageSize size;
  if (is_jpeg(bytes)) {
    JpegDecoder decoder;
    if (!read_jpeg_header(decoder, bytes)) fail_corrupt(path, "JPEG", decoder.message);
    size = jpeg_size(decoder);
  } else {
    size = PngDecoder(path, bytes).size();
  }
  check_not_huge(path, size);
  return size;
}

void read_image(const fs::path& path, ImageSize expected, std::uint8_t* pixels) {
  const std::vector<std::uint8_t> bytes = read_encoded(path);
  if (is_jpeg(bytes)) {
    JpegDecoder decoder;
    if (!read_jpeg_header(decoder, bytes)) fail_corrupt(path, "JPEG", decoder.message);
    check_size(path, jpeg_size(decoder), expected);
    if (!decode_jpeg_pixels(decoder, pixels)) fail_corrupt(path, "JPEG", decoder.message);
  } else {
    PngDecoder decoder(path, bytes);
    check_size(path, decoder.size(), expected);
    const png_color black{0, 0, 0};
    if (png_image_finish_read(&decoder.image, &black, pixels, 0, nullptr) == 0) {
      fail_corrupt(path, "PNG", decoder.image.message);
    }
  }
}

}  // namespace bsq
