// Writers use libpng and libjpeg in the plainest way; an error of theirs ends the test program.
#include "tests/data/images_on_disk.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>

#include <png.h>

namespace bsq::test {
namespace {

void write_png_rows(const fs::path& path, int height, int width, int bit_depth, int color_type, std::size_t row_bytes,
                    const std::vector<std::uint8_t>& bytes) {
  fs::create_directories(path.parent_path());
  std::FILE* file = std::fopen(path.c_str(), "wb");
  REQUIRE(file != nullptr);
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png_create_info_struct(png);
  png_init_io(png, file);
  png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height), bit_depth, color_type,
               PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, info);
  for (int row = 0; row < height; ++row) png_write_row(png, &bytes[static_cast<std::size_t>(row) * row_bytes]);
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  std::fclose(file);
}

}  // namespace

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (fs::temp_directory_path() / "bsq_data_XXXXXX").string();
  REQUIRE(mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string error_of(ErrorKind kind, const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    CHECK(error.kind() == kind);
    return error.what();
  }
  FAIL("nothing was thrown");
  return {};
}

void write_bytes(const fs::path& path, const std::vector<std::uint8_t>& bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary).write(reinterpret_cast<const char*>(bytes.data()), std::ssize(bytes));
}

void write_text(const fs::path& path, const std::string& text) {
  write_bytes(path, {text.begin(), text.end()});
}

std::vector<std::uint8_t> read_bytes(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

Picture plain_picture(int height, int width, std::initializer_list<std::uint8_t> pixel) {
  Picture picture{height, width, static_cast<int>(pixel.size()), {}};
  for (int i = 0; i < height * width; ++i) picture.pixels.insert(picture.pixels.end(), pixel);
  return picture;
}

Picture noise_picture(int height, int width, int channels) {
  std::minstd_rand numbers(1);
  Picture picture{height, width, channels, {}};
  for (int i = 0; i < height * width * channels; ++i)
    picture.pixels.push_back(static_cast<std::uint8_t>(numbers() >> 16));
  return picture;
}

Picture gradient_picture(int height, int width) {
  Picture picture{height, width, 3, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      const std::array<int, 3> rgb = {40 + 3 * x, 60 + 2 * y, 200 - x - y};
      for (const int value : rgb) picture.pixels.push_back(static_cast<std::uint8_t>(value));
    }
  }
  return picture;
}

std::vector<std::uint8_t> cut_out(const std::vector<std::uint8_t>& pixels, ImageSize size, const PixelWindow& window) {
  std::vector<std::uint8_t> part;
  const auto at = [&](int row, int column) { return pixels.begin() + (std::ptrdiff_t{row} * size.width + column) * 3; };
  for (int y = window.top; y < window.top + window.size.height; ++y)
    part.insert(part.end(), at(y, window.left), at(y, window.left + window.size.width));
  return part;
}

void write_png(const fs::path& path, const Picture& picture) {
  const int color_type = picture.channels == 1   ? PNG_COLOR_TYPE_GRAY
                         : picture.channels == 3 ? PNG_COLOR_TYPE_RGB
                                                 : PNG_COLOR_TYPE_RGB_ALPHA;
  write_png_rows(path, picture.height, picture.width, 8, color_type,
                 static_cast<std::size_t>(picture.width) * static_cast<std::size_t>(picture.channels), picture.pixels);
}

void write_png_16bit(const fs::path& path, int height, int width, std::uint16_t value) {
  std::vector<std::uint8_t> bytes;
  for (int i = 0; i < height * width; ++i) {
    bytes.push_back(static_cast<std::uint8_t>(value >> 8));
    bytes.push_back(static_cast<std::uint8_t>(value & 255));
  }
  write_png_rows(path, height, width, 16, PNG_COLOR_TYPE_GRAY, static_cast<std::size_t>(width) * 2, bytes);
}

}  // namespace bsq::test
