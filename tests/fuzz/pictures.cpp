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

/// What decoding a part ends with.
struct DecodedPart {
  DecodedImage image = {};
  std::string error = {};
};

DecodedPart decoded_part(const std::filesystem::path& file, const ChoosePart& choose) {
  DecodedPart part;
  try {
    part.image = decode_image(file, choose);
  } catch (const Error& error) {
    part.error = error.what();
  }
  return part;
}

/// A window that the bytes draw, of the picture as large as it is or smaller.
void read_window(const std::filesystem::path& file, std::string_view bytes) {
  std::uint64_t drawn = hash_of(bytes);
  const auto below = [&](int end) {
    drawn = mix_word(drawn, 1);
    return static_cast<int>((drawn >> 32) % static_cast<unsigned>(end));
  };
  const int shift = below(4);
  const auto reduction_of = [&](int most) { return std::min(1 << shift, most); };
  PixelWindow window;
  const auto choose_window = [&](ImageSize size, int most) {
    const int reduction = reduction_of(most);
    const auto part_of = [&](int side, int& first, int& count) {
      const int reduced = (side + reduction - 1) / reduction;
      count = 1 + below(reduced);
      first = below(reduced - count + 1);
    };
    part_of(size.height, window.top, window.size.height);
    part_of(size.width, window.left, window.size.width);
    return ImagePart{window, reduction};
  };
  const DecodedPart part = decoded_part(file, choose_window);
  const DecodedPart whole = decoded_part(file, [&](ImageSize size, int most) {
    const int reduction = reduction_of(most);
    const auto reduced = [&](int side) { return (side + reduction - 1) / reduction; };
    return ImagePart{{0, 0, {reduced(size.height), reduced(size.width)}}, reduction};
  });
  must_hold(part.error == whole.error, "a window has the errors of the whole");
  must_hold(part.image.remark == whole.image.remark, "a window has the remark of the whole");
  const std::size_t row = static_cast<std::size_t>(window.size.width) * 3;
  for (int y = 0; part.error.empty() && y < window.size.height; ++y) {
    const auto place = static_cast<std::size_t>(window.top + y) * static_cast<std::size_t>(whole.image.size.width) +
                       static_cast<std::size_t>(window.left);
    must_hold(std::equal(part.image.pixels.data() + static_cast<std::size_t>(y) * row,
                         part.image.pixels.data() + static_cast<std::size_t>(y + 1) * row,
                         whole.image.pixels.data() + place * 3),
              "a window has the pixels of the whole");
  }
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
    if (pixels <= kManyPixels) read_window(file, bytes);
    const std::vector<std::uint8_t> first = decoded(file, size, 0x55);
    if (pixels <= kFewPixels) must_hold(first == decoded(file, size, 0xAA), "every pixel is written");
  });
}

}  // namespace bsq::fuzz
