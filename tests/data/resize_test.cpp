// Resized pictures beside what PIL 12 makes of the same ones, to the last bit; the middle that is cut out.
#include "data/picture_fit.h"
#include "data/resize.h"
#include "engine/input/gray.h"
#include "kernels/base/error.h"
#include "tests/data/images_on_disk.h"
#include "tests/support/catch.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace bsq::test {
namespace {

/// Every byte another one.
std::vector<std::uint8_t> pattern_of(ImageSize size) {
  std::vector<std::uint8_t> pixels;
  for (int y = 0; y < size.height; ++y)
    for (int x = 0; x < size.width; ++x)
      for (int c = 0; c < 3; ++c)
        pixels.push_back(
            static_cast<std::uint8_t>(x * 37 + y * 91 + c * 53 + x * y * 7 + x * x * (c + 1) / 3));  // mod 256
  return pixels;
}

/// FNV-1a.
std::uint64_t hash_of_bytes(const std::vector<std::uint8_t>& bytes) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const std::uint8_t byte : bytes) hash = (hash ^ byte) * 0x100000001b3U;
  return hash;
}

struct Resized {
  ImageSize from, to;
  Interpolation interpolation;
  std::uint64_t hash;
  std::uint64_t gray_hash;  // of PIL's convert("L"), resized
};

std::vector<std::uint8_t> gray_of(const std::vector<std::uint8_t>& rgb) {
  std::vector<std::uint8_t> gray(rgb.size() / 3);
  make_gray(rgb, gray.data());
  return gray;
}

}  // namespace

TEST_CASE("colours become the gray that PIL makes of them, and gray stays as it is") {
  // python: Image.fromarray(pattern).convert("L")
  CHECK(hash_of_bytes(gray_of(pattern_of({7, 9}))) == 0x576dce65b321cb5dU);
  CHECK(hash_of_bytes(gray_of(pattern_of({40, 61}))) == 0xc9ac8ad72bc0a62cU);
  for (int level = 0; level < 256; ++level) {
    const auto byte = static_cast<std::uint8_t>(level);
    const std::vector<std::uint8_t> rgb = {byte, byte, byte};
    CHECK(gray_level(rgb.data()) == level);
  }
}

TEST_CASE("pictures are resized to the pixels that PIL makes of them") {
  using enum Interpolation;
  const std::vector<Resized> table = {{{7, 9}, {5, 4}, bilinear, 0x5cac48d6114c6e14U, 0x1a9155a914526316U},
                                      {{7, 9}, {5, 4}, bicubic, 0x93351cad4b744288U, 0xa35d590662990a51U},
                                      {{5, 4}, {7, 11}, bilinear, 0x032512c5cd8ae582U, 0x45a4d43477e36cb4U},
                                      {{5, 4}, {7, 11}, bicubic, 0xdd622052b6744c9aU, 0x8d87d1d1eed60b76U},
                                      {{40, 61}, {13, 20}, bilinear, 0x6f969e575d83f8f4U, 0xabe05652daf2ab99U},
                                      {{40, 61}, {13, 20}, bicubic, 0xe6735be66c9774d4U, 0x6c62a229dc1cdb2cU},
                                      {{33, 17}, {33, 40}, bilinear, 0x81f9739c28f12459U, 0xfa02ef6caa19f2ddU},
                                      {{33, 17}, {33, 40}, bicubic, 0xdb5a34a139a16becU, 0x6d27118aad599923U},
                                      {{100, 150}, {64, 96}, bilinear, 0xc2aa3c50789fc6f6U, 0xa6136f13d9e9fba4U},
                                      {{100, 150}, {64, 96}, bicubic, 0x682a908075d294d1U, 0x975d47fccbfad635U},
                                      {{3, 3}, {1, 1}, bilinear, 0x88cc6c196002793aU, 0xaf643f4c860294c5U},
                                      {{3, 3}, {1, 1}, bicubic, 0x18075c1920162254U, 0xaf643d4c8602915fU}};
  for (const Resized& c : table) {
    INFO(c.from.height << "x" << c.from.width << " to " << c.to.height << "x" << c.to.width);
    CHECK(hash_of_bytes(resize_pixels(pattern_of(c.from), c.from, c.to, {0, 0, c.to}, c.interpolation)) == c.hash);
    CHECK(hash_of_bytes(resize_pixels(gray_of(pattern_of(c.from)), c.from, c.to, {0, 0, c.to}, c.interpolation, 1)) ==
          c.gray_hash);
  }
  const std::vector<std::uint8_t> same = pattern_of({6, 5});
  for (const Interpolation interpolation : {bilinear, bicubic})
    CHECK(resize_pixels(same, {6, 5}, {6, 5}, {0, 0, {6, 5}}, interpolation) == same);
  CHECK(interpolation_named("bicubic") == bicubic);
  CHECK_THAT(error_of(ErrorKind::usage, [] { interpolation_named("nearest"); }),
             Catch::Contains("bilinear or bicubic"));
}

TEST_CASE("a window of a resized picture has the pixels of the whole one, however long that would be") {
  const ImageSize from{50, 75}, to{32, 48}, part{7, 9};
  const std::vector<std::uint8_t> pixels = pattern_of(from);
  const auto whole = resize_pixels(pixels, from, to, {0, 0, to}, Interpolation::bicubic);
  const PixelWindow window{11, 39, part}, source = Resizing(from, to, window, Interpolation::bicubic).source();
  CHECK(source == PixelWindow{15, 59, {15, 16}});
  CHECK(resize_pixels(cut_out(pixels, from, source), from, to, window, Interpolation::bicubic) ==
        cut_out(whole, to, window));
  const ImageSize strip{1, 8192}, of_gigabytes{256, 2097152};
  const PixelWindow middle_of{16, 1048464, {224, 224}};
  const PixelWindow source_of_middle = Resizing(strip, of_gigabytes, middle_of, Interpolation::bilinear).source();
  const auto middle = resize_pixels(cut_out(pattern_of(strip), strip, source_of_middle), strip, of_gigabytes, middle_of,
                                    Interpolation::bilinear);
  CHECK(middle.size() == 224 * 224 * 3);
}

TEST_CASE("a window without pixels, or beyond the picture, is refused") {
  const TemporaryFolder folder;
  write_jpeg(folder / "p.jpg", noise_picture(20, 30, 3));
  const auto decode = [&](const PixelWindow& window, int reduction) {
    return decode_image(folder / "p.jpg", [&](ImageSize, int) { return ImagePart{window, reduction}; });
  };
  constexpr int kMost = std::numeric_limits<int>::max();
  for (const PixelWindow& window : {PixelWindow{0, 0, {0, 4}},
                                    {0, 0, {4, 0}},
                                    {0, 0, {-1, 4}},
                                    {-1, 0, {4, 4}},
                                    {0, -1, {4, 4}},
                                    {17, 0, {4, 4}},
                                    {0, 27, {4, 4}},
                                    {20, 0, {1, 1}},
                                    {1, 0, {kMost, 1}},
                                    {0, 1, {1, kMost}},
                                    {kMost, 0, {kMost, 1}}}) {
    INFO(window.size.height << "x" << window.size.width << " at " << window.top << ", " << window.left);
    const auto resize = [&] { Resizing({40, 60}, {20, 30}, window, Interpolation::bilinear); };
    CHECK_THAT(error_of(ErrorKind::internal, resize), Catch::Contains("a window of"));
    CHECK_THAT(error_of(ErrorKind::internal, [&] { decode(window, 1); }), Catch::Contains("a window of"));
  }
  CHECK(decode({16, 26, {4, 4}}, 1).pixels.size() == 4 * 4 * 3);
  CHECK(decode({2, 3, {1, 1}}, 8).pixels.size() == 3);
  CHECK_THAT(error_of(ErrorKind::internal, [&] { decode({2, 3, {1, 2}}, 8); }), Catch::Contains("in 4x3"));
  for (const int reduction : {0, -1, 3, 16})
    CHECK_THAT(error_of(ErrorKind::internal,
                        [&] {
                          decode({0, 0, {1, 1}}, reduction);
                        }),
               Catch::Contains("times shorter, up to 8 is possible"));
  CHECK_THAT(error_of(ErrorKind::internal,
                      [] {
                        Resizing({0, 4}, {4, 4}, {0, 0, {4, 4}}, {});
                      }),
             Catch::Contains("a picture of 4x0 pixels"));
}

TEST_CASE("what a network sees of a picture is what torchvision's Resize and CenterCrop leave") {
  const TemporaryFolder folder;
  struct Case {
    ImageSize size;
    int resize, side;
    std::uint64_t hash;
  };
  for (const Case& c : {Case{{50, 75}, 32, 28, 0xccb0652a6d6e4e52U}, Case{{75, 50}, 32, 28, 0x7ac09655929caf65U},
                        Case{{41, 40}, 16, 15, 0xf9d6376189b3ed43U}}) {
    INFO(c.size.height << "x" << c.size.width);
    write_png(folder / "p.png", {.height = c.size.height, .width = c.size.width, .pixels = pattern_of(c.size)});
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(c.side * c.side * 3));
    CHECK(read_fitted_image(folder / "p.png", {c.side, c.side}, {.resize = c.resize}, pixels.data()).empty());
    CHECK(hash_of_bytes(pixels) == c.hash);
  }
}

TEST_CASE("the shorter side gets 8/7 of the image's size if nothing else is said") {
  DataConfig data;
  CHECK(fit_of(data).resize == 0);
  data.image_size = 224;
  CHECK(fit_of(data).resize == 256);
  data.resize = 232;
  data.interpolation = "bicubic";
  CHECK(fit_of(data).resize == 232);
  CHECK(fit_of(data).interpolation == Interpolation::bicubic);
  check_fit_of_model(data, "m");
  data.resize = 200;
  CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { check_fit_of_model(data, "m"); }),
             Catch::Contains("m: says to resize pictures to 200 (bicubic) for 224; the file is damaged"));
}

}  // namespace bsq::test
