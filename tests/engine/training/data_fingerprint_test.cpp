// What tells one set of images from another, and what does not.
#include "engine/training/data_fingerprint.h"

#include "kernels/base/error.h"
#include "tests/support/catch.h"
#include "tests/support/catch.h"

#include <set>

namespace bsq::test {
namespace {

using Pixels = std::vector<std::uint8_t>;

SetFingerprint of(const DatasetInfo& info, const std::vector<std::pair<std::int32_t, Pixels>>& images) {
  SetFingerprint set(info);
  for (const auto& [label, pixels] : images) set.add(label, pixels);
  return set;
}

Pixels gray(std::uint8_t value) {
  return Pixels(18, value);  // 2x3 pixels
}

const DatasetInfo kTwo{2, 3, {"cat", "dog"}};

}  // namespace

TEST_CASE("a fingerprint tells labels, pixels, order, classes and sizes apart") {
  const SetFingerprint set = of(kTwo, {{0, gray(1)}, {1, gray(2)}, {1, gray(3)}});
  CHECK(set.images == 3);
  CHECK(set == of(kTwo, {{0, gray(1)}, {1, gray(2)}, {1, gray(3)}}));
  Pixels last = gray(3);
  last.back() ^= 1;
  const std::set<std::uint64_t> hashes = {
      set.hash,
      of(kTwo, {{1, gray(1)}, {1, gray(2)}, {1, gray(3)}}).hash,
      of(kTwo, {{0, gray(1)}, {1, gray(3)}, {1, gray(2)}}).hash,
      of(kTwo, {{0, gray(1)}, {1, gray(2)}, {1, last}}).hash,
      of(kTwo, {{0, gray(1)}, {1, gray(2)}}).hash,
      of({2, 3, {"cat", "doh"}}, {{0, gray(1)}, {1, gray(2)}, {1, gray(3)}}).hash,
      of({2, 3, {"ca", "tdog"}}, {{0, gray(1)}, {1, gray(2)}, {1, gray(3)}}).hash,
      of({3, 2, {"cat", "dog"}}, {{0, gray(1)}, {1, gray(2)}, {1, gray(3)}}).hash,
  };
  CHECK(hashes.size() == 8);
}

TEST_CASE("a fingerprint comes back from a checkpoint whole, is not there in old ones, and is checked") {
  const DataFingerprint data{of(kTwo, {{0, gray(1)}}), of(kTwo, {})};
  nlohmann::json state = {{"data", to_json(data)}};
  const std::optional<DataFingerprint> read = fingerprint_from_json(nlohmann::json::parse(state.dump()), "checkpoint");
  REQUIRE(read);
  CHECK(changes(*read, data).empty());
  CHECK_FALSE(fingerprint_from_json(nlohmann::json::object(), "checkpoint"));
  for (const char* damage : {R"({"data": 3})", R"({"data": {"train": {"images": 1, "hash": 2}}})",
                             R"({"data": {"train": {"images": -1, "hash": 2}, "test": {"images": 1, "hash": 2}}})",
                             R"({"data": {"train": {"images": 1, "hash": "2"}, "test": {"images": 1, "hash": 2}}})"})
    CHECK_THROWS_WITH(fingerprint_from_json(nlohmann::json::parse(damage), "checkpoint"),
                      Catch::StartsWith("checkpoint: state.json is damaged ("));
}

TEST_CASE("what has changed is said of each set") {
  const SetFingerprint one = of(kTwo, {{0, gray(1)}}), other = of(kTwo, {{0, gray(2)}}),
                       two = of(kTwo, {{0, gray(1)}, {1, gray(1)}});
  CHECK(changes({one, one}, {two, one}) == "the training set has 2 images, and had 1");
  CHECK(changes({one, one}, {one, other}) ==
        "the test set has as many images, but other pixels, labels, classes or another order");
  CHECK(changes({one, two}, {two, one}) ==
        "the training set has 2 images, and had 1, and the test set has 1 images, and had 2");
}

}  // namespace bsq::test
