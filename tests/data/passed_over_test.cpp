// Images that cannot be read: what stands in for them, and when that is too much.
#include "data/passed_over.h"

#include "data/image_file.h"
#include "tests/data/images_on_disk.h"

#include <fmt/format.h>

#include <set>

using namespace bsq;
using namespace bsq::test;

namespace {

/// Images of one pixel, of classes in turn; some cannot be read.
class Fragile final : public Dataset {
 public:
  Fragile(std::int64_t size, std::set<std::int64_t> broken) : size_(size), broken_(std::move(broken)) {}

  const DatasetInfo& info() const override { return info_; }
  std::int64_t size() const override { return size_; }
  std::int32_t label(std::int64_t number) const override { return static_cast<std::int32_t>(number % 2); }
  void read(std::int64_t number, std::span<std::uint8_t> pixels) const override {
    pixels[0] = 255;  // as a reader that fails halfway
    if (broken_.contains(number)) throw ImageError(fmt::format("image {} is broken", number));
    pixels[0] = static_cast<std::uint8_t>(number);
  }
  bool augments() const override { return true; }
  void read_augmented(std::int64_t number, const AugmentKey& key, std::span<std::uint8_t> pixels) const override {
    read(number, pixels);
    pixels[1] = static_cast<std::uint8_t>(key.epoch);
  }

 private:
  DatasetInfo info_{1, 1, {"even", "odd"}};
  std::int64_t size_;
  std::set<std::int64_t> broken_;
};

int shown(const Dataset& set, std::int64_t number) {
  std::vector<std::uint8_t> pixels(3);
  set.read(number, pixels);
  return pixels[0];
}

}  // namespace

TEST_CASE("the next image of its class stands in for one that cannot be read, around the end of the set") {
  const auto set = with_errors_passed_over(std::make_unique<Fragile>(10, std::set<std::int64_t>{2, 4, 9}));
  CHECK(set->notes().empty());
  CHECK(shown(*set, 0) == 0);
  CHECK(shown(*set, 2) == 6);  // 4 is broken as well
  CHECK(shown(*set, 4) == 6);
  CHECK(shown(*set, 9) == 1);
  CHECK(set->label(9) == 1);
  std::vector<std::uint8_t> pixels(3);
  set->read_augmented(2, {.seed = 1, .stream = 0, .epoch = 7}, pixels);
  CHECK(pixels[0] == 6);
  CHECK(pixels[1] == 7);
  CHECK(set->augments());
  CHECK(set->notes() ==
        std::vector<std::string>{"3 of 10 training images cannot be read, and others of their class stand in for them "
                                 "(data.on_error: skip), such as image 2 is broken"});
}

TEST_CASE("a class without any readable image, and a set of which more than half is broken, stop") {
  const auto without = with_errors_passed_over(std::make_unique<Fragile>(6, std::set<std::int64_t>{0, 2, 4}));
  CHECK(error_of(ErrorKind::data, [&] { shown(*without, 2); }) ==
        "image 2 is broken; no other image of its class can be read, which could stand in for it");
  CHECK(shown(*without, 3) == 3);
  const auto most = with_errors_passed_over(std::make_unique<Fragile>(6, std::set<std::int64_t>{0, 1, 2, 3}));
  CHECK(shown(*most, 0) == 4);
  CHECK_THAT(error_of(ErrorKind::data, [&] { shown(*most, 1); }), Catch::Contains("too many to pass over"));
}

TEST_CASE("what the system refuses is no fault of a picture, and is not passed over") {
  class Away final : public Dataset {
   public:
    const DatasetInfo& info() const override { return info_; }
    std::int64_t size() const override { return 4; }
    std::int32_t label(std::int64_t /*number*/) const override { return 0; }
    void read(std::int64_t number, std::span<std::uint8_t> /*pixels*/) const override {
      if (number == 1) fail(ErrorKind::data, "image 1: cannot be read: Stale file handle");
    }

   private:
    DatasetInfo info_{1, 1, {"one", "other"}};
  };
  const auto set = with_errors_passed_over(std::make_unique<Away>());
  CHECK(error_of(ErrorKind::data, [&] { shown(*set, 1); }) == "image 1: cannot be read: Stale file handle");
  CHECK(set->notes().empty());
}
