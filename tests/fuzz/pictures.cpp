#include "tests/fuzz/pictures.h"

#include "data/image_file.h"
#include "kernels/base/hash.h"

#include <algorithm>

namespace bsq::fuzz {
namespace {

std::vector<std::uint8_t> decoded(const std::filesystem::path& file, ImageSize size, std::uint8_t fill) {
  const auto count = static_cast<std::size_t>(size.height) * static_cast<std::size_t>(size.width) * 3;
  std::vector<std::uint8_t> pixels(count, fill);
  read_image(file, size, pixels.data());
  return pixels;
}

}  // namespace

void read_picture(std::string_view bytes) {
  // Larger ones take as long as a thousand small ones and show nothing that these do not; a few of them show that what
  // they take has a limit.
  constexpr int kManyPixels = 1 << 16;
  constexpr int kFewPixels = 1 << 12;
  const std::filesystem::path file = put("picture", bytes);
  ends_well({ErrorKind::data}, [&] {
    const ImageSize size = read_image_size(file);
    must_hold(size.height > 0 && size.width > 0, "a picture has pixels");
    must_hold(size.height <= kLargestImage.height && size.width <= kLargestImage.width, "huge pictures are refused");
    const int pixels = size.height * size.width;
    if (pixels > kManyPixels && hash_of(bytes) % 64 != 0) return;
    const std::vector<std::uint8_t> first = decoded(file, size, 0x55);
    if (pixels <= kFewPixels) must_hold(first == decoded(file, size, 0xAA), "every pixel is written");
  });
}

}  // namespace bsq::fuzz
