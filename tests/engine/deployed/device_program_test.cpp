// Deployed networks by the operations of backends: what the host's program makes of them, level for level.
#include "engine/deployed/device_program.h"

#include "engine/deployed/check_deployed.h"
#include "engine/deployed/deployed_run.h"
#include "kernels/base/error.h"
#include "tests/engine/deployed/small_deployed.h"
#include "tests/support/backends.h"
#include "tests/support/guarding_backend.h"

#include <cmath>
#include <set>

namespace bsq::test {
namespace {

/// Makes a network tensor after tensor, with numbers that use most of every grid.
class NetworkOfLevels {
 public:
  NetworkOfLevels(int height, int width, int colors) : random_("networks of levels") {
    network.pixels.resize(static_cast<std::size_t>(colors));
    for (std::size_t c = 0; c < network.pixels.size(); ++c)
      for (std::size_t byte = 0; byte < 256; ++byte)
        network.pixels[c][byte] = static_cast<std::uint8_t>(c == 0 ? byte : 255 - byte / (c + 1));
    network.tensors.push_back({"images", height, width, colors, {1.0F / 64, 128, 255}});
  }

  int convolution(int from, int outputs, int kernel, int stride, int groups, LevelGrid grid) {
    const DeployedTensor x = tensor(from);
    LevelConvolution c{.kernel = kernel,
                       .stride = stride,
                       .padding = kernel / 2,
                       .groups = groups,
                       .k = {},
                       .scale = {},
                       .offset = {},
                       .bias = {},
                       .multiplier = {}};
    const int length = kernel * kernel * x.channels / groups;
    for (const std::int32_t k : random_.integers(std::int64_t{outputs} * length, 255))
      c.k.push_back(static_cast<std::int8_t>(k - 127));
    const float spread = 25 * static_cast<float>(x.grid.top) * std::sqrt(static_cast<float>(length));  // of sums, about
    for (const std::int32_t bias : random_.integers(outputs, 4000)) c.bias.push_back(bias - 2000);
    c.scale = random_.uniform(outputs, 0.001F, 0.002F);
    c.offset.resize(c.scale.size());
    c.multiplier = random_.uniform(outputs, 0.5F, 1);
    for (float& multiplier : c.multiplier) multiplier *= static_cast<float>(grid.top) / spread;
    const auto out = [&](int side) { return (side + 2 * c.padding - kernel) / stride + 1; };
    return add({from}, c, {"", out(x.height), out(x.width), outputs, grid});
  }
  int sum(int first, int second, LevelGrid grid) {
    DeployedTensor y = tensor(first);
    y.grid = grid;
    const LevelSum sum = sum_of(tensor(first).grid, tensor(second).grid, grid);
    return add({first, second}, sum, y);
  }
  int concat(const std::vector<int>& from, LevelGrid grid) {
    DeployedTensor y = tensor(from.front());
    y.grid = grid;
    y.channels = 0;
    std::vector<LevelGrid> grids;
    for (const int input : from) {
      y.channels += tensor(input).channels;
      grids.push_back(tensor(input).grid);
    }
    return add(from, concat_of(grids, grid), y);
  }
  int maximum(int from, LevelMaximum pool) {
    DeployedTensor y = tensor(from);
    for (int* side : {&y.height, &y.width}) *side = (*side + 2 * pool.padding - pool.kernel) / pool.stride + 1;
    return add({from}, pool, y);
  }
  int flatten(int from) {
    DeployedTensor y = tensor(from);
    y.channels = static_cast<int>(y.numel());
    y.height = y.width = 1;
    return add({from}, LevelFlatten{}, y);
  }
  DeployedNetwork with_head(int from, int classes) {
    DeployedHead& head = network.head;
    head.input = from;
    for (const std::int32_t k : random_.integers(std::int64_t{classes} * tensor(from).channels, 2001))
      head.k.push_back(static_cast<std::int16_t>(k - 1000));
    head.scale = random_.uniform(classes, 1e-5F, 1e-4F);
    head.offset = random_.uniform(classes, -1, 1);
    INFO(fault_of(network));
    REQUIRE(fault_of(network).empty());
    return network;
  }

  DeployedNetwork network{.pixels = {}, .tensors = {}, .nodes = {}, .head = {}};

 private:
  const DeployedTensor& tensor(int number) const { return network.tensors[static_cast<std::size_t>(number)]; }
  int add(std::vector<int> inputs, LevelOperation operation, DeployedTensor y) {
    y.name = "t" + std::to_string(network.tensors.size());
    network.nodes.push_back({std::move(inputs), std::move(operation)});
    network.tensors.push_back(std::move(y));
    return static_cast<int>(network.tensors.size()) - 1;
  }

  RandomTensors random_;
};

const LevelGrid kBytes{0.05F, 117, 255}, kLevels{0.3F, 0, 15}, kTwo{0.7F, 0, 1};

/// Residual blocks, with and without a projection.
DeployedNetwork residual() {
  NetworkOfLevels net(9, 7, 3);
  const int stem = net.convolution(0, 16, 3, 1, 1, kLevels);
  const int first = net.convolution(stem, 16, 3, 1, 1, kLevels);
  const int block = net.sum(net.convolution(first, 16, 3, 1, 1, kBytes), stem, kLevels);
  const int strided = net.convolution(block, 32, 3, 2, 1, kTwo);
  const int term = net.convolution(strided, 32, 3, 1, 1, kBytes);
  return net.with_head(net.sum(term, net.convolution(block, 32, 1, 2, 1, kBytes), kLevels), 10);
}

/// Gray pictures, windows, a vector, and linear layers.
DeployedNetwork plain() {
  NetworkOfLevels net(10, 8, 1);
  const int first = net.maximum(net.convolution(0, 32, 5, 1, 1, kLevels), {3, 2, 1});
  const int second = net.maximum(net.convolution(first, 48, 3, 1, 1, {0.2F, 0, 255}), {2, 2, 0});
  return net.with_head(net.convolution(net.flatten(second), 33, 1, 1, 1, kLevels), 101);
}

/// Channels beside each other, depthwise convolutions and groups.
DeployedNetwork joined() {
  NetworkOfLevels net(6, 5, 3);
  const int stem = net.convolution(0, 24, 3, 1, 1, kBytes);
  const int grown = net.convolution(stem, 12, 3, 1, 1, kLevels);
  const int joint = net.concat({stem, grown, stem}, {0.06F, 90, 255});
  const int deep = net.convolution(joint, 60, 3, 2, 60, kLevels);
  return net.with_head(net.convolution(deep, 20, 1, 1, 5, kTwo), 3);
}

DeployedNetwork small() {
  DeployedNetwork network = small_deployed();
  for (std::size_t i = 0; i < network.nodes.size(); ++i) {
    const auto grid = [&](std::size_t tensor) { return network.tensors[tensor].grid; };
    const auto input = [&](std::size_t k) { return grid(static_cast<std::size_t>(network.nodes[i].inputs[k])); };
    if (auto* c = std::get_if<LevelConvolution>(&network.nodes[i].operation))
      for (const float scale : c->scale) c->multiplier.push_back(multiplier_of(input(0), scale, grid(i + 1)));
    if (auto* sum = std::get_if<LevelSum>(&network.nodes[i].operation)) *sum = sum_of(input(0), input(1), grid(i + 1));
    if (auto* concat = std::get_if<LevelConcat>(&network.nodes[i].operation))
      *concat = concat_of({input(0), input(1)}, grid(i + 1));
  }
  return network;
}

std::vector<std::uint8_t> pictures_for(const DeployedNetwork& network, std::size_t count) {
  RandomTensors random("pictures of levels");
  return random.integers<std::uint8_t>(static_cast<std::int64_t>(count * network.tensors[0].numel()), 256);
}

void check_levels(const DeployedNetwork& network, Backend& backend) {
  constexpr std::size_t kPictures = 3;
  const std::vector<std::uint8_t> pictures = pictures_for(network, kPictures);
  const std::size_t bytes = network.tensors[0].numel(), classes = network.head.offset.size();
  DeviceProgram program(network, backend, kPictures, DeviceProgram::Keeps::all);
  const std::vector<float> found = program.run(pictures);
  const std::vector<std::vector<std::uint8_t>> levels = program.levels();
  for (std::size_t n = 0; n < kPictures; ++n) {
    std::vector<float> logits(classes);
    const PictureLevels expected = trace_deployed(network, std::span(pictures).subspan(n * bytes, bytes), logits);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      INFO("picture " << n << ", " << network.tensors[i].name);
      const auto own = std::span(levels[i]).subspan(n * expected[i].size(), expected[i].size());
      CHECK(std::ranges::equal(own, expected[i]));
      CHECK(std::set<std::uint8_t>(own.begin(), own.end()).size() > 1);
    }
    CHECK(std::ranges::equal(std::span(found).subspan(n * classes, classes), logits));
  }
}

/// Memory for so much at a time.
class SmallBackend final : public GuardingBackend {
 public:
  SmallBackend(Backend& inner, std::size_t most_bytes) : GuardingBackend(inner), most_bytes_(most_bytes) {}
  void* allocate(std::size_t size_bytes) override {
    if (size_bytes > most_bytes_) fail(ErrorKind::device, "out of device memory: wanted {} bytes", size_bytes);
    return GuardingBackend::allocate(size_bytes);
  }

 private:
  std::size_t most_bytes_;
};

}  // namespace

TEST_CASE("a deployed network on a device makes the levels and logits that it makes on the host") {
  for_each_backend([](Backend& backend) {
    for (const auto& network : {residual(), plain(), joined(), small()}) check_levels(network, backend);
  });
}

TEST_CASE("a deployed network on a device writes where it may, and runs batches of any size, the last one smaller") {
  for_each_backend([](Backend& backend) {
    for (const auto& network : {residual(), plain(), joined(), small()}) {
      const std::vector<std::uint8_t> pictures = pictures_for(network, 5);
      const std::vector<float> expected = run_deployed(network, pictures, 1);
      for (const int batch : {1, 2, 8}) {
        GuardingBackend guarding(backend);
        DeviceProgram program(network, guarding, batch);
        CHECK(program.batch() == batch);
        CHECK(program.run(pictures) == expected);
        CHECK(program.run(pictures) == expected);  // nothing of the first run is left
        CHECK(guarding.guards_intact());
      }
    }
  });
}

TEST_CASE("a batch of a deployed network that memory does not hold is made smaller, and one picture is an error") {
  for_each_backend([](Backend& backend) {
    const DeployedNetwork network = residual();
    const std::vector<std::uint8_t> pictures = pictures_for(network, 5);
    SmallBackend small(backend, 60'000);  // weights take half of it
    DeviceProgram program(network, small, 256);
    CHECK(program.batch() < 256);
    CHECK(program.batch() > 1);
    CHECK(program.run(pictures) == run_deployed(network, pictures, 1));
    CHECK_THROWS_WITH(DeviceProgram(network, backend, 2).levels(), Catch::Contains("not kept"));
    SmallBackend tiny(backend, 2000);
    CHECK_THROWS_WITH(DeviceProgram(network, tiny, 256), Catch::Contains("out of device memory"));
  });
}

}  // namespace bsq::test
