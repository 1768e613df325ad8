#include "data/image_formats/png_writer.h"

#include <png.h>

#include <stdexcept>
#include <string>

namespace bsq {

std::vector<std::uint8_t> png_of(std::span<const std::uint8_t> pixels, int height, int width) {
  png_image image{};
  image.version = PNG_IMAGE_VERSION;
  image.height = static_cast<png_uint_32>(height);
  image.width = static_cast<png_uint_32>(width);
  image.format = PNG_FORMAT_RGB;
  if (pixels.size() != PNG_IMAGE_SIZE(image)) throw std::runtime_error("a PNG of other pixels than it has");
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::vector<std::uint8_t> file(size);
  if (png_image_write_to_memory(&image, file.data(), &size, 0, pixels.data(), 0, nullptr) == 0)
    throw std::runtime_error(std::string("libpng: ") + image.message);
  file.resize(size);
  return file;
}

}  // namespace bsq
