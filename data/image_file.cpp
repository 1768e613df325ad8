// The table of formats, and what holds for all of them: names, limits and errors.
#include "data/image_file.h"

#include "data/files.h"
#include "engine/base/text.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <bit>
#include <cctype>

namespace bsq {
namespace {

namespace fs = std::filesystem;

/// One line per format.
const std::vector<ImageFormat>& image_formats() {
  static const std::vector<ImageFormat> table = {
      jpeg_format(), png_format(), webp_format(), tiff_format(), bmp_format(),
  };
  return table;
}

constexpr int kMostReduction = 8;

std::size_t bytes_of(ImageSize size) {
  return static_cast<std::size_t>(size.height) * static_cast<std::size_t>(size.width) * 3;
}

template <typename... Args>
[[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) {
  throw ImageError(fmt::format(format, std::forward<Args>(args)...));
}

void check_not_huge(const std::string& name, ImageSize size) {
  if (size.height <= kLargestImage.height && size.width <= kLargestImage.width) return;
  refuse("{}: {}x{} pixels; images up to {}x{} are read", name, size.width, size.height, kLargestImage.width,
         kLargestImage.height);
}

/// A file whose format is known.
struct EncodedImage {
  explicit EncodedImage(const ImageFile& whole) : file(whole) {
    for (const ImageFormat& known : image_formats())
      if (known.recognizes(file.bytes)) format = &known;
    if (format == nullptr)
      refuse("{}: no {} file ({} bytes)", file.name, readable_image_formats(), with_thousands(file.bytes.size()));
    if (format->read_size == nullptr)
      fail(ErrorKind::data, "{}: {}, which this program was built without; build it with {}, or convert the files",
           file.name, format->name, format->library);
  }

  ImageSize size() const {
    ImageSize found;
    read([&] { found = format->read_size(file.bytes); });
    if (found.height <= 0 || found.width <= 0) refuse("{}: {}x{} pixels", file.name, found.width, found.height);
    check_not_huge(file.name, found);
    return found;
  }
  std::string decode(ImageSize size, std::uint8_t* pixels) const {
    std::string remark;
    read([&] { remark = format->read_pixels(file.bytes, size, pixels); });
    return remark;
  }
  int most_reduction() const { return format->read_part != nullptr ? kMostReduction : 1; }
  std::string decode_part(ImageSize size, const ImagePart& part, std::uint8_t* pixels) const {
    std::string remark;
    if (format->read_part != nullptr) {
      read([&] { remark = format->read_part(file.bytes, part, pixels); });
      return remark;
    }
    if (part.window.size == size) return decode(size, pixels);
    std::vector<std::uint8_t> whole(bytes_of(size));
    remark = decode(size, whole.data());
    const PixelWindow& window = part.window;
    for (int row = 0; row < window.size.height; ++row)
      std::copy_n(whole.data() + bytes_of({window.top + row, size.width}) + bytes_of({1, window.left}),
                  bytes_of({1, window.size.width}), pixels + bytes_of({row, window.size.width}));
    return remark;
  }

 private:
  template <typename Action>
  void read(Action action) const {
    try {
      action();
    } catch (const ImageFault& fault) {
      refuse("{}: not a readable {}: {}", file.name, format->name, fault.what());
    }
  }

  const ImageFile& file;
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

ImageFile::ImageFile(const fs::path& path) : name(path.string()) {
  const std::uintmax_t size_bytes = file_size_of(path);
  if (size_bytes > kLargestImageFileBytes)
    refuse("{}: {} bytes; image files up to {} bytes are read", name, with_thousands(size_bytes),
           with_thousands(kLargestImageFileBytes));
  bytes = read_file(path);
}

ImageSize read_image_size(const ImageFile& file) {
  return EncodedImage(file).size();
}

DecodedImage decode_image(const ImageFile& file, const ChoosePart& choose) {
  const EncodedImage image(file);
  const ImageSize whole = image.size();
  const ImagePart part = choose ? choose(whole, image.most_reduction()) : ImagePart{{0, 0, whole}, 1};
  const auto reduced = [&](int side) { return (side + part.reduction - 1) / part.reduction; };
  const int most = image.most_reduction();
  require(std::has_single_bit(static_cast<unsigned>(part.reduction)) && part.reduction <= most,
          "a picture {} times shorter, up to {} is possible", part.reduction, most);
  DecodedImage decoded{{reduced(whole.height), reduced(whole.width)}, part.window, {}, {}};
  const PixelWindow& window = part.window;
  require(lies_in(window, decoded.size), "a window of {}x{} pixels at {}, {} in {}x{}", window.size.width,
          window.size.height, window.left, window.top, decoded.size.width, decoded.size.height);
  decoded.pixels.resize(bytes_of(part.window.size));
  decoded.remark = image.decode_part(whole, part, decoded.pixels.data());
  return decoded;
}

std::string read_image(const ImageFile& file, ImageSize expected, std::uint8_t* pixels, const std::string& reason) {
  const EncodedImage image(file);
  const ImageSize size = image.size();
  if (!(size == expected))
    fail(ErrorKind::data, "{}: {}x{} pixels, {}", file.name, size.width, size.height,
         reason.empty()
             ? fmt::format("the first image has {}x{}; all images must have one size, or set data.image_size",
                           expected.width, expected.height)
             : reason);
  return image.decode(size, pixels);
}

}  // namespace bsq
