// Parts of JPEGs, of which less is decoded, against the whole.
#include "data/picture_fit.h"
#include "tests/data/images_on_disk.h"
#include "tests/support/catch.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <vector>

namespace bsq::test {
namespace {

/// Windows anywhere, the smallest and the whole among them.
class Windows {
 public:
  explicit Windows(ImageSize size) : size_(size) {}

  PixelWindow next() {
    const int height = below(size_.height) + 1, width = below(size_.width) + 1;
    return {below(size_.height - height + 1), below(size_.width - width + 1), {height, width}};
  }

 private:
  int below(int end) { return static_cast<int>(numbers_() % static_cast<unsigned>(end)); }

  ImageSize size_;
  std::minstd_rand numbers_{3};
};

DecodedImage decode_reduced(const fs::path& file, int reduction) {
  return decode_image(file, [&](ImageSize whole, int) {
    const auto shorter = [&](int side) { return (side + reduction - 1) / reduction; };
    return ImagePart{{0, 0, {shorter(whole.height), shorter(whole.width)}}, reduction};
  });
}

void check_parts(const fs::path& file) {
  for (const int reduction : {1, 2, 4, 8}) {
    const DecodedImage whole = decode_reduced(file, reduction);
    if (reduction == 1) REQUIRE(whole.pixels == decode_image(file).pixels);
    Windows windows(whole.size);
    for (int i = 0; i < 25; ++i) {
      const PixelWindow window = windows.next();
      const DecodedImage part = decode_image(file, [&](ImageSize, int) { return ImagePart{window, reduction}; });
      INFO(fmt::format("1/{}: {}x{} at {}, {}", reduction, window.size.height, window.size.width, window.top,
                       window.left));
      REQUIRE(part.size == whole.size);
      REQUIRE(part.window == window);
      REQUIRE(part.pixels == cut_out(whole.pixels, whole.size, window));
    }
  }
}

}  // namespace

TEST_CASE("a part of a JPEG has the pixels of the whole") {
  const TemporaryFolder folder;
  const fs::path file = folder / "picture.jpg";
  for (const auto& [height, width] : {std::pair{67, 101}, {96, 64}, {9, 200}, {150, 5}, {1, 1}})
    for (const bool is_progressive : {false, true}) {
      for (const auto& [columns, rows] : {std::pair{1, 1}, {2, 1}, {2, 2}, {1, 2}, {4, 1}}) {
        INFO(fmt::format("{}x{}, colours of {}x{}, progressive: {}", height, width, columns, rows, is_progressive));
        write_jpeg(file, noise_picture(height, width, 3), {columns, rows, is_progressive});
        check_parts(file);
      }
      for (const int channels : {1, 4}) {
        INFO(fmt::format("{}x{}, {} channels, progressive: {}", height, width, channels, is_progressive));
        write_jpeg(file, noise_picture(height, width, channels), {1, 1, is_progressive});
        check_parts(file);
      }
    }
}

TEST_CASE("frequencies that a JPEG lacks are guessed for a part as for the whole") {
  const TemporaryFolder folder;
  const fs::path file = folder / "picture.jpg";
  for (const auto& [columns, rows] : {std::pair{1, 1}, {2, 2}}) {
    write_jpeg(file, noise_picture(120, 150, 3),
               {.columns_per_color = columns, .rows_per_color = rows, .has_means_alone = true});
    check_parts(file);
  }
}

TEST_CASE("of other formats a part is cut out of the whole") {
  const TemporaryFolder folder;
  write_png(folder / "a.png", noise_picture(20, 30, 3));
  const DecodedImage whole = decode_image(folder / "a.png");
  const PixelWindow window{3, 4, {10, 11}};
  const DecodedImage part = decode_image(folder / "a.png", [&](ImageSize size, int most_reduction) {
    CHECK(size == ImageSize{20, 30});
    CHECK(most_reduction == 1);
    return ImagePart{window, 1};
  });
  CHECK(part.pixels == cut_out(whole.pixels, whole.size, window));
}

TEST_CASE("a damaged JPEG is found whatever part of it is read") {
  const TemporaryFolder folder;
  const fs::path file = folder / "a.jpg";
  write_jpeg(file, noise_picture(80, 80, 3));
  const std::vector<std::uint8_t> whole = read_bytes(file);
  const auto read_top = [&] { return decode_image(file, [](ImageSize, int) { return ImagePart{{0, 0, {8, 8}}, 1}; }); };
  CHECK(read_top().remark.empty());

  write_bytes(file, {whole.begin(), whole.end() - 10});
  CHECK_THAT(error_of(ErrorKind::data, [&] { read_top(); }),
             Catch::EndsWith("not a readable JPEG: Premature end of JPEG file"));

  std::vector<std::uint8_t> damaged = whole;
  damaged[damaged.size() - 200] = 0xFF;  // an end marker
  damaged[damaged.size() - 199] = 0xD9;
  write_bytes(file, damaged);
  CHECK(read_top().remark == "Corrupt JPEG data: premature end of data segment");
}

TEST_CASE("a large JPEG is decoded smaller where a crop may be reduced") {
  const TemporaryFolder folder;
  const fs::path file = folder / "a.jpg";
  Picture picture{400, 400, 3, {}};  // slopes
  for (int y = 0; y < picture.height; ++y)
    for (int x = 0; x < picture.width; ++x)
      for (const int value : {x / 2, y / 2, (x + y) / 4}) picture.pixels.push_back(static_cast<std::uint8_t>(value));
  write_jpeg(file, picture);
  constexpr ImageSize size{16, 16};
  const AugmentKey key{11, 3, 5};
  for (std::int64_t number = 0; number < 20; ++number) {
    std::vector<std::uint8_t> exact(16 * 16 * 3), reduced(16 * 16 * 3);
    read_cropped_image(file, size, {}, {.least_area = 0.3}, key, number, exact.data());
    read_cropped_image(file, size, {}, {.least_area = 0.3, .reduces = true}, key, number, reduced.data());
    CHECK(exact != reduced);  // or nothing was reduced
    int furthest = 0;
    for (std::size_t i = 0; i < exact.size(); ++i) furthest = std::max(furthest, std::abs(exact[i] - reduced[i]));
    CHECK(furthest <= 4);
  }
}

}  // namespace bsq::test
