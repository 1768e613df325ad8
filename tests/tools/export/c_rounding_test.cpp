// Numbers halfway between two levels, as C: a compiler that made one instruction of a product and a sum, or kept more
// digits than float32 has, would round them to the other one.
#include "engine/deployed/deployed_run.h"
#include "engine/files/atomic_file.h"
#include "tests/support/files.h"
#include "tools/export/c/c_compiler.h"

#include <cmath>
#include <numeric>

namespace bsq::test {
namespace {

constexpr int kSide = 16;
constexpr std::uint8_t kMostByte = 255;

/// A term b q + c that is above 1/2 for the largest q where the product is exact, and 1/2 where float32 rounds it.
LevelSum tied_sum() {
  LevelSum sum{.a = 0, .b = 0.75F, .c = 0};
  while (true) {
    sum.b = std::nextafter(sum.b, 1.0F);
    const float product = sum.b * float{kMostByte};
    sum.c = 0.5F - product;
    const double exact = double{sum.b} * kMostByte + double{sum.c};
    if (product + sum.c == 0.5F && static_cast<float>(exact) > 0.5F) return sum;
  }
}

/// Products of odd numbers of 3 that are halves once they are rounded to float32, and a little more before.
LevelConvolution tied_convolution() {
  return {.k = {1, 0, 0, 0, 3, 0, 0, 0, 5},
          .scale = {1, 1, 1},
          .offset = {0, 0, 0},
          .bias = {0, 0, -3},
          .multiplier = {1.0F / 6, 1.0F / 6, 1.0F / 6}};
}

/// A picture; what the convolution makes of it, and the sum; both side by side, for the logits.
DeployedNetwork tied_network() {
  const auto tensor = [](const char* name, int channels) {
    return DeployedTensor{.name = name, .height = kSide, .width = kSide, .channels = channels, .grid = {}};
  };
  DeployedNetwork network{.pixels = PixelLevels(3),
                          .tensors = {tensor("images", 3), tensor("product", 3), tensor("sum", 3), tensor("both", 6)},
                          .nodes = {},
                          .head = {}};
  for (auto& color : network.pixels) std::iota(color.begin(), color.end(), std::uint8_t{0});
  LevelConcat both;
  both.levels.assign(2, network.pixels[0]);
  network.nodes = {{{0}, tied_convolution()}, {{0, 0}, tied_sum()}, {{1, 2}, both}};
  network.head = {.input = 3,
                  .k = {1, 2, 3, 4, 5, 6, -7, 100, -9, 10, -11, 1200},
                  .scale = {0.25F, 1.0F / 3},
                  .offset = {0.5F, 1e-3F}};
  return network;
}

}  // namespace

TEST_CASE("C rounds what lies halfway between two levels as the deployed arithmetic does") {
  const DeployedNetwork network = tied_network();
  std::vector<std::uint8_t> picture(network.tensors[0].numel());
  std::iota(picture.begin(), picture.end(), std::uint8_t{0});
  std::vector<float> expected(2);
  const PictureLevels levels = trace_deployed(network, picture, expected);
  const auto largest = static_cast<std::size_t>(kMostByte);
  REQUIRE(picture[largest] == kMostByte);
  CHECK(levels[2][largest] == 1);  // above 1/2
  CHECK(picture[1] == 1);
  CHECK(levels[1][1] == 0);  // 3 of 1/6, likewise
  std::size_t compiled = 0;
  for (const std::string compiler : {"/usr/bin/gcc", "/usr/bin/clang"}) {
    if (!fs::exists(compiler)) continue;
    for (const CGoal goal : {CGoal::speed, CGoal::size}) {
      const CModel model = c_model(network, {.goal = goal, .name = "m", .file = "net", .class_names = {}, .facts = {}});
      for (const std::string flag : {"-O0", "-ffp-contract=fast", "-mfpmath=387"}) {
#ifndef __x86_64__
        if (flag == "-mfpmath=387") continue;
#endif
        if (flag == "-mfpmath=387" && compiler != "/usr/bin/gcc") continue;
        INFO(compiler << " " << flag);
        const TemporaryFolder folder;
        write_file_atomically(folder / "net.c", model.source);
        write_file_atomically(folder / "net.h", model.header);
        const CAnswers found =
            run_c_model(compiler, folder.path(), "net", model, picture, {"-std=gnu99", "-O3", "-march=native", flag});
        CHECK(found.fault == "");
        CHECK(found.logits == expected);
        ++compiled;
      }
    }
  }
  if (compiled == 0) WARN("SKIPPED: neither gcc nor clang is here");
}

}  // namespace bsq::test
