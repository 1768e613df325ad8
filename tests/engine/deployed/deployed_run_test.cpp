// Operations on levels against their formulas (METHOD 16), each number by itself.
#include "engine/deployed/deployed_run.h"
#include "engine/deployed/level_convolution.h"
#include "tests/support/catch.h"
#include "tests/support/random_tensors.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace bsq::test {
namespace {

constexpr int kSize = 5;

std::vector<std::uint8_t> random_bytes(const std::string& name, std::size_t count, int most = 255) {
  RandomTensors random(name);
  const std::vector<std::int32_t> numbers = random.integers(static_cast<std::int64_t>(count), most + 1);
  return {numbers.begin(), numbers.end()};
}

PixelLevels same_levels() {
  PixelLevels pixels(3);
  for (auto& color : pixels)
    for (std::size_t byte = 0; byte < color.size(); ++byte) color[byte] = static_cast<std::uint8_t>(byte);
  return pixels;
}

/// A network of these operations on one picture, with a head that reads its last tensor.
DeployedNetwork network_of(std::vector<DeployedNode> nodes, std::vector<DeployedTensor> outputs) {
  DeployedNetwork network{
      .pixels = same_levels(),
      .tensors =
          {{.name = "images", .height = kSize, .width = kSize, .channels = 3, .grid = {.unit = 0.25F, .zero = 100}}},
      .nodes = std::move(nodes),
      .head = {}};
  for (DeployedTensor& tensor : outputs) network.tensors.push_back(std::move(tensor));
  const auto channels = static_cast<std::size_t>(network.tensors.back().channels);
  network.head = {.input = static_cast<int>(network.tensors.size()) - 1,
                  .k = std::vector<std::int16_t>(2 * channels, 3),
                  .scale = {0.5F, 0.25F},
                  .offset = {1.0F, -1.0F}};
  network.head.k[0] = -300;
  return network;
}

LevelConvolution random_convolution(int kernel, int stride, int padding, int groups, int inputs, int outputs) {
  RandomTensors random("convolution");
  const auto count = static_cast<std::int64_t>(outputs) * kernel * kernel * inputs / groups;
  const std::vector<std::int32_t> k = random.integers(count, 255), bias = random.integers(outputs, 20000);
  LevelConvolution c;
  c.kernel = kernel;
  c.stride = stride;
  c.padding = padding;
  c.groups = groups;
  for (const std::int32_t level : k) c.k.push_back(static_cast<std::int8_t>(level - 127));
  for (const std::int32_t b : bias) c.bias.push_back(b - 10000);
  c.multiplier = random.uniform(outputs, 0.001F, 0.01F);
  c.scale = random.uniform(outputs, 0.1F, 0.2F);
  c.offset.resize(static_cast<std::size_t>(outputs));
  return c;
}

int at(const std::vector<std::uint8_t>& levels, const DeployedTensor& tensor, int row, int column, int channel) {
  return levels[static_cast<std::size_t>((row * tensor.width + column) * tensor.channels + channel)];
}

std::int64_t sum_of(const LevelConvolution& c, const std::vector<std::uint8_t>& x, const DeployedTensor& image,
                    int outputs, int row, int column, int o) {
  const int inputs = image.channels / c.groups, group = o / (outputs / c.groups);
  std::int64_t sum = c.bias[static_cast<std::size_t>(o)];
  for (int ky = 0; ky < c.kernel; ++ky) {
    for (int kx = 0; kx < c.kernel; ++kx) {
      const int from_row = row * c.stride + ky - c.padding, from_column = column * c.stride + kx - c.padding;
      if (from_row < 0 || from_row >= image.height || from_column < 0 || from_column >= image.width) continue;
      for (int i = 0; i < inputs; ++i)
        sum += std::int64_t{at(x, image, from_row, from_column, group * inputs + i) - image.grid.zero} *
               c.k[static_cast<std::size_t>(((o * c.kernel + ky) * c.kernel + kx) * inputs + i)];
    }
  }
  return sum;
}

std::uint8_t level_of(double number, const LevelGrid& grid) {
  return static_cast<std::uint8_t>(std::clamp(std::nearbyint(number) + grid.zero, 0.0, double(grid.top)));
}

PictureLevels trace(const DeployedNetwork& network, const std::vector<std::uint8_t>& picture) {
  std::vector<float> logits(2);
  return trace_deployed(network, picture, logits);
}

}  // namespace

TEST_CASE("a convolution of levels is its formula, with every stride, padding, group and zero") {
  struct Case {
    int kernel, stride, padding, groups, outputs;
  };
  const auto [kernel, stride, padding, groups, outputs] =
      GENERATE(values<Case>({{3, 1, 1, 1, 7}, {3, 2, 1, 3, 6}, {1, 1, 0, 3, 3}, {1, 2, 0, 1, 4}, {5, 1, 2, 1, 2}}));
  const LevelGrid grid = GENERATE(values<LevelGrid>({{0.5F, 0, 15}, {0.5F, 131, 255}, {0.5F, 0, 255}}));
  INFO(kernel << "x" << kernel << ", stride " << stride << ", groups " << groups << ", top " << grid.top);
  const LevelConvolution c = random_convolution(kernel, stride, padding, groups, 3, outputs);
  const int size = (kSize + 2 * padding - kernel) / stride + 1;
  const DeployedNetwork network =
      network_of({{{0}, c}}, {{.name = "y", .height = size, .width = size, .channels = outputs, .grid = grid}});
  const std::vector<std::uint8_t> x = random_bytes("picture", network.tensors[0].numel());
  const PictureLevels levels = trace(network, x);
  std::vector<std::uint8_t> expected;
  for (int row = 0; row < size; ++row)
    for (int column = 0; column < size; ++column)
      for (int o = 0; o < outputs; ++o) {
        const auto sum = static_cast<float>(sum_of(c, x, network.tensors[0], outputs, row, column, o));
        expected.push_back(level_of(sum * c.multiplier[static_cast<std::size_t>(o)], grid));
      }
  CHECK(levels[1] == expected);
  CHECK(std::set<std::uint8_t>(expected.begin(), expected.end()).size() > 1);
}

TEST_CASE("instructions for products of bytes add up to what the portable loops do") {
  struct Case {
    int kernel, stride, padding, inputs, outputs, width;
  };
  const auto [kernel, stride, padding, inputs, outputs, width] = GENERATE(values<Case>(
      {{3, 1, 1, 16, 16, 16}, {3, 2, 1, 5, 40, 17}, {1, 1, 0, 64, 10, 9}, {5, 1, 2, 3, 33, 8}, {1, 2, 0, 32, 64, 16}}));
  INFO(kernel << "x" << kernel << ", stride " << stride << ", " << inputs << " to " << outputs << ", width " << width);
  LevelConvolution c = random_convolution(kernel, stride, padding, 1, inputs, outputs);
  std::fill(c.k.begin(), c.k.begin() + 50, std::int8_t{-127});  // the largest sums
  const int out = (width + 2 * padding - kernel) / stride + 1;
  const DeployedTensor x{
      .name = "x", .height = width, .width = width, .channels = inputs, .grid = {.unit = 0.25F, .zero = 255}};
  const DeployedTensor y{
      .name = "y", .height = out, .width = out, .channels = outputs, .grid = {.unit = 0.5F, .zero = 120}};
  std::vector<std::uint8_t> levels = random_bytes("levels", x.numel());
  std::fill(levels.begin(), levels.begin() + 40, std::uint8_t{0});
  const PlannedConvolution fast(c, x, y), portable(c, x, y, /*portable=*/true);
  for (const SumUse use : {SumUse::levels, SumUse::fused_levels}) {
    std::vector<std::uint8_t> found(y.numel()), expected(y.numel());
    fast.run(levels, use, found);
    portable.run(levels, use, expected);
    CHECK(found == expected);
    CHECK(std::set<std::uint8_t>(expected.begin(), expected.end()).size() > 10);
  }
  std::vector<float> found(y.numel()), expected(y.numel());
  fast.run(levels, found);
  portable.run(levels, expected);
  CHECK(found == expected);
}

TEST_CASE("an addition of levels rounds once, and cuts off at the top") {
  const LevelSum sum{1.5F, -0.75F, 20.25F};
  LevelConvolution same;
  same.groups = 3;
  same.k = {1, 1, 1};
  same.scale = same.multiplier = {1, 1, 1};
  same.offset = {0, 0, 0};
  same.bias = {100, 100, 100};
  const DeployedTensor bytes{
      .name = "a", .height = kSize, .width = kSize, .channels = 3, .grid = {.unit = 1, .zero = 0, .top = 200}};
  DeployedTensor added = bytes;
  added.name = "y";
  added.grid.top = 150;
  const DeployedNetwork network = network_of({{{0}, same}, {{0, 1}, sum}}, {bytes, added});
  const std::vector<std::uint8_t> x = random_bytes("picture", network.tensors[0].numel());
  const PictureLevels levels = trace(network, x);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const int second = std::min<int>(x[i], 200);
    CHECK(levels[1][i] == second);
    const auto term = static_cast<float>(-0.75 * second + 20.25);
    const auto number = static_cast<float>(1.5 * x[i] + double{term});
    CHECK(levels[2][i] == std::clamp(static_cast<int>(std::nearbyint(number)), 0, 150));
  }
}

TEST_CASE("the largest level of every window") {
  const DeployedTensor half{.name = "m", .height = 3, .width = 3, .channels = 3, .grid = {.unit = 0.25F, .zero = 100}};
  const DeployedNetwork network = network_of({{{0}, LevelMaximum{3, 2, 1}}}, {half});
  const std::vector<std::uint8_t> x = random_bytes("picture", network.tensors[0].numel());
  const PictureLevels levels = trace(network, x);
  for (int channel = 0; channel < 3; ++channel) {
    for (int row = 0; row < 3; ++row) {
      for (int column = 0; column < 3; ++column) {
        int largest = 0;
        for (int y = std::max(2 * row - 1, 0); y <= std::min(2 * row + 1, kSize - 1); ++y)
          for (int z = std::max(2 * column - 1, 0); z <= std::min(2 * column + 1, kSize - 1); ++z)
            largest = std::max(largest, at(x, network.tensors[0], y, z, channel));
        CHECK(at(levels[1], half, row, column, channel) == largest);
      }
    }
  }
}

TEST_CASE("channels beside each other by their tables, and a vector in PyTorch's order") {
  LevelConcat concat;
  concat.levels.resize(2);
  for (std::size_t level = 0; level < 256; ++level) {
    concat.levels[0][level] = static_cast<std::uint8_t>(255 - level);
    concat.levels[1][level] = static_cast<std::uint8_t>(level / 2);
  }
  const DeployedTensor six{.name = "c", .height = kSize, .width = kSize, .channels = 6, .grid = {}};
  const DeployedTensor vector{.name = "v", .channels = 6 * kSize * kSize, .grid = {}};
  const DeployedNetwork network = network_of({{{0, 0}, concat}, {{1}, LevelFlatten{}}}, {six, vector});
  const std::vector<std::uint8_t> x = random_bytes("picture", network.tensors[0].numel());
  const PictureLevels levels = trace(network, x);
  for (std::size_t pixel = 0; pixel < kSize * kSize; ++pixel) {
    for (std::size_t c = 0; c < 3; ++c) {
      CHECK(levels[1][6 * pixel + c] == 255 - x[3 * pixel + c]);
      CHECK(levels[1][6 * pixel + 3 + c] == x[3 * pixel + c] / 2);
      CHECK(levels[2][(3 + c) * kSize * kSize + pixel] == x[3 * pixel + c] / 2);
    }
  }
}

TEST_CASE("logits are exact sums, rounded at their end, whatever the threads") {
  const LevelConvolution c = random_convolution(3, 1, 1, 1, 3, 4);
  const DeployedNetwork network = network_of(
      {{{0}, c}}, {{.name = "y", .height = kSize, .width = kSize, .channels = 4, .grid = {.unit = 1, .zero = 128}}});
  const std::size_t bytes = network.tensors[0].numel();
  const std::vector<std::uint8_t> pictures = random_bytes("pictures", 7 * bytes);
  const std::vector<float> logits = run_deployed(network, pictures, 1);
  REQUIRE(logits.size() == 14);
  for (std::size_t n = 0; n < 7; ++n) {
    const PictureLevels levels = trace(network, {pictures.begin() + static_cast<std::ptrdiff_t>(n * bytes),
                                                 pictures.begin() + static_cast<std::ptrdiff_t>((n + 1) * bytes)});
    std::int64_t sums[2] = {};
    for (std::size_t i = 0; i < levels[1].size(); ++i)
      for (std::size_t o = 0; o < 2; ++o) sums[o] += (levels[1][i] - 128) * network.head.k[4 * o + i % 4];
    CHECK(logits[2 * n] == static_cast<float>(static_cast<double>(sums[0]) * 0.5 + 1));
    CHECK(logits[2 * n + 1] == static_cast<float>(static_cast<double>(sums[1]) * 0.25 - 1));
  }
  CHECK(run_deployed(network, pictures, 3) == logits);
}

TEST_CASE("a term that is not rounded differs from its levels by half of one at most") {
  const LevelConvolution c = random_convolution(3, 1, 1, 1, 3, 3);
  const float unit_y = 0.25F * c.scale[0] / c.multiplier[0];
  DeployedTensor term{
      .name = "t", .height = kSize, .width = kSize, .channels = 3, .grid = {.unit = unit_y, .zero = 128}};
  DeployedTensor sum = term;
  sum.name = "y";
  LevelConvolution one = c;
  for (std::size_t o = 0; o < 3; ++o) {
    one.multiplier[o] = 0.25F * c.scale[o] / unit_y;
    one.offset[o] = 0.25F * c.scale[o] * static_cast<float>(c.bias[o]);
  }
  const float other = 0.25F / unit_y;
  const DeployedNetwork network =
      network_of({{{0}, one}, {{1, 0}, LevelSum{1, other, 128 - 128 - 100 * other}}}, {term, sum});
  CHECK(terms_alone(network) == std::vector<bool>{false, true, false});
  const std::vector<std::uint8_t> x = random_bytes("picture", network.tensors[0].numel());
  std::vector<float> logits(2);
  const PictureLevels levels = trace(network, x), exact = trace_deployed(network, x, logits, Arithmetic::fused);
  CHECK(exact[1].empty());
  int different = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (levels[1][i] == 0 || levels[1][i] == 255) continue;  // cut off, which a number is not
    CHECK(std::abs(levels[2][i] - exact[2][i]) <= 1);
    different += levels[2][i] != exact[2][i];
  }
  CHECK(different > 0);
}

}  // namespace bsq::test
