// How batches are mixed: which shares are drawn, which boxes, and by which key.
#include "engine/input/batch_mix.h"
#include "engine/input/sampler.h"
#include "kernels/random.h"
#include "tests/support/catch.h"

#include <cmath>

namespace bsq {
namespace {

constexpr AugmentKey kMixKey{.seed = 4, .stream = 7, .epoch = 2};
constexpr int kMixSteps = 4000;

bool is_same_mix(const BatchMix& a, const BatchMix& b) {
  return a.weight == b.weight && a.cuts == b.cuts && a.top == b.top && a.left == b.left && a.height == b.height &&
         a.width == b.width;
}

}  // namespace

TEST_CASE("shares of mixup have the mean and the variance of Beta(alpha, alpha)") {
  for (const double alpha : {0.01, 0.2, 0.8, 1.0, 4.0, 100.0}) {
    INFO("alpha " << alpha);
    double sum = 0, squares = 0;
    for (int step = 0; step < kMixSteps; ++step) {
      const BatchMix mix = draw_batch_mix({.mixup = alpha}, 32, 32, kMixKey, step);
      if (!(mix.weight >= 0 && mix.weight <= 1) || mix.cuts != 0) FAIL("step " << step << ": " << mix.weight);
      sum += double{mix.weight};
      squares += std::pow(double{mix.weight} - 0.5, 2);
    }
    const double variance = 1 / (4 * (2 * alpha + 1));
    CHECK(std::abs(sum / kMixSteps - 0.5) < 5 * std::sqrt(variance / kMixSteps));
    CHECK(squares / kMixSteps == Approx(variance).epsilon(0.12));
  }
}

TEST_CASE("boxes of CutMix lie in the image, and the weight is the area that they leave") {
  int empty = 0, in_corner = 0;
  double kept = 0;
  for (int step = 0; step < kMixSteps; ++step) {
    const BatchMix mix = draw_batch_mix({.cutmix = 1}, 24, 40, kMixKey, step);
    const bool is_inside = mix.top >= 0 && mix.left >= 0 && mix.height >= 0 && mix.width >= 0 &&
                           mix.top + mix.height <= 24 && mix.left + mix.width <= 40;
    const double rest = 1 - mix.height * mix.width / (24.0 * 40);
    if (!is_inside || mix.cuts != 1 || std::abs(double{mix.weight} - rest) > 1e-6) FAIL("step " << step);
    empty += mix.height * mix.width == 0;
    in_corner += mix.top + mix.height == 24 && mix.left + mix.width == 40;
    kept += rest;
  }
  CHECK(empty < kMixSteps / 10);
  CHECK(in_corner > 50);
  CHECK(kept / kMixSteps > 0.55);  // the mean is 1/2 but for what is cut off at the edges
  CHECK(kept / kMixSteps < 0.75);
}

TEST_CASE("of mixup and CutMix each batch takes one, and what is off changes nothing") {
  int cuts = 0;
  for (int step = 0; step < kMixSteps; ++step) cuts += draw_batch_mix({1, 1}, 32, 32, kMixKey, step).cuts;
  CHECK(std::abs(cuts - kMixSteps / 2) < 5 * std::sqrt(kMixSteps / 4.0));
  CHECK(is_same_mix(draw_batch_mix({}, 32, 32, kMixKey, 3), {}));
  CHECK_FALSE(Mixing{}.is_on());
}

TEST_CASE("a step mixes by seed, stream, epoch and its number in the epoch alone") {
  const auto drawn = [](const AugmentKey& key, std::int64_t step) {
    return draw_batch_mix({0.3, 0.7}, 32, 32, key, step);
  };
  CHECK(is_same_mix(drawn(kMixKey, 5), drawn(kMixKey, 5)));
  for (const AugmentKey& other : {AugmentKey{5, 7, 2}, {4, 8, 2}, {4, 7, 3}})
    CHECK_FALSE(is_same_mix(drawn(other, 5), drawn(kMixKey, 5)));
  CHECK_FALSE(is_same_mix(drawn(kMixKey, 6), drawn(kMixKey, 5)));
  CHECK((mix_stream(3) & 0xFF) == static_cast<std::uint32_t>(RandomStream::mix));
  CHECK(mix_stream(0) != mix_stream(1));
}

}  // namespace bsq
