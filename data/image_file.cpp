// The table of formats, and what holds for all of them: names, limits and errors.
#include "data/image_file.h"

#include "data/files.h"
#include "engine/base/text.h"
#include "kernels/base/error.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

namespace bsq {
namespace {

namespace fs = std::filesystem;

// No honest file of the largest image is longer: its pixels in 4 channels of 16 bits, stored uncompressed.
constexpr std::uintmax_t kLargestFileBytes = std::uintmax_t{kLargestImage.height} * kLargestImage.width * 8;

/// One line per format.
const std::vector<ImageFormat>& image_formats() {
  static const std::vector<ImageFormat> table = {
      jpeg_format(), png_format(), webp_format(), tiff_format(), bmp_format(),
  };
  return table;
}

void check_not_huge(const fs::path& path, ImageSize size) {
  if (size.height <= kLargestImage.height && size.width <= kLargestImage.width) return;
  fail(ErrorKind::data, "{}: {}x{} pixels; images up to {}x{} are read", path.string(), size.width, size.height,
       kLargestImage.width, kLargestImage.height);
}

/// A file whose format is known.
struct EncodedImage {
  explicit EncodedImage(const fs::path& file) : path(file) {
    const std::uintmax_t size_bytes = file_size_of(path);
    if (size_bytes > kLargestFileBytes)
      fail(ErrorKind::data, "{}: {} bytes; image files up to {} bytes are read", path.string(),
           with_thousands(size_bytes), with_thousands(kLargestFileBytes));
    bytes = read_file(path);
    for (const ImageFormat& known : image_formats())
      if (known.recognizes(bytes)) format = &known;
    if (format == nullptr)
      fail(ErrorKind::data, "{}: no {} file ({} bytes)", path.string(), readable_image_formats(),
           with_thousands(bytes.size()));
    if (format->read_size == nullptr)
      fail(ErrorKind::data, "{}: {}, which this program was built without; build it with {}, or convert the files",
           path.string(), format->name, format->library);
  }

  ImageSize size() const {
    ImageSize found;
    read([&] { found = format->read_size(bytes); });
    if (found.height <= 0 || found.width <= 0)
      fail(ErrorKind::data, "{}: {}x{} pixels", path.string(), found.width, found.height);
    check_not_huge(path, found);
    return found;
  }
  std::string decode(ImageSize size, std::uint8_t* pixels) const {
    std::string remark;
    read([&] { remark = format->read_pixels(bytes, size, pixels); });
    return remark;
  }

 private:
  template <typename Action>
  void read(Action action) const {
    try {
      action();
    } catch (const ImageFault& fault) {
      fail(ErrorKind::data, "{}: not a readable {}: {}", path.string(), format->name, fault.what());
    }
  }

  fs::path path;
  std::vector<std::uint8_t> bytes;
  const ImageFormat* format = nullptr;
};

}  // namespace

bool has_image_name(const fs::path& path) {
  std::string extension = path.extension().string();
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
  const auto& formats = image_formats();
  return std::any_of(formats.begin(), formats.end(), [&](const ImageFormat& format) {
    return std::count(format.extensions.begin(), format.extensions.end(), extension) > 0;
  });
}

std::string image_name_pattern() {
  std::vector<std::string> endings;
  for (const ImageFormat& format : image_formats())
    for (const std::string& extension : format.extensions) endings.push_back(extension.substr(1));
  return fmt::format("*.{{{}}}", fmt::join(endings, ","));
}

std::string readable_image_formats() {
  std::vector<std::string> names;
  for (const ImageFormat& format : image_formats())
    if (format.read_size != nullptr) names.push_back(format.name);
  const std::string last = names.back();
  names.pop_back();
  return fmt::format("{} or {}", fmt::join(names, ", "), last);
}

ImageSize read_image_size(const fs::path& path) {
  return EncodedImage(path).size();
}

DecodedImage decode_image(const fs::path& path) {
  const EncodedImage image(path);
  DecodedImage decoded{image.size(), {}, {}};
  decoded.pixels.resize(static_cast<std::size_t>(decoded.size.height) * static_cast<std::size_t>(decoded.size.width) *
                        3);
  decoded.remark = image.decode(decoded.size, decoded.pixels.data());
  return decoded;
}

std::string read_image(const fs::path& path, ImageSize expected, std::uint8_t* pixels, const std::string& reason) {
  const EncodedImage image(path);
  const ImageSize size = image.size();
  if (!(size == expected))
    fail(ErrorKind::data, "{}: {}x{} pixels, {}", path.string(), size.width, size.height,
         reason.empty()
             ? fmt::format("the first image has {}x{}; all images must have one size, or set data.image_size",
                           expected.width, expected.height)
             : reason);
  return image.decode(size, pixels);
}

}  // namespace bsq
