// Random parts of pictures: which are drawn, and that they are cut out and resized as they should be.
#include "data/image_file.h"
#include "data/picture_fit.h"
#include "tests/data/images_on_disk.h"
#include "tests/support/catch.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>

namespace bsq::test {
namespace {

constexpr AugmentKey kKey{.seed = 11, .stream = 3, .epoch = 5};

std::tuple<int, int, int, int> numbers_of(const PixelWindow& window) {
  return {window.top, window.left, window.size.height, window.size.width};
}

}  // namespace

TEST_CASE("a random part has an area and sides as asked for, lies in the picture, and belongs to seed, epoch, image") {
  constexpr ImageSize picture{300, 400};
  constexpr RandomCrop crop{.least_area = 0.25};
  std::set<std::tuple<int, int, int, int>> drawn;
  double areas = 0;
  constexpr int kDraws = 4000;
  for (int number = 0; number < kDraws; ++number) {
    const PixelWindow window = draw_window(picture, crop, kKey, number);
    const double area = 1.0 * window.size.height * window.size.width / (300 * 400);
    const double ratio = 1.0 * window.size.width / window.size.height;
    const bool is_inside = window.top >= 0 && window.left >= 0 && window.top + window.size.height <= 300 &&
                           window.left + window.size.width <= 400;
    const bool is_as_asked = area > 0.245 && area <= 1 && ratio > 0.74 && ratio < 1.345;
    if (!is_inside || !is_as_asked) FAIL("image " << number << ": area " << area << ", ratio " << ratio);
    drawn.insert(numbers_of(window));
    areas += area;
  }
  CHECK(std::ssize(drawn) > kDraws - 40);
  // Uniform from 0.25 to 1, but of the large ones those that are higher than the picture are drawn again.
  CHECK(areas / kDraws > 0.5);
  CHECK(areas / kDraws < 0.63);

  const auto same = [&](const AugmentKey& key) {
    return numbers_of(draw_window(picture, crop, key, 7)) == numbers_of(draw_window(picture, crop, kKey, 7));
  };
  CHECK(same(kKey));
  for (const AugmentKey& other : {AugmentKey{12, 3, 5}, {11, 4, 5}, {11, 3, 6}}) CHECK_FALSE(same(other));
}

TEST_CASE("where no such part fits in it is the middle") {
  const RandomCrop all{.least_area = 1};
  CHECK(numbers_of(draw_window({10, 1000}, all, kKey, 1)) == std::tuple(0, 493, 10, 13));
  CHECK(numbers_of(draw_window({1000, 9}, all, kKey, 1)) == std::tuple(494, 0, 12, 9));
  CHECK(numbers_of(draw_window({1, 1}, all, kKey, 1)) == std::tuple(0, 0, 1, 1));
}

TEST_CASE("a random part is cut out of the picture and then resized") {
  const TemporaryFolder folder;
  const fs::path file = folder / "picture.png";
  write_png(file, gradient_picture(40, 30));
  const DecodedImage whole = decode_image(file);
  constexpr ImageSize size{8, 8};
  constexpr RandomCrop crop{.least_area = 0.1};
  for (std::int64_t number = 0; number < 20; ++number) {
    const PixelWindow window = draw_window(whole.size, crop, kKey, number);
    const std::vector<std::uint8_t> part = cut_out(whole.pixels, whole.size, window);
    std::vector<std::uint8_t> found(8 * 8 * 3);
    CHECK(read_cropped_image(file, size, {.interpolation = Interpolation::bicubic}, crop, kKey, number, found.data())
              .empty());
    CHECK(found == resize_pixels(part, window.size, size, {0, 0, size}, Interpolation::bicubic));
  }
}

}  // namespace bsq::test
