// What the tests of data/ share: temporary folders, image writers, and the check of an error's kind and words.
#pragma once

#include "data/image_formats/image_format.h"
#include "kernels/base/error.h"
#include "tests/support/catch.h"
#include "tests/support/jpeg_writer.h"

#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

namespace bsq::test {

namespace fs = std::filesystem;

/// A new folder that goes away with its owner; tests run side by side.
class TemporaryFolder {
 public:
  TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder();

  const fs::path& path() const { return path_; }
  fs::path operator/(const fs::path& inside) const { return path_ / inside; }

 private:
  fs::path path_;
};

/// Runs `action` and returns the message of the Error it must throw, whose kind must be `kind`.
std::string error_of(ErrorKind kind, const std::function<void()>& action);

/// Both create the folders above `path`.
void write_bytes(const fs::path& path, const std::vector<std::uint8_t>& bytes);
void write_text(const fs::path& path, const std::string& text);
std::vector<std::uint8_t> read_bytes(const fs::path& path);

/// Every pixel alike.
Picture plain_picture(int height, int width, std::initializer_list<std::uint8_t> pixel);
/// Each value drawn alone.
Picture noise_picture(int height, int width, int channels);
/// Smooth, and different at every pixel.
Picture gradient_picture(int height, int width);

/// The pixels of a window of a picture [size, 3].
std::vector<std::uint8_t> cut_out(const std::vector<std::uint8_t>& pixels, ImageSize size, const PixelWindow& window);

void write_png(const fs::path& path, const Picture& picture);
/// Gray; the high byte of a sample comes first.
void write_png_16bit(const fs::path& path, int height, int width, std::uint16_t value);

}  // namespace bsq::test
