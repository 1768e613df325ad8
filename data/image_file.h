// One image file -> interleaved 8-bit RGB. The first bytes tell the format, never the name.
//
// Pixels equal those of PIL and torchvision (see image_formats/image_format.h), which GUIDE states format by format.
#pragma once

#include "data/image_formats/image_format.h"

#include <filesystem>
#include <string>
#include <vector>

namespace bsq {

/// Whether the name ends as that of a format that is known, whether or not this program was built to read it.
bool has_image_name(const std::filesystem::path& path);

/// The names of all formats that are known, `*.{jpg,jpeg,png}`.
std::string image_name_pattern();

/// The formats that this program reads, `JPEG, PNG or WebP`.
std::string readable_image_formats();

/// Reads the size from the header alone. Throws Error(data) naming the file if it is unreadable, of no format that is
/// read, corrupt or too large.
ImageSize read_image_size(const std::filesystem::path& path);

struct DecodedImage {
  ImageSize size;
  std::vector<std::uint8_t> pixels;  // [size.height, size.width, 3]
  std::string remark;                // what a user should know of the file, mostly nothing
};

/// Decodes an image of whatever size. Throws Error(data) as read_image_size() does.
DecodedImage decode_image(const std::filesystem::path& path);

/// Decodes into pixels [expected.height, expected.width, 3]. Returns what a user should know of the file, mostly
/// nothing. Throws Error(data) as read_image_size() does, and if the image has another size; `reason`: who expects this
/// one, if it is not the first image of a set.
std::string read_image(const std::filesystem::path& path, ImageSize expected, std::uint8_t* pixels,
                       const std::string& reason = "");

}  // namespace bsq
