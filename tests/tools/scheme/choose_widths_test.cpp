// Widths for a budget, against sums done by hand and against trying everything.
#include "tools/scheme/choose_widths.h"

#include "tests/support/files.h"
#include "tests/support/random_tensors.h"

#include <algorithm>

namespace bsq::test {
namespace {

/// Layers that begin in float at 3 bits, with their measured rises at 3, 2, 1.
struct Measured {
  std::vector<SchemeLayer> layers;
  Sensitivity sensitivity;

  Measured& add(const std::string& name, std::int64_t weights, const std::vector<double>& rises) {
    SchemeLayer layer{.name = name, .slots = {layers.size()}, .weights = weights, .stored = weights};
    layer.start = layer.widest = static_cast<int>(rises.size());
    layers.push_back(layer);
    LayerSensitivity measured{.name = name, .weights = weights};
    for (std::size_t i = 0; i < rises.size(); ++i) measured.rises[static_cast<int>(rises.size() - i)] = rises[i];
    sensitivity.layers.push_back(measured);
    return *this;
  }
};

using Widths = std::vector<int>;

}  // namespace

TEST_CASE("the bit goes first that costs least for each stored bit") {
  // Prices of the bits: large 0.01 and 0.04, small 0.005 and 0.195.
  const Measured two = Measured().add("large", 100, {0, 1, 5}).add("small", 10, {0, 0.05, 2});
  const auto at = [&](double target) { return choose_widths(two.layers, two.sensitivity, target); };
  CHECK(stored_bits_per_weight(two.layers, {3, 3}) == Approx((110 * 4 + 64) / 110.0));
  CHECK(at(4.58).bits == Widths{3, 2});
  CHECK(at(4.58).stored_bits_per_weight == Approx((100 * 4 + 10 * 3 + 64) / 110.0));
  CHECK(at(4.58).predicted_rise == Approx(0.05));
  CHECK(at(4.4).bits == Widths{2, 2});
  CHECK(at(4.4).predicted_rise == Approx(1.05));
  CHECK(at(3.5).bits == Widths{1, 2});
  CHECK(at(284.0 / 110).bits == Widths{1, 1});
  CHECK(at(504.0 / 110).bits == Widths{3, 3});
  CHECK(at(504.0 / 110).predicted_rise == 0);
}

TEST_CASE("a layer whose loss falls with its bits gives them away first") {
  const Measured two = Measured().add("a", 10, {0.2, 0.1, 3}).add("b", 10, {0, 0.01, 0.02});
  CHECK(choose_widths(two.layers, two.sensitivity, 7.1).bits == Widths{2, 3});
}

TEST_CASE("fixed layers keep their widths, and layers of zeros save nothing") {
  Measured three = Measured().add("first", 10, {0, 0, 0}).add("zeros", 50, {0, 0, 0}).add("last", 10, {0, 1, 2});
  three.layers[0].fixed = true;
  three.layers[1].stored = 0;
  const double least = (10 * 4 + 0 + 10 * 2 + 96) / 70.0;
  CHECK(choose_widths(three.layers, three.sensitivity, least).bits == Widths{3, 3, 1});
  CHECK(choose_widths(three.layers, three.sensitivity, least).stored_bits_per_weight == Approx(least));
}

TEST_CASE("a budget out of reach is refused with what can be reached") {
  const Measured one = Measured().add("only", 32, {0, 1, 2});
  for (const double target : {2.9, 5.1, -1.0})
    CHECK(error_of(ErrorKind::usage, [&] { choose_widths(one.layers, one.sensitivity, target); }) ==
          fmt::format("{} stored bits per weight: this model can have 3.000 (1 bit and a sign in every layer that is "
                      "free) to 5.000 (the widest that it has); ask for a number between them",
                      target));
  CHECK(choose_widths(one.layers, one.sensitivity, 3).bits == Widths{1});
  CHECK(choose_widths(one.layers, one.sensitivity, 5).bits == Widths{3});
}

TEST_CASE("where each bit less costs more than the one before no scheme of that size is better, and none is nearer") {
  RandomTensors random("budgets");
  for (int attempt = 0; attempt < 50; ++attempt) {
    Measured all;
    for (const char* name : {"a", "b", "c", "d"}) {
      const std::vector<std::int32_t> steps = random.integers(3, 100);
      std::vector<double> rises = {0.01 * steps[0]};
      double step = 0.01 * (1 + steps[1]);
      for (int i = 0; i < 3; ++i, step += 0.01 * steps[2]) rises.push_back(rises.back() + step);
      all.add(name, 1 + random.integers(1, 500)[0], rises);
    }
    const double least = stored_bits_per_weight(all.layers, {1, 1, 1, 1});
    const double most = stored_bits_per_weight(all.layers, {4, 4, 4, 4});
    const double target = least + (most - least) * random.integers(1, 100)[0] / 99.0;
    const ChosenWidths chosen = choose_widths(all.layers, all.sensitivity, target);
    CHECK(chosen.stored_bits_per_weight <= target);
    std::int64_t largest = 0;
    for (const SchemeLayer& layer : all.layers) largest = std::max(largest, layer.weights);
    CHECK(chosen.stored_bits_per_weight >
          target - static_cast<double>(largest) / static_cast<double>(weights_of(all.layers)) - 1e-9);
    double best = 1e9;
    for (int code = 0; code < 256; ++code) {
      const Widths bits = {1 + code % 4, 1 + code / 4 % 4, 1 + code / 16 % 4, 1 + code / 64};
      if (stored_bits_per_weight(all.layers, bits) > chosen.stored_bits_per_weight + 1e-12) continue;
      double rise = 0;
      for (std::size_t i = 0; i < bits.size(); ++i) rise += *all.sensitivity.layers[i].rise(bits[i]);
      best = std::min(best, rise);
    }
    CHECK(chosen.predicted_rise == Approx(best));
  }
}

}  // namespace bsq::test
