// From trained numbers to integers: pictures, grids, folded norms, what is rounded and what is refused.
#include "engine/deployed/deploy.h"

#include "engine/deployed/deployed_run.h"
#include "engine/deployed/value_ranges.h"
#include "engine/network/layer_kinds.h"
#include "tests/support/engine.h"
#include "tests/support/files.h"
#include "tests/support/weights.h"

#include <algorithm>
#include <cmath>

namespace bsq::test {
namespace {

const char* const kNodes = R"({"name": "small", "image": [4, 4, 3], "nodes": [
    {"name": "conv1", "layer": "conv2d", "out": 3, "kernel": 1, "quantized": true},
    {"name": "bn1", "layer": "norm_act", "quantized": true, "epsilon": 0},
    {"name": "pool", "layer": "average_pool"},
    {"name": "fc", "layer": "linear", "out": 2, "quantized": true}]})";

InputOptions exact_input(int size = 4) {
  const float zero = 128.0F / 255.0F, unit = 64.0F / 255.0F;
  return {.height = size, .width = size, .mean = {zero, zero, zero}, .std = {unit, unit, unit}};
}

struct Small {
  std::vector<float> gamma = {0.5F, -0.25F, 0};
  std::vector<float> beta = {0.125F, 0.5F, 0.25F};
  std::vector<float> mean = {1, -1, 2};
  int bits = 3;
  float act_scale = 3.75F;

  Deployment deploy() const {
    const Network network = build_network(spec_from_text(kNodes), {Activation::relu, 4, true});
    TensorFile plain;
    const auto add = [&](const char* name, const std::vector<float>& values) {
      plain.tensors.push_back(
          HostTensor::from<float>(name, {static_cast<std::int64_t>(values.size())}, std::span(values)));
    };
    add("bn1.weight", gamma);
    add("bn1.bias", beta);
    add("bn1.running_mean", mean);
    add("bn1.running_var", {4, 4, 4});
    add("bn1.act.act_scale", {act_scale});
    std::vector<float> w = {1, -0.5F, 0.25F, 0.75F, 1, -1, 0.5F, 0.5F, 0.5F}, fc = {1, 2, 3, -1, -2, -3}, b = {1, -1};
    const std::vector<BitPlanes> planes = {planes_from_float(w, bits), planes_from_float(fc, bits),
                                           planes_from_float(b, bits)};
    return bsq::deploy(network, plan_deployment(network),
                       ParameterNumbers(network, plain, *as_weights(std::vector<BitPlanes>(planes))), {},
                       exact_input());
  }
};

}  // namespace

TEST_CASE("pictures of mean 128 and deviation 64 are exact, others the nearest of 256 levels") {
  const LevelGrid exact = picture_grid(exact_input());
  CHECK(exact == LevelGrid{1.0F / 64, 128, 255});
  CHECK(is_exact(exact_input(), exact));
  const PixelLevels same = pixel_levels(exact_input(), exact);
  for (std::size_t byte = 0; byte < 256; ++byte) CHECK(same[1][byte] == byte);

  const InputOptions usual{
      .height = 4, .width = 4, .mean = {0.4914F, 0.4822F, 0.4465F}, .std = {0.2023F, 0.1994F, 0.2010F}};
  const LevelGrid grid = picture_grid(usual);
  CHECK_FALSE(is_exact(usual, grid));
  const PixelLevels levels = pixel_levels(usual, grid);
  for (std::size_t color = 0; color < 3; ++color)
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const float x = (static_cast<float>(byte) / 255.0F - usual.mean[color]) / usual.std[color];
      CHECK(std::abs(grid.unit * static_cast<float>(levels[color][byte] - grid.zero) - x) < 0.51F * grid.unit);
    }
}

TEST_CASE("a mean of 0.5 puts every byte between two levels, others none") {
  const auto halfway = [](std::vector<float> mean, std::vector<float> std) {
    const InputOptions input{.height = 4, .width = 4, .mean = std::move(mean), .std = std::move(std)};
    return count_halfway_bytes(input, picture_grid(input));
  };
  CHECK(halfway({0.5F}, {0.25F}) == 256);
  CHECK(halfway({0.5F, 0.5F, 0.5F}, {0.5F, 0.5F, 0.5F}) == 3 * 256);
  CHECK(halfway({0.50196078F}, {0.25098039F}) == 0);
  CHECK(halfway({0.4914F, 0.4822F, 0.4465F}, {0.2023F, 0.1994F, 0.2010F}) == 0);
}

TEST_CASE("a grid reaches over its range and over 0, which is a level") {
  CHECK(grid_of({0, 5.1F}) == LevelGrid{0.02F, 0, 255});
  CHECK(grid_of({2.0F, 5.1F}) == LevelGrid{0.02F, 0, 255});
  const LevelGrid both = grid_of({-1, 1.55F});
  CHECK(both.zero == 100);
  CHECK(both.unit == Approx(0.01));
  CHECK(grid_of({-5.1F, -1}).zero == 255);
  CHECK(grid_of({0, 0}) == LevelGrid{});
}

TEST_CASE("a norm goes into its convolution: signs into integers, what is 0 into none") {
  const Deployment made = Small().deploy();
  CHECK(made.rounded.empty());
  const auto& c = std::get<LevelConvolution>(made.network.nodes.at(0).operation);
  const DeployedTensor& y = made.network.tensors.at(1);
  CHECK(y.name == "bn1");
  CHECK(y.grid == LevelGrid{0.25F, 0, 15});
  const std::vector<int> k = {7, -4, 2, 5, 7, -7, 4, 4, 4};  // of 3 bits; the second norm is negative, the third 0
  for (std::size_t i = 0; i < 9; ++i) CHECK(int{c.k[i]} == (i < 3 ? k[i] : i < 6 ? -k[i] : 0));
  CHECK(c.scale[0] == Approx(0.25 / 7));
  CHECK(c.scale[1] == Approx(0.125 / 7));
  CHECK(c.scale[2] == 1);
  CHECK(c.offset[0] == 0.125F - 0.25F);
  CHECK(c.offset[1] == 0.5F - 0.125F);
  CHECK(c.offset[2] == 0.25F);
  for (std::size_t o = 0; o < 3; ++o) {
    const float unit = c.scale[o] / 64;
    CHECK(static_cast<double>(c.bias[o]) == std::nearbyint(double{c.offset[o]} / double{unit}));
    CHECK(c.multiplier[o] == unit / 0.25F);
  }
}

TEST_CASE("eight bits are rounded to 127 levels by output channel, and it is said which") {
  Small small;
  small.bits = 8;
  const Deployment made = small.deploy();
  CHECK(made.rounded == std::vector<std::string>{"bn1"});
  const auto& c = std::get<LevelConvolution>(made.network.nodes.at(0).operation);
  CHECK(*std::max_element(c.k.begin(), c.k.begin() + 3) == 127);
  CHECK(c.scale[0] == Approx(0.25 / 127).epsilon(0.01));
  const std::vector<std::int16_t>& head = made.network.head.k;  // of 16 bits: as they are
  CHECK(*std::max_element(head.begin(), head.end()) == 255);
}

TEST_CASE("a bias of more than 30 bits gets a larger unit") {
  Small small;
  small.gamma[0] = 1e-12F;
  small.beta[0] = 1e6F;
  const auto& made = small.deploy();
  const auto& c = std::get<LevelConvolution>(made.network.nodes.at(0).operation);
  CHECK(c.bias[0] > 1 << 29);
  CHECK(c.bias[0] * (double{c.scale[0]} / 64) == Approx(1e6));
  CHECK(c.k[0] == 0);
}

TEST_CASE("a scale that is not calibrated is refused by name, and an activation's ceiling ends the levels") {
  Small small;
  small.act_scale = -1;
  CHECK_THAT(error_of(ErrorKind::usage, [&] { small.deploy(); }),
             Catch::Contains("bn1.act.act_scale is -1, which is no scale; is it calibrated?"));
  small.act_scale = 15;
  CHECK(small.deploy().network.tensors[1].grid.top == 15);
  const Network network = build_network(spec_from_text(kNodes), {Activation::relu6, 4, true});
  CHECK(plan_deployment(network).levels.at(0).activation.activation == Activation::relu6);
}

TEST_CASE("the plan of a network joins a convolution with the norm that alone reads it") {
  const Network network = make_resnet(tiny_resnet(Activation::relu6, 4));
  const DeploymentPlan plan = plan_deployment(network);
  REQUIRE(plan.obstacle.empty());
  std::vector<std::string> names, ranged;
  for (const PlannedLevels& one : plan.levels) {
    names.push_back(one.name);
    if (one.needs_range()) ranged.push_back(one.name);
  }
  CHECK(names == std::vector<std::string>{"bn1", "layer1.0.bn1", "layer1.0.bn2.term", "layer1.0.bn2", "layer2.0.bn1",
                                          "layer2.0.downsample.1", "layer2.0.bn2.term", "layer2.0.bn2", "layer3.0.bn1",
                                          "layer3.0.downsample.1", "layer3.0.bn2.term", "layer3.0.bn2"});
  CHECK(ranged == std::vector<std::string>{"bn1", "layer1.0.bn2.term", "layer2.0.downsample.1", "layer2.0.bn2.term",
                                           "layer3.0.downsample.1", "layer3.0.bn2.term"});
}

TEST_CASE("a network that does not end with a linear layer has no deployed form") {
  const Network network = build_network(spec_from_text(R"({"name": "small", "image": [4, 4, 3], "nodes": [
    {"name": "conv1", "layer": "conv2d", "out": 3, "quantized": true},
    {"name": "bn1", "layer": "norm_act", "quantized": true},
    {"name": "pool", "layer": "average_pool"}]})"),
                                        {Activation::relu, 4, true});
  CHECK(plan_deployment(network).obstacle == "it ends with pool, which is no linear layer");
}

}  // namespace bsq::test
