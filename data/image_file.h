// One image file -> interleaved 8-bit RGB. The first bytes tell the format, never the name.
//
// Pixels equal those of PIL and torchvision (see image_formats/image_format.h), which GUIDE states format by format.
#pragma once

#include "data/image_formats/image_format.h"
#include "kernels/base/error.h"

#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace bsq {

/// Whether the name ends as that of a format that is known, whether or not this program was built to read it.
bool has_image_name(const std::filesystem::path& path);

/// The names of all formats that are known, `*.{jpg,jpeg,png}`.
std::string image_name_pattern();

/// The formats that this program reads, `JPEG, PNG or WebP`.
std::string readable_image_formats();

/// No honest file of the largest image is longer: its pixels in 4 channels of 16 bits, stored uncompressed.
inline constexpr std::uintmax_t kLargestImageFileBytes = std::uintmax_t{kLargestImage.height} * kLargestImage.width * 8;

/// What an image file holds is no picture, or none that is read: whoever reads it again gets the same. Its kind is
/// data.
struct ImageError : Error {
  explicit ImageError(const std::string& message) : Error(ErrorKind::data, message) {}
};

/// The whole content of an image file, wherever it lies.
struct ImageFile {
  std::string name;  // in messages
  std::vector<std::uint8_t> bytes;

  ImageFile(std::string file_name, std::vector<std::uint8_t> content)
      : name(std::move(file_name)), bytes(std::move(content)) {}
  /// Reads it. Throws Error(data) if that is impossible, or if it is too long.
  ImageFile(const std::filesystem::path& path);  // NOLINT: whoever has a path means what lies there
};

/// Reads the size from the header alone. Throws ImageError naming the file if it is of no format that is read, corrupt
/// or too large.
ImageSize read_image_size(const ImageFile& file);

struct DecodedImage {
  ImageSize size;                    // of the whole picture, reduced if it was
  PixelWindow window;                // of it
  std::vector<std::uint8_t> pixels;  // [window.size.height, window.size.width, 3]
  std::string remark;                // what a user should know of the file, mostly nothing
};

/// Says what is decoded of a picture, whose sides can be made up to `most_reduction` times shorter. The window must lie
/// in the picture as it is then, and have pixels.
using ChoosePart = std::function<ImagePart(ImageSize whole, int most_reduction)>;

/// Decodes an image of whatever size, or a part of it, which takes less time. Throws Error(data) as read_image_size()
/// does, also for faults outside of the part.
DecodedImage decode_image(const ImageFile& file, const ChoosePart& choose = nullptr);

/// Decodes into pixels [expected.height, expected.width, 3]. Returns what a user should know of the file, mostly
/// nothing. Throws Error(data) as read_image_size() does, and if the image has another size; `reason`: who expects this
/// one, if it is not the first image of a set.
std::string read_image(const ImageFile& file, ImageSize expected, std::uint8_t* pixels, const std::string& reason = "");

}  // namespace bsq
