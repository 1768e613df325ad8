#include "tests/support/pictures.h"

#include "tests/support/catch.h"

#include <png.h>

#include <random>
#include <vector>

namespace bsq::test {

namespace fs = std::filesystem;

void put_png(const fs::path& file, unsigned seed, int width, int height) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  if (height == 0) height = width;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = PNG_FORMAT_RGB;
  std::mt19937 random(seed);
  std::vector<png_byte> pixels(static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
  for (png_byte& pixel : pixels) pixel = static_cast<png_byte>(random());
  fs::create_directories(file.parent_path());
  REQUIRE(png_image_write_to_file(&image, file.c_str(), 0, pixels.data(), 0, nullptr) != 0);
}

void put_pictures(const fs::path& root, int train_per_class, int test_per_class) {
  unsigned seed = 1;
  for (const auto& [part, count] : {std::pair{"train", train_per_class}, std::pair{"test", test_per_class}})
    for (const char* name : {"cat", "dog"})
      for (int i = 0; i < count; ++i) put_png(root / part / name / (std::to_string(i) + ".png"), seed++);
}

}  // namespace bsq::test
