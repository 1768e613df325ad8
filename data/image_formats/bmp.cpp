// BMP by stb_image: palettes, 24 and 32 bits, without compression.
#include "data/image_formats/image_format.h"

#ifdef BSQ_STB
#include <cstring>
#include <memory>

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_BMP
#define STBI_NO_STDIO
#include <stb/stb_image.h>
#endif

namespace bsq {
namespace {

bool is_bmp(ImageBytes bytes) {
  return begins_with(bytes, "BM");
}

#ifdef BSQ_STB
constexpr std::size_t kBitsAt = 28;         // 16-bit, of a header of 40 bytes and more
constexpr std::size_t kHeaderBytesAt = 14;  // 32-bit

void check_bmp(ImageBytes bytes) {
  if (bytes.size() < 54 || bytes[kHeaderBytesAt] < 40) return;  // the reader judges
  // Its 5-bit colours are rounded otherwise than PIL's.
  if (bytes[kBitsAt] == 16) throw ImageFault("16 bits a pixel; 1, 4, 8, 24 and 32 are read");
}

ImageSize read_bmp_size(ImageBytes bytes) {
  check_bmp(bytes);
  ImageSize size;
  int channels = 0;
  if (stbi_info_from_memory(bytes.data(), static_cast<int>(bytes.size()), &size.width, &size.height, &channels) == 0)
    throw ImageFault(stbi_failure_reason());
  return size;
}

struct FreePixels {
  void operator()(stbi_uc* pixels) const { stbi_image_free(pixels); }
};

std::string read_bmp(ImageBytes bytes, ImageSize size, std::uint8_t* pixels) {
  ImageSize found;
  int channels = 0;
  const std::unique_ptr<stbi_uc, FreePixels> decoded(
      stbi_load_from_memory(bytes.data(), static_cast<int>(bytes.size()), &found.width, &found.height, &channels, 3));
  if (!decoded) throw ImageFault(stbi_failure_reason());
  if (!(found == size)) throw ImageFault("the header and the picture differ in size");
  std::memcpy(pixels, decoded.get(), static_cast<std::size_t>(size.height) * static_cast<std::size_t>(size.width) * 3);
  return "";
}
#else
constexpr auto read_bmp_size = nullptr;
constexpr auto read_bmp = nullptr;
#endif

}  // namespace

ImageFormat bmp_format() {
  return {"BMP", {".bmp"}, "libstb-dev", is_bmp, read_bmp_size, read_bmp};
}

}  // namespace bsq
