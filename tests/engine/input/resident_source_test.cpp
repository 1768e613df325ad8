// Data sets on the device, and reading many images at once.
#include "engine/input/resident_source.h"

#include "kernels/base/error.h"
#include "tests/support/engine.h"

#include <numeric>

namespace bsq::test {
namespace {

/// Small images, of which some cannot be read.
struct Damaged final : Dataset {
  DatasetInfo about{4, 5, {"a", "b"}};
  std::vector<std::int64_t> bad;

  const DatasetInfo& info() const override { return about; }
  std::int64_t size() const override { return 1000; }
  std::int32_t label(std::int64_t number) const override { return static_cast<std::int32_t>(number % 2); }
  void read(std::int64_t number, std::span<std::uint8_t> pixels) const override {
    if (std::find(bad.begin(), bad.end(), number) != bad.end()) fail(ErrorKind::data, "image {}", number);
    std::fill(pixels.begin(), pixels.end(), static_cast<std::uint8_t>(number));
  }
};

}  // namespace

TEST_CASE("images are read in the order asked for, and of several bad ones the first is told, every time") {
  Damaged set;
  const std::vector<std::int32_t> numbers = {7, 3, 999, 3};
  const std::size_t image_bytes = set.info().image_bytes();
  std::vector<std::uint8_t> pixels(numbers.size() * image_bytes);
  read_images(set, numbers, pixels);
  for (std::size_t i = 0; i < pixels.size(); ++i) CHECK(pixels[i] == numbers[i / image_bytes] % 256);

  set.bad = {990, 205, 333, 206, 800};
  std::vector<std::int32_t> all(1000);
  std::iota(all.begin(), all.end(), 0);
  pixels.resize(all.size() * image_bytes);
  for (int attempt = 0; attempt < 10; ++attempt) CHECK_THROWS_WITH(read_images(set, all, pixels), "image 205");
}

TEST_CASE("a set that cannot be read whole does not become resident") {
  for_each_device([](Backend& backend) {
    DeviceMemory memory(backend);
    Damaged set;
    set.bad = {999};
    CHECK_THROWS_WITH(ResidentSource(memory, set, "damaged"), "image 999");
  });
}

TEST_CASE("sources of the same images have each an order of its own") {
  for_each_device([](Backend& backend) {
    DeviceMemory memory(backend);
    const ImageSet pictures = tiny_pictures("shared", 3);
    const auto images = std::make_shared<const ResidentImages>(memory, pictures, "shared");
    ResidentSource first(memory, images, "first"), second(memory, images, "second");
    first.begin_epoch({2, 1, 0});
    second.begin_epoch({0, 2, 1});
    CHECK(download_array(backend, first.rows().samples, 3) == std::vector<std::int32_t>{2, 1, 0});
    CHECK(download_array(backend, first.rows().rows, 3) == std::vector<std::int32_t>{2, 1, 0});
    CHECK(download_array(backend, second.rows().samples, 3) == std::vector<std::int32_t>{0, 2, 1});
    CHECK(first.rows().images == second.rows().images);
    CHECK(download_array(backend, first.rows().images, pictures.pixels.size()) == pictures.pixels);
    CHECK(download_array(backend, first.rows().labels, 3) == pictures.labels);
  });
}

}  // namespace bsq::test
