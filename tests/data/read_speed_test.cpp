// How fast images are read.
#include "data/read_speed.h"
#include "kernels/base/error.h"
#include "tests/support/catch.h"

#include <chrono>
#include <set>
#include <thread>

namespace bsq::test {
namespace {

/// Each image takes its time, three times as long where it is augmented.
class SlowImages final : public Dataset {
 public:
  const DatasetInfo& info() const override { return info_; }
  std::int64_t size() const override { return 10; }
  std::int32_t label(std::int64_t /*number*/) const override { return 0; }
  void read(std::int64_t number, std::span<std::uint8_t> /*pixels*/) const override {
    numbers.insert(number);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  void read_augmented(std::int64_t number, const AugmentKey& key, std::span<std::uint8_t> pixels) const override {
    seeds.insert(key.seed);
    for (int i = 0; i < 3; ++i) read(number, pixels);
  }
  mutable std::set<std::int64_t> numbers;
  mutable std::set<std::uint64_t> seeds;

 private:
  DatasetInfo info_{.height = 1, .width = 1, .class_names = {"one"}};
};

}  // namespace

TEST_CASE("the speed of reading is that of images all over the set, augmented or not") {
  const SlowImages images;
  const double plain = images_per_second(images, 0.1);
  CHECK(images.numbers.size() == 10);
  CHECK(images.seeds.empty());
  CHECK((plain > 5 && plain <= 500));
  const double augmented = images_per_second(images, 0.1, AugmentKey{.seed = 7});
  CHECK(images.seeds == std::set<std::uint64_t>{7});
  CHECK((augmented > 1 && augmented <= 500.0 / 3));
  const SlowImages few;
  CHECK(images_per_second(few, 0) <= 500);
  CHECK(few.numbers == std::set<std::int64_t>{0});
}

}  // namespace bsq::test
