// A small network in integers with every operation, and two pictures for it.
#pragma once

#include "engine/deployed/deployed_network.h"
#include "tests/support/random_tensors.h"

namespace bsq::test {

/// Two convolutions, the second in groups, an addition, a largest of windows, a joint, a vector.
inline DeployedNetwork small_deployed() {
  RandomTensors random("a network in integers");
  const auto convolution = [&](int kernel, int groups, int inputs, int outputs) {
    LevelConvolution c;
    c.kernel = kernel;
    c.padding = kernel / 2;
    c.groups = groups;
    for (const std::int32_t k : random.integers(outputs * kernel * kernel * inputs / groups, 255))
      c.k.push_back(static_cast<std::int8_t>(k - 127));
    c.scale = random.uniform(outputs, 0.001F, 0.002F);
    c.offset = random.uniform(outputs, -1, 1);
    c.bias = random.integers(outputs, 5000);
    return c;
  };
  const LevelGrid bytes{0.05F, 120, 255}, few{0.3F, 0, 15};
  DeployedNetwork network{
      .pixels = PixelLevels(3), .tensors = {{"images", 6, 6, 3, {1.0F / 64, 128, 255}}}, .nodes = {}, .head = {}};
  for (auto& color : network.pixels)
    for (std::size_t i = 0; i < color.size(); ++i) color[i] = static_cast<std::uint8_t>(255 - i);
  network.nodes = {{{0}, convolution(3, 1, 3, 4)}, {{1}, convolution(1, 4, 4, 4)}, {{1, 2}, LevelSum{}},
                   {{3}, LevelMaximum{2, 2, 0}},   {{4, 4}, LevelConcat{}},        {{5}, LevelFlatten{}}};
  network.tensors.insert(network.tensors.end(), {{"a", 6, 6, 4, bytes},
                                                 {"b", 6, 6, 4, few},
                                                 {"c", 6, 6, 4, few},
                                                 {"d", 3, 3, 4, few},
                                                 {"e", 3, 3, 8, bytes},
                                                 {"f", 1, 1, 72, bytes}});
  network.head = {6, std::vector<std::int16_t>(144, 7), {0.01F, 0.02F}, {0.5F, -0.5F}};
  network.head.k[3] = -32767;
  return network;
}

inline std::vector<std::uint8_t> small_pictures() {
  RandomTensors random("pictures");
  const std::vector<std::int32_t> bytes = random.integers(2 * 6 * 6 * 3, 256);
  return {bytes.begin(), bytes.end()};
}

}  // namespace bsq::test
