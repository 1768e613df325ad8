#include "tests/support/pictures.h"

#include "tests/support/catch.h"

#include <png.h>

#include <random>
#include <vector>

namespace bsq::test {

namespace fs = std::filesystem;

namespace {

std::vector<png_byte> noise(unsigned seed, int width, int height) {
  std::mt19937 random(seed);
  std::vector<png_byte> pixels(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
  for (png_byte& pixel : pixels) pixel = static_cast<png_byte>(random());
  return pixels;
}

void write_png(const fs::path& file, png_uint_32 format, const std::vector<png_byte>& pixels, int width, int height) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = format;
  fs::create_directories(file.parent_path());
  REQUIRE(png_image_write_to_file(&image, file.c_str(), 0, pixels.data(), 0, nullptr) != 0);
}

}  // namespace

void put_png(const fs::path& file, unsigned seed, int width, int height) {
  if (height == 0) height = width;
  write_png(file, PNG_FORMAT_RGB, noise(seed, width, height), width, height);
}

void put_gray_png(const fs::path& file, unsigned seed, int width, int height) {
  if (height == 0) height = width;
  const std::vector<png_byte> rgb = noise(seed, width, height);
  std::vector<png_byte> gray;
  for (std::size_t i = 0; i < rgb.size(); i += 3)
    gray.push_back(static_cast<png_byte>((19595 * rgb[i] + 38470 * rgb[i + 1] + 7471 * rgb[i + 2] + 32768) >> 16));
  write_png(file, PNG_FORMAT_GRAY, gray, width, height);
}

void put_pictures(const fs::path& root, int train_per_class, int test_per_class) {
  unsigned seed = 1;
  for (const auto& [part, count] : {std::pair{"train", train_per_class}, std::pair{"test", test_per_class}})
    for (const char* name : {"cat", "dog"})
      for (int i = 0; i < count; ++i) put_png(root / part / name / (std::to_string(i) + ".png"), seed++);
}

}  // namespace bsq::test
