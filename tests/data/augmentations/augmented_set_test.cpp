// Sets whose training pictures are augmented on the host, whatever kind of set it is.
#include "data/augmentations/augmentations.h"
#include "data/augmentations/color_jitter.h"
#include "data/augmentations/color_operations.h"
#include "data/augmentations/rand_augment.h"
#include "data/augmentations/random_erasing.h"
#include "engine/input/image_set.h"
#include "tests/support/catch.h"
#include "tests/support/config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <set>
#include <vector>

namespace bsq::test {
namespace {

constexpr AugmentKey kSetKey{.seed = 11, .stream = 3, .epoch = 5};
using Pixels = std::vector<std::uint8_t>;

/// Twelve images of 8x8 pixels; read_augmented() adds 1 to the first byte, as a set that crops would change it.
class CroppingSet final : public Dataset {
 public:
  const DatasetInfo& info() const override { return info_; }
  std::int64_t size() const override { return 12; }
  std::int32_t label(std::int64_t number) const override { return static_cast<std::int32_t>(number % 2); }
  void read(std::int64_t number, std::span<std::uint8_t> pixels) const override {
    for (std::size_t i = 0; i < pixels.size(); ++i)
      pixels[i] = static_cast<std::uint8_t>(number * 17 + static_cast<std::int64_t>(i * i) % 101);
  }
  bool augments() const override { return true; }
  void read_augmented(std::int64_t number, const AugmentKey& /*key*/, std::span<std::uint8_t> pixels) const override {
    read(number, pixels);
    ++pixels.front();
  }
  std::uint64_t identity(std::int64_t number) const override { return 1000 + static_cast<std::uint64_t>(number); }
  std::string name(std::int64_t number) const override { return "picture " + std::to_string(number); }
  std::vector<std::string> notes() const override { return {"a note"}; }

 private:
  DatasetInfo info_{8, 8, {"a", "b"}};
};

std::unique_ptr<const Dataset> augmented(const Config& config) {
  return with_augmentations(std::make_unique<CroppingSet>(), config);
}

Pixels augmented_image(const Dataset& set, std::int64_t number, const AugmentKey& key = kSetKey) {
  Pixels pixels(set.info().image_bytes());
  set.read_augmented(number, key, pixels);
  return pixels;
}

Config with_jitter(std::vector<double> ranges) {
  Config config = default_config();
  config.part<ColorJitterConfig>().color_jitter = std::move(ranges);
  return config;
}

}  // namespace

TEST_CASE("a set is left as it is where a configuration asks for no augmentation") {
  auto set = std::make_unique<ImageSet>(DatasetInfo{1, 1, {"a", "b"}});
  const Dataset* const given = set.get();
  const auto same = with_augmentations(std::move(set), default_config());
  CHECK(same.get() == given);
  CHECK_FALSE(same->augments());
}

TEST_CASE("augmentations have counters of their own") {
  std::set<std::uint32_t> draws;
  for (const Augmentation& line : augmentations()) draws.insert(line.draws);
  CHECK(draws.size() == augmentations().size());
  CHECK_FALSE(draws.contains(0));  // crops and flips
}

TEST_CASE("an augmented set is read as the set that it is of, and in training augmented after that one's own part") {
  const CroppingSet plain;
  Config config = default_config();
  config.part<PolicyConfig>().policy = "rand_augment";
  config.part<ColorJitterConfig>().color_jitter = {0.4, 0.3, 0.2, 0.1};
  config.part<RandomErasingConfig>().random_erasing = 0.5;
  const auto set = augmented(config);
  CHECK(set->augments());
  CHECK(set->size() == plain.size());
  CHECK(set->info().class_names == plain.info().class_names);
  CHECK(set->label(3) == 1);
  CHECK(set->identity(3) == 1003);
  CHECK(set->name(3) == "picture 3");
  CHECK(set->notes() == std::vector<std::string>{"a note"});
  Pixels read(plain.info().image_bytes()), expected = read;
  set->read(3, read);
  plain.read(3, expected);
  CHECK(read == expected);

  const Pixels third = augmented_image(*set, 3);
  CHECK(third != expected);
  augmented_image(*set, 4);
  CHECK(augmented_image(*set, 3) == third);
  for (const AugmentKey& other : {AugmentKey{12, 3, 5}, {11, 4, 5}, {11, 3, 6}})
    CHECK(augmented_image(*set, 3, other) != third);

  // Each by itself, one after the other.
  set->read_augmented(3, kSetKey, read);
  plain.read_augmented(3, kSetKey, expected);
  for (const Augmentation& line : augmentations()) {
    PictureDraws draws(kSetKey, 3, line.draws);
    line.make(config)->apply({8, 8, expected}, draws);
  }
  CHECK(read == expected);
}

TEST_CASE("ColorJitter changes what has a range, in the order that it draws") {
  const CroppingSet plain;
  const std::vector<double> ranges = {0.4, 0, 0.8, 0.2};
  const auto set = augmented(with_jitter(ranges));
  constexpr std::array kAdjust = {adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue};
  for (std::int64_t number = 0; number < plain.size(); ++number) {
    Pixels expected(plain.info().image_bytes());
    plain.read_augmented(number, kSetKey, expected);
    PictureDraws draws(kSetKey, number, 2);
    const ColorJitterDraw draw = draw_color_jitter(ranges, draws);
    for (const int which : draw.order)
      if (which != 1)
        kAdjust[static_cast<std::size_t>(which)]({8, 8, expected}, draw.factors[static_cast<std::size_t>(which)]);
    CHECK(augmented_image(*set, number) == expected);
  }
  CHECK(make_color_jitter(with_jitter({0, 0, 0, 0})) == nullptr);
}

TEST_CASE("RandomErasing fills its part with the mean colour, and leaves the rest alone") {
  const CroppingSet plain;
  Config config = default_config();
  config.part<RandomErasingConfig>().random_erasing = 1;
  config.data.mean = {0.4914, 0.25, 1};
  const auto set = augmented(config);
  for (std::int64_t number = 0; number < plain.size(); ++number) {
    Pixels expected(plain.info().image_bytes());
    plain.read_augmented(number, kSetKey, expected);
    PictureDraws draws(kSetKey, number, 3);
    const auto part = draw_erased_part(8, 8, 1, draws);
    REQUIRE(part);
    for (int y = part->top; y < part->top + part->height; ++y)
      for (int x = part->left; x < part->left + part->width; ++x)
        std::ranges::copy(Pixels{125, 64, 255}, expected.begin() + (y * 8 + x) * 3);
    CHECK(augmented_image(*set, number) == expected);
  }
}

TEST_CASE("RandAugment applies as many operations as asked for, each as often as any other, in both directions") {
  Config config = default_config();
  config.part<PolicyConfig>() = {.policy = "rand_augment", .rand_augment_ops = 1, .rand_augment_magnitude = 20};
  const std::vector<RandAugmentOperation>& operations = rand_augment_operations();
  std::vector<std::pair<Pixels, double>> results;  // of each way, with its probability
  Pixels picture(32 * 32 * 3);
  for (std::size_t i = 0; i < picture.size(); ++i) picture[i] = static_cast<std::uint8_t>(30 + i * i % 151);
  for (const RandAugmentOperation& operation : operations)
    for (const int sign : operation.is_signed ? std::vector{1, -1} : std::vector{1}) {
      Pixels changed = picture;
      operation.apply({32, 32, changed}, sign * 20);
      results.emplace_back(changed, (operation.is_signed ? 0.5 : 1) / static_cast<double>(operations.size()));
    }
  constexpr int kDraws = 2800;
  std::vector<int> counts(results.size());
  const auto policy = make_policy(config);
  for (int number = 0; number < kDraws; ++number) {
    Pixels changed = picture;
    PictureDraws draws(kSetKey, number, 1);
    policy->apply({32, 32, changed}, draws);
    const auto found = std::ranges::find(results, changed, &std::pair<Pixels, double>::first);
    REQUIRE(found != results.end());
    ++counts[static_cast<std::size_t>(found - results.begin())];
  }
  for (std::size_t i = 0; i < results.size(); ++i) {
    const double expected = kDraws * results[i].second;
    INFO("result " << i << ": " << counts[i] << " of " << expected);
    CHECK(std::abs(counts[i] - expected) < 5 * std::sqrt(expected));
  }

  config.part<PolicyConfig>().rand_augment_ops = 2;
  Pixels twice = picture, expected = picture;
  PictureDraws draws(kSetKey, 9, 1), same_draws(kSetKey, 9, 1);
  make_policy(config)->apply({32, 32, twice}, draws);
  policy->apply({32, 32, expected}, same_draws);
  policy->apply({32, 32, expected}, same_draws);
  CHECK(twice == expected);
  CHECK(make_policy(default_config()) == nullptr);
}

}  // namespace bsq::test
