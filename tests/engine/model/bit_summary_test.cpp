// What a scheme costs, against numbers worked out by hand.
//
// The small network has a 3x3 convolution of 2 -> 2 channels (36 weights), a classifier of 3 x 2 (6) with bias (3): P =
// 45; and 10 numbers that stay float.
#include "engine/model/bit_summary.h"

#include "tests/support/engine.h"

#include <cmath>

namespace bsq {
namespace {

constexpr std::int64_t kFloatNumbers = 10;

ArenaLayout small_layout() {
  constexpr auto kQuantized = ParameterGroup::quantized;
  return lay_out({{.name = "conv1.weight", .shape = {2, 3, 3, 2}, .group = kQuantized},
                  {.name = "bn1.weight", .shape = {2}},
                  {.name = "fc.weight", .shape = {3, 2}, .group = kQuantized},
                  {.name = "fc.bias", .shape = {3}, .group = kQuantized}},
                 ParameterGroup::quantized);
}

/// `ones` weights of the highest level, then zeros.
BitPlanes planes_with(int bits, std::int64_t numel, std::int64_t ones, float scale) {
  BitPlanes planes{bits, scale, numel, {}, {}};
  for (int plane = 0; plane < bits; ++plane) {
    for (std::int64_t i = 0; i < numel; ++i) planes.p.push_back(i < ones ? 1.0F : 0.0F);
  }
  planes.n.assign(planes.p.size(), 0.0F);
  return planes;
}

}  // namespace

TEST_CASE("the published ratio is 32 P over the sum of weights times bits") {
  const std::vector<BitPlanes> planes = {planes_with(3, 36, 9, 0.5F), planes_with(5, 6, 3, 2.0F),
                                         planes_with(2, 3, 3, 1.0F)};
  const BitSummary summary = summarize_bits(StoredPlanes(planes), small_layout(), kFloatNumbers);
  CHECK(summary.parameters == 45);
  CHECK(summary.float_parameters == 10);
  CHECK(summary.weight_bits == 36 * 3 + 6 * 5 + 3 * 2);  // 144
  CHECK(summary.bits_per_parameter() == Approx(144.0 / 45));
  CHECK(summary.compression() == Approx(32.0 * 45 / 144));  // 10
  CHECK(summary.compression_without_empty() == summary.compression());

  // With everything: one more bit per weight for the sign, three scales, ten floats. The last has odd levels alone,
  // which need no signs.
  const std::int64_t bits = 36 * 4 + 6 * 6 + 3 * 2 + 3 * 32;
  CHECK(summary.stored_bits == bits);
  CHECK(summary.stored_bits_per_parameter() == Approx(static_cast<double>(bits) / 45));
  CHECK(summary.packed_bytes == (bits + 7) / 8 + 40);
  CHECK(summary.float_bytes == 4 * 55);
  CHECK(summary.compression_on_disk() == Approx(220.0 / static_cast<double>(summary.packed_bytes)));

  const TensorBits& conv = summary.tensors.at(0);
  CHECK(conv.name == "conv1.weight");
  CHECK(conv.shape == std::vector<std::int64_t>{2, 2, 3, 3});
  CHECK(conv.numel == 36);
  CHECK(conv.bits == 3);
  CHECK_FALSE(conv.empty);
  CHECK(conv.scale == 0.5);
  CHECK(conv.zero_percent == 75);
  CHECK(conv.plane_density_percent == std::vector<double>{25, 25, 25});
  CHECK(summary.tensors.at(2).zero_percent == 0);
}

TEST_CASE("an empty layer counts 1 bit per weight in the published ratio, and 0 bits are given beside it") {
  const std::vector<BitPlanes> planes = {planes_with(1, 36, 0, 0.5F), planes_with(4, 6, 3, 2.0F),
                                         planes_with(4, 3, 3, 1.0F)};
  const BitSummary summary = summarize_bits(StoredPlanes(planes), small_layout(), kFloatNumbers);
  CHECK(summary.tensors.at(0).empty);
  CHECK(summary.tensors.at(0).bits == 1);
  CHECK(summary.tensors.at(0).zero_percent == 100);
  CHECK(summary.weight_bits == 36 + 9 * 4);
  CHECK(summary.stored_bits == 6 * 5 + 3 * 4 + 3 * 32);                  // the last one is odd
  CHECK(summary.compression() == Approx(32.0 * 45 / 72));                // 20
  CHECK(summary.compression_without_empty() == Approx(32.0 * 45 / 36));  // 40
  CHECK(summary.packed_bytes == (6 * 5 + 3 * 4 + 3 * 32 + 7) / 8 + 40);  // the empty one leaves its scale only
}

TEST_CASE("a pruned fixed-point tensor has 0 bits and counts as 1 by the published rule, as its empty plane did") {
  const std::vector<FixedPoint> fixed = {
      {0, 0.5F, std::vector<float>(36)}, {2, 1.0F, {1, -1, 0, 1.0F / 3, -1.0F / 3, 0.1F}}, {1, 1.0F, {1, 0.2F, 0}}};
  const BitSummary summary = summarize_bits(StoredFixedPoint(fixed), small_layout(), kFloatNumbers);
  CHECK(summary.weight_bits == 36 * 1 + 6 * 2 + 3);
  CHECK(summary.compression() == Approx(32.0 * 45 / 51));
  CHECK(summary.compression_without_empty() == Approx(32.0 * 45 / 15));
  CHECK(summary.tensors.at(0).empty);
  CHECK(summary.tensors.at(0).bits == 0);
  CHECK(summary.tensors.at(0).plane_density_percent.empty());
  CHECK(summary.tensors.at(1).zero_percent == Approx(100.0 / 3));  // 0 and 0.1
  // Levels 3, -3, 0, 1, -1, 0: two of six in the upper plane, four in the lower.
  CHECK(summary.tensors.at(1).plane_density_percent.at(0) == Approx(100.0 / 3));
  CHECK(summary.tensors.at(1).plane_density_percent.at(1) == Approx(200.0 / 3));
}

TEST_CASE("float weights have 32 bits, no planes and a ratio of 1") {
  const DenseTensors dense = {std::vector<float>(36, 0.5F), std::vector<float>(6), std::vector<float>(3, 1.0F)};
  const BitSummary summary = summarize_bits(StoredDense(dense), small_layout(), kFloatNumbers);
  CHECK(summary.bits_per_parameter() == 32);
  CHECK(summary.compression() == 1);
  CHECK(summary.packed_bytes == summary.float_bytes);
  CHECK(summary.compression_on_disk() == 1);
  CHECK(summary.tensors.at(0).bits == 32);
  CHECK(summary.tensors.at(0).plane_density_percent.empty());
}

TEST_CASE("a network pruned to nothing has no infinite ratio") {
  const std::vector<FixedPoint> fixed = {
      {0, 1, std::vector<float>(36)}, {0, 1, std::vector<float>(6)}, {0, 1, std::vector<float>(3)}};
  const BitSummary summary = summarize_bits(StoredFixedPoint(fixed), small_layout(), kFloatNumbers);
  CHECK(summary.compression() == 32);
  CHECK(summary.compression_without_empty() == 0);
  CHECK(std::isfinite(summary.compression_on_disk()));
}

TEST_CASE("ResNet-20 at 8 bits is 4x by the published rule and less with all that stays float") {
  const Network network = make_resnet({.activation = Activation::pact, .act_bits = 3});
  const ArenaLayout layout = lay_out(network.parameters(), ParameterGroup::quantized);
  const std::vector<BitPlanes> planes =
      test::to_planes(initial_weights(layout, 1), std::vector<int>(layout.slots.size(), 8));
  const BitSummary summary = summarize_bits(StoredPlanes(planes), network);
  CHECK(summary.parameters == 268'346);
  // Shortcuts, gamma and beta, running mean and variance, 18 ceilings.
  CHECK(summary.float_parameters == 2'560 + 4 * 784 + 18);
  CHECK(summary.compression() == 4);
  const std::int64_t bits = 268'346 * 9 + 21 * 32;
  CHECK(summary.packed_bytes == (bits + 7) / 8 + 4 * summary.float_parameters);
  CHECK(summary.compression_on_disk() < 3.5);
}

}  // namespace bsq
