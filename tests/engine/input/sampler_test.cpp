// The order of samples, the learning rate, and who may draw which random numbers.
#include "engine/input/sampler.h"

#include "kernels/random.h"
#include "tests/support/catch.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <set>

namespace bsq {
namespace {

using Order = std::vector<std::int32_t>;

Order sorted(Order order) {
  std::sort(order.begin(), order.end());
  return order;
}

Order counting(std::int64_t count) {
  Order order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

}  // namespace

TEST_CASE("an epoch visits every sample once") {
  for (const std::int64_t count : {0, 1, 2, 3, 100, 12345}) {
    CHECK(sorted(epoch_order(count, {.seed = 5, .stage = 1, .epoch = 3})) == counting(count));
  }
}

TEST_CASE("the order is a function of seed, stage and epoch, and each of them changes it") {
  const Order order = epoch_order(200, {.seed = 5, .stage = 1, .epoch = 3});
  CHECK(epoch_order(200, {.seed = 5, .stage = 1, .epoch = 3}) == order);
  CHECK(epoch_order(200, {.seed = 6, .stage = 1, .epoch = 3}) != order);
  CHECK(epoch_order(200, {.seed = 5, .stage = 2, .epoch = 3}) != order);
  CHECK(epoch_order(200, {.seed = 5, .stage = 1, .epoch = 4}) != order);
  CHECK(epoch_order(200, {.seed = 5 + (std::uint64_t{1} << 40), .stage = 1, .epoch = 3}) != order);

  std::set<Order> orders;
  for (int stage = 0; stage < 5; ++stage) {
    for (int epoch = 0; epoch < 100; ++epoch)
      orders.insert(epoch_order(50, {.seed = 1, .stage = stage, .epoch = epoch}));
  }
  CHECK(orders.size() == 500);
}

TEST_CASE("every sample comes to every place equally often") {
  constexpr int kSamples = 8;
  constexpr int kEpochs = 8000;
  std::vector<int> counts(kSamples * kSamples);
  for (int epoch = 0; epoch < kEpochs; ++epoch) {
    const Order order = epoch_order(kSamples, {.seed = 9, .stage = 0, .epoch = epoch});
    for (std::size_t place = 0; place < kSamples; ++place)
      ++counts[place * kSamples + static_cast<std::size_t>(order[place])];
  }
  double chi_square = 0;
  constexpr double kExpected = static_cast<double>(kEpochs) / kSamples;
  for (const int count : counts) chi_square += (count - kExpected) * (count - kExpected) / kExpected;
  CHECK(chi_square < 95);  // 49 degrees of freedom: beyond by chance once in ten thousand; the seed is fixed
}

TEST_CASE("all 24 orders of four samples come up equally often") {
  std::map<Order, int> counts;
  for (int epoch = 0; epoch < 24000; ++epoch) ++counts[epoch_order(4, {.seed = 2, .stage = 0, .epoch = epoch})];
  CHECK(counts.size() == 24);
  for (const auto& [order, count] : counts) {
    CHECK(count > 840);  // 1000 expected, 5 standard deviations
    CHECK(count < 1160);
  }
}

TEST_CASE("no two stages augment alike, and shuffling shares no stream with it") {
  std::set<std::uint32_t> streams;
  for (int stage = 0; stage < 10; ++stage) {
    streams.insert(augment_stream(stage));
    CHECK((augment_stream(stage) & 0xFF) == static_cast<std::uint32_t>(RandomStream::augment));
  }
  CHECK(streams.size() == 10);
  const std::set<RandomStream> purposes = {RandomStream::initialize, RandomStream::shuffle, RandomStream::augment,
                                           RandomStream::synthesize};
  CHECK(purposes.size() == 4);
}

TEST_CASE("crop and flip depend on seed, stage, epoch and sample, and on nothing else") {
  const auto draws = [](std::uint64_t seed, int stage, int epoch) {
    std::vector<int> values;
    for (std::int32_t sample = 0; sample < 64; ++sample) {
      const CropFlip draw = draw_crop_flip(seed, augment_stream(stage), epoch, sample, 4, true);
      values.insert(values.end(), {draw.top, draw.left, draw.flip ? 1 : 0});
    }
    return values;
  };
  CHECK(draws(1, 0, 0) == draws(1, 0, 0));
  CHECK(draws(1, 0, 0) != draws(2, 0, 0));
  CHECK(draws(1, 0, 0) != draws(1, 1, 0));
  CHECK(draws(1, 0, 0) != draws(1, 0, 1));
}

}  // namespace bsq
