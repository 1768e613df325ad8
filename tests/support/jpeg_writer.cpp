// By libjpeg in the plainest way; an error of its ends the test program.
#include "tests/support/jpeg_writer.h"

#include "tests/support/catch.h"

#include <array>
#include <cstdio>

#include <jpeglib.h>

namespace bsq::test {

void write_jpeg(const std::filesystem::path& path, const Picture& picture, const JpegKind& kind) {
  constexpr std::array<J_COLOR_SPACE, 5> kSpaces = {JCS_UNKNOWN, JCS_GRAYSCALE, JCS_UNKNOWN, JCS_RGB, JCS_CMYK};
  std::filesystem::create_directories(path.parent_path());
  std::FILE* file = std::fopen(path.c_str(), "wb");
  REQUIRE(file != nullptr);
  jpeg_error_mgr errors;
  jpeg_compress_struct state;
  state.err = jpeg_std_error(&errors);
  jpeg_create_compress(&state);
  jpeg_stdio_dest(&state, file);
  state.image_height = static_cast<JDIMENSION>(picture.height);
  state.image_width = static_cast<JDIMENSION>(picture.width);
  state.input_components = picture.channels;
  state.in_color_space = kSpaces.at(static_cast<std::size_t>(picture.channels));
  jpeg_set_defaults(&state);
  jpeg_set_quality(&state, kind.quality, TRUE);
  if (kind.is_progressive) jpeg_simple_progression(&state);
  const jpeg_scan_info means{picture.channels, {0, 1, 2, 3}, 0, 0, 0, 0};
  if (kind.has_means_alone) {
    state.scan_info = &means;
    state.num_scans = 1;
  }
  if (picture.channels > 1) {
    state.comp_info[0].h_samp_factor = kind.columns_per_color;
    state.comp_info[0].v_samp_factor = kind.rows_per_color;
  }
  jpeg_start_compress(&state, TRUE);
  const std::size_t row_bytes = static_cast<std::size_t>(picture.width) * static_cast<std::size_t>(picture.channels);
  while (state.next_scanline < state.image_height) {
    auto* row = const_cast<JSAMPLE*>(&picture.pixels[state.next_scanline * row_bytes]);
    jpeg_write_scanlines(&state, &row, 1);
  }
  jpeg_finish_compress(&state);
  jpeg_destroy_compress(&state);
  std::fclose(file);
}

}  // namespace bsq::test
