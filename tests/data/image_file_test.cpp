// The decoders, on files written here and on files of PIL's with the pixels that PIL reads of them.
#include "data/image_file.h"

#include "tests/data/images_on_disk.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

using namespace bsq;
using namespace bsq::test;

namespace {

std::vector<std::uint8_t> decode(const fs::path& path, int height, int width) {
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(height * width * 3));
  read_image(path, {height, width}, pixels.data());
  return pixels;
}

int largest_difference(const std::vector<std::uint8_t>& a, const std::vector<std::uint8_t>& b) {
  REQUIRE(a.size() == b.size());
  int largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

struct PilImage {
  std::string name;    // begins with the format
  std::string file;    // hexadecimal
  std::string pixels;  // [3, 5, 3], hexadecimal
};

const PilImage kPilImages[] = {
#include "tests/data/pil_images.inc"
};

std::vector<std::uint8_t> bytes_of(const std::string& hexadecimal) {
  std::vector<std::uint8_t> bytes;
  for (std::size_t i = 0; i < hexadecimal.size(); i += 2)
    bytes.push_back(static_cast<std::uint8_t>(std::stoi(hexadecimal.substr(i, 2), nullptr, 16)));
  return bytes;
}

/// Whether bsq was built with the library of the format that `name` begins with.
bool is_built_in(const std::string& name) {
  return readable_image_formats().find(name.substr(0, name.find_first_of(" ,"))) != std::string::npos;
}

void check_refused(const fs::path& path, int height, int width, const std::string& message) {
  CHECK(error_of(ErrorKind::data, [&] { decode(path, height, width); }) == path.string() + ": " + message);
}

}  // namespace

TEST_CASE("a PNG comes back exactly") {
  const TemporaryFolder folder;
  const Picture picture = gradient_picture(9, 13);
  write_png(folder / "a.png", picture);
  CHECK(read_image_size(folder / "a.png") == ImageSize{9, 13});
  CHECK(decode(folder / "a.png", 9, 13) == picture.pixels);
}

TEST_CASE("gray and 16-bit PNGs become 8-bit RGB") {
  const TemporaryFolder folder;
  write_png(folder / "gray.png", plain_picture(4, 4, {77}));
  CHECK(decode(folder / "gray.png", 4, 4) == plain_picture(4, 4, {77, 77, 77}).pixels);
  write_png_16bit(folder / "deep.png", 4, 4, 77 * 257);
  CHECK(decode(folder / "deep.png", 4, 4) == plain_picture(4, 4, {77, 77, 77}).pixels);
}

TEST_CASE("pixels of every kind of file are those of PIL") {
  const TemporaryFolder folder;
  for (const PilImage& image : kPilImages) {
    INFO(image.name);
    write_bytes(folder / "image", bytes_of(image.file));
    if (!is_built_in(image.name)) {
      CHECK_THAT(error_of(ErrorKind::data, [&] { read_image_size(folder / "image"); }),
                 Catch::Contains(", which this program was built without; build it with lib"));
      continue;
    }
    CHECK(read_image_size(folder / "image") == ImageSize{3, 5});
    CHECK(decode(folder / "image", 3, 5) == bytes_of(image.pixels));
  }
}

TEST_CASE("every file of PIL's cut short or damaged is read or refused by name, whatever its format") {
  const TemporaryFolder folder;
  const fs::path path = folder / "image";
  for (const PilImage& image : kPilImages) {
    INFO(image.name);
    const std::vector<std::uint8_t> whole = bytes_of(image.file);
    const auto reads_or_refuses = [&](const std::vector<std::uint8_t>& bytes) {
      write_bytes(path, bytes);
      try {
        const ImageSize size = read_image_size(path);
        std::vector<std::uint8_t> pixels(static_cast<std::size_t>(size.height) * size.width * 3);
        read_image(path, size, pixels.data());
      } catch (const Error& error) {
        CHECK(error.kind() == ErrorKind::data);
        CHECK(std::string(error.what()).starts_with(path.string() + ": "));
      }
    };
    for (std::size_t length = 0; length < whole.size(); length += 7)
      reads_or_refuses({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)});
    for (std::size_t at = 0; at < whole.size(); at += 3) {
      std::vector<std::uint8_t> damaged = whole;
      damaged[at] ^= static_cast<std::uint8_t>(1U << at % 8);
      reads_or_refuses(damaged);
    }
  }
}

TEST_CASE("a BMP whose top row comes first is read as it stands") {
  const TemporaryFolder folder;
  for (const PilImage& image : kPilImages) {
    if (image.name != "BMP") continue;
    constexpr std::size_t kPixelsAt = 54, kHeightAt = 22, kStride = 16;
    const std::vector<std::uint8_t> file = bytes_of(image.file);
    std::vector<std::uint8_t> turned(file.begin(), file.begin() + kPixelsAt);
    turned[kHeightAt] = 0xFD;  // -3
    for (std::size_t i = 1; i < 4; ++i) turned[kHeightAt + i] = 0xFF;
    for (std::size_t row = 3; row-- > 0;) {
      const auto begin = file.begin() + static_cast<std::ptrdiff_t>(kPixelsAt + row * kStride);
      turned.insert(turned.end(), begin, begin + kStride);
    }
    write_bytes(folder / "turned.bmp", turned);
    CHECK(decode(folder / "turned.bmp", 3, 5) == bytes_of(image.pixels));
  }
}

TEST_CASE("a BMP that says more than it holds is refused with the reason") {
  const TemporaryFolder folder;
  const fs::path path = folder / "a.bmp";
  for (const PilImage& image : kPilImages) {
    const std::vector<std::uint8_t> file = bytes_of(image.file);
    const auto refuse_changed = [&](std::size_t at, std::uint8_t value, const std::string& why) {
      std::vector<std::uint8_t> changed = file;
      changed[at] = value;
      write_bytes(path, changed);
      check_refused(path, 3, 5, "not a readable BMP: " + why);
    };
    if (image.name == "BMP") {
      refuse_changed(10, 60, "the file ends within its pixels");
      refuse_changed(14, 41, "a header of 41 bytes; 12, 40, 56, 108 and 124 are read");
      refuse_changed(28, 16, "16 bits a pixel; 1, 4, 8, 24 and 32 are read");
      refuse_changed(30, 1, "it is compressed; save it uncompressed");
    }
    if (image.name == "BMP, palette") refuse_changed(46, 1, "a pixel has colour 11 of a palette of 1");
    if (image.name == "BMP with alpha") refuse_changed(30, 3, "colours that are no whole bytes; save it with 24 bits");
  }
}

TEST_CASE("16-bit gray is the one kind whose pixels are not those of PIL, and says so") {
  const TemporaryFolder folder;
  write_png_16bit(folder / "deep.png", 1, 1, 300);
  std::vector<std::uint8_t> pixel(3);
  CHECK(read_image(folder / "deep.png", {1, 1}, pixel.data()) ==
        "16-bit gray became 8-bit by its high byte, where PIL cuts it off at 255");
  CHECK(pixel == std::vector<std::uint8_t>{1, 1, 1});
}

TEST_CASE("a JPEG comes back up to its own losses") {
  const TemporaryFolder folder;
  const Picture picture = gradient_picture(16, 24);
  write_jpeg(folder / "a.jpg", picture);
  CHECK(read_image_size(folder / "a.jpg") == ImageSize{16, 24});
  // Quality 100 quantizes by 1; rounding to YCbCr, halved chroma of a slope of 3 per pixel, and rounding back: under 6.
  CHECK(largest_difference(decode(folder / "a.jpg", 16, 24), picture.pixels) < 6);
}

TEST_CASE("a gray JPEG becomes RGB, exactly where it is plain") {
  const TemporaryFolder folder;
  write_jpeg(folder / "gray.jpg", plain_picture(8, 8, {100}));
  CHECK(decode(folder / "gray.jpg", 8, 8) == plain_picture(8, 8, {100, 100, 100}).pixels);
}

TEST_CASE("the format is told by content, not by name") {
  const TemporaryFolder folder;
  const Picture picture = gradient_picture(5, 5);
  write_png(folder / "really_png.jpg", picture);
  CHECK(decode(folder / "really_png.jpg", 5, 5) == picture.pixels);
}

TEST_CASE("an image of another size is refused with both sizes") {
  const TemporaryFolder folder;
  write_png(folder / "a.png", gradient_picture(4, 5));
  write_jpeg(folder / "a.jpg", gradient_picture(4, 5));
  const std::string message =
      "5x4 pixels, the first image has 8x8; all images must have one size, or set data.image_size";
  check_refused(folder / "a.png", 8, 8, message);
  check_refused(folder / "a.jpg", 8, 8, message);
}

TEST_CASE("a huge image is refused by its header") {
  const TemporaryFolder folder;
  write_png(folder / "wide.png", plain_picture(1, 9000, {1, 2, 3}));
  const std::string wide = "9000x1 pixels; images up to 8192x8192 are read";
  check_refused(folder / "wide.png", 1, 9000, wide);
  CHECK_THAT(error_of(ErrorKind::data, [&] { read_image_size(folder / "wide.png"); }), Catch::EndsWith(wide));

  // A header that promises 65,500 x 65,500 pixels over the data of 8 x 8: 12 GiB if it were believed.
  write_jpeg(folder / "small.jpg", gradient_picture(8, 8));
  std::vector<std::uint8_t> bytes = read_bytes(folder / "small.jpg");
  const std::vector<std::uint8_t> start_of_frame = {0xFF, 0xC0, 0x00, 0x11, 0x08, 0x00, 0x08, 0x00, 0x08};
  const auto found = std::search(bytes.begin(), bytes.end(), start_of_frame.begin(), start_of_frame.end());
  REQUIRE(found != bytes.end());
  for (const int at : {5, 7}) {
    found[at] = 65500 >> 8;
    found[at + 1] = 65500 & 255;
  }
  write_bytes(folder / "bomb.jpg", bytes);
  CHECK_THAT(error_of(ErrorKind::data, [&] { read_image_size(folder / "bomb.jpg"); }),
             Catch::EndsWith("bomb.jpg: 65500x65500 pixels; images up to 8192x8192 are read"));
}

TEST_CASE("a file longer than any image is refused unread") {
  const TemporaryFolder folder;
  write_text(folder / "long.png", "");
  fs::resize_file(folder / "long.png", std::uintmax_t{1} << 40);  // sparse
  check_refused(folder / "long.png", 1, 1, "1,099,511,627,776 bytes; image files up to 536,870,912 bytes are read");
}

TEST_CASE("every JPEG cut short is refused") {
  const TemporaryFolder folder;
  write_jpeg(folder / "whole.jpg", gradient_picture(8, 8));
  const std::vector<std::uint8_t> whole = read_bytes(folder / "whole.jpg");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    write_bytes(folder / "cut.jpg", {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)});
    INFO("length " << length << " of " << whole.size());
    error_of(ErrorKind::data, [&] { decode(folder / "cut.jpg", 8, 8); });
  }
  write_bytes(folder / "cut.jpg", {whole.begin(), whole.end() - 10});
  check_refused(folder / "cut.jpg", 8, 8, "not a readable JPEG: Premature end of JPEG file");
}

TEST_CASE("every PNG cut short before the end of its pixels is refused") {
  const TemporaryFolder folder;
  write_png(folder / "whole.png", gradient_picture(8, 8));
  const std::vector<std::uint8_t> whole = read_bytes(folder / "whole.png");
  constexpr std::size_t end_bytes = 12 + 4;  // the IEND chunk and the checksum before it
  for (std::size_t length = 0; length < whole.size() - end_bytes; ++length) {
    write_bytes(folder / "cut.png", {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length)});
    INFO("length " << length << " of " << whole.size());
    error_of(ErrorKind::data, [&] { decode(folder / "cut.png", 8, 8); });
  }
}

TEST_CASE("damage that other readers of JPEG pass over is said, that of PNG is refused") {
  const TemporaryFolder folder;
  write_jpeg(folder / "a.jpg", gradient_picture(32, 32));
  std::vector<std::uint8_t> pixels(32 * 32 * 3);
  CHECK(read_image(folder / "a.jpg", {32, 32}, pixels.data()).empty());
  std::vector<std::uint8_t> bytes = read_bytes(folder / "a.jpg");
  const std::size_t middle_of_data = bytes.size() - 60;
  bytes[middle_of_data] = 0xFF;  // an end marker in the middle
  bytes[middle_of_data + 1] = 0xD9;
  write_bytes(folder / "a.jpg", bytes);
  CHECK(read_image(folder / "a.jpg", {32, 32}, pixels.data()) == "Corrupt JPEG data: premature end of data segment");

  write_png(folder / "a.png", gradient_picture(32, 32));
  bytes = read_bytes(folder / "a.png");
  bytes[bytes.size() / 2] ^= 0x55;
  write_bytes(folder / "a.png", bytes);
  CHECK_THAT(error_of(ErrorKind::data, [&] { decode(folder / "a.png", 32, 32); }),
             Catch::Contains("a.png: not a readable PNG: "));
}

TEST_CASE("what is no image, or no file, is refused by name") {
  const TemporaryFolder folder;
  write_text(folder / "a.jpg", "<html>404</html>");
  check_refused(folder / "a.jpg", 8, 8, fmt::format("no {} file (16 bytes)", readable_image_formats()));
  write_text(folder / "empty.png", "");
  check_refused(folder / "empty.png", 8, 8, fmt::format("no {} file (0 bytes)", readable_image_formats()));
  check_refused(folder / "absent.png", 8, 8, "cannot be read: No such file or directory");
  fs::create_directory(folder / "folder.png");
  check_refused(folder / "folder.png", 8, 8, "cannot be read: Is a directory");
}
