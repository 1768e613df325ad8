// Operations on pictures beside what torchvision 0.29 and PIL 13 make of the same ones, to the last bit.
#include "data/augmentations/color_operations.h"
#include "data/augmentations/geometric_operations.h"
#include "data/augmentations/rand_augment.h"
#include "engine/input/gray.h"
#include "tests/support/catch.h"

#include <array>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace bsq::test {
namespace {

struct ExpectedHash {
  const char* name;
  std::uint64_t hash;
  std::uint64_t gray_hash;
};

const std::vector<ExpectedHash>& torchvision_hashes() {
  static const std::vector<ExpectedHash> table = {
#include "tests/data/augmentations/torchvision_operations.inc"
  };
  return table;
}

struct HostPicture {
  int height = 0;
  int width = 0;
  std::vector<std::uint8_t> pixels;
  int channels = 3;

  PictureView view() { return {height, width, pixels, channels}; }
};

/// Every byte another one, and a faint one whose levels are few: as in torchvision_operations.py.
std::vector<HostPicture> pictures(int channels) {
  std::vector<HostPicture> all;
  for (const auto& [height, width] : {std::pair{40, 61}, {32, 32}}) {
    HostPicture loud{height, width, {}}, faint{height, width, {}};
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x)
        for (int c = 0; c < 3; ++c) {
          const int mixed = x * 37 + y * 91 + c * 53 + x * y * 7 + x * x * (c + 1) / 3;  // mod 256
          loud.pixels.push_back(static_cast<std::uint8_t>(mixed));
          faint.pixels.push_back(static_cast<std::uint8_t>(60 + (x * 3 + y * 2 + c * 17) % 97 - (x * y) % 11));
        }
    all.push_back(std::move(loud));
    all.push_back(std::move(faint));
  }
  for (HostPicture& picture : all) {
    if (channels == 3) break;
    make_gray(picture.pixels, picture.pixels.data());
    picture.pixels.resize(picture.pixels.size() / 3);
    picture.channels = 1;
  }
  return all;
}

using Change = std::function<void(const PictureView&)>;

/// FNV-1a of what these make of each of the pictures.
std::uint64_t hash_of_changes(const std::vector<Change>& changes, int channels) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const HostPicture& picture : pictures(channels))
    for (const Change& change : changes) {
      HostPicture changed = picture;
      change(changed.view());
      for (const std::uint8_t byte : changed.pixels) hash = (hash ^ byte) * 0x100000001b3U;
    }
  return hash;
}

std::map<std::string, std::vector<Change>> all_changes() {
  std::map<std::string, std::vector<Change>> all;
  for (const RandAugmentOperation& operation : rand_augment_operations())
    for (int magnitude = 0; magnitude <= RandAugmentOperation::largest_magnitude; ++magnitude) {
      all[operation.name].push_back([=](const PictureView& picture) { operation.apply(picture, magnitude); });
      if (operation.is_signed)
        all[operation.name].push_back([=](const PictureView& picture) { operation.apply(picture, -magnitude); });
    }
  const auto add = [&](const char* name, void (*adjust)(const PictureView&, double), const std::vector<double>& by) {
    for (const double factor : by) all[name].push_back([=](const PictureView& picture) { adjust(picture, factor); });
  };
  const std::vector<double> factors = {0, 0.3, 0.55, 1, 1.4, 1.9, 3};
  add("adjust_brightness", adjust_brightness, factors);
  add("adjust_contrast", adjust_contrast, factors);
  add("adjust_saturation", adjust_saturation, factors);
  add("adjust_sharpness", adjust_sharpness, factors);
  add("adjust_hue", adjust_hue, {-0.5, -0.31, -0.1, 0, 0.07, 0.25, 0.5});
  return all;
}

}  // namespace

TEST_CASE("operations make of coloured and of gray pictures what those of torchvision make of them") {
  const std::map<std::string, std::vector<Change>> changes = all_changes();
  CHECK(changes.size() == torchvision_hashes().size());
  for (const ExpectedHash& expected : torchvision_hashes()) {
    INFO(expected.name);
    REQUIRE(changes.contains(expected.name));
    CHECK(hash_of_changes(changes.at(expected.name), 3) == expected.hash);
    CHECK(hash_of_changes(changes.at(expected.name), 1) == expected.gray_hash);
  }
}

TEST_CASE("pictures of a few pixels, and of one colour, go through every operation") {
  for (const auto& [height, width] : {std::pair{1, 1}, {1, 3}, {2, 2}, {3, 1}})
    for (const RandAugmentOperation& operation : rand_augment_operations())
      for (const int magnitude : {0, 30}) {
        INFO(operation.name << " of " << height << "x" << width << " at " << magnitude);
        HostPicture picture{height, width,
                            std::vector<std::uint8_t>(static_cast<std::size_t>(height * width * 3), 200)};
        operation.apply(picture.view(), magnitude);
        // Black where pixels have moved away, else a gray of one level.
        for (const std::uint8_t level : picture.pixels)
          CHECK((level == 0 || level == picture.pixels.front() || picture.pixels.front() == 0));
        HostPicture gray{height, width, std::vector<std::uint8_t>(static_cast<std::size_t>(height * width), 200), 1};
        operation.apply(gray.view(), magnitude);
        for (std::size_t i = 0; i < gray.pixels.size(); ++i) CHECK(gray.pixels[i] == picture.pixels[3 * i]);
      }
}

TEST_CASE("what moves goes where torchvision moves it") {
  const auto moved = [](const Change& change) {
    HostPicture picture{1, 4, {1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4}};
    change(picture.view());
    return picture.pixels;
  };
  using Pixels = std::vector<std::uint8_t>;
  CHECK(moved([](const PictureView& p) { translate(p, 1, 0); }) == Pixels{0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3});
  CHECK(moved([](const PictureView& p) { translate(p, -2, 0); }) == Pixels{3, 3, 3, 4, 4, 4, 0, 0, 0, 0, 0, 0});
  CHECK(moved([](const PictureView& p) { translate(p, 0, 1); }) == Pixels(12, 0));
  CHECK(moved([](const PictureView& p) { rotate(p, 180); }) == Pixels{4, 4, 4, 3, 3, 3, 2, 2, 2, 1, 1, 1});
}

}  // namespace bsq::test
