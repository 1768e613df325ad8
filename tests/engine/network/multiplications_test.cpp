// Multiply-adds by weight, and the bits on the other side, against counts by hand.
#include "engine/network/multiplications.h"

#include "engine/network/layer_kinds.h"
#include "tests/support/catch.h"

namespace bsq::test {

TEST_CASE("multiply-adds are counted by weight, with the bits of the activations they read") {
  const Network network = build_network(spec_from_text(R"({"name": "net", "image": [8, 8, 3], "nodes": [
    {"name": "conv1", "layer": "conv2d", "out": 4, "quantized": true},
    {"name": "relu1", "layer": "norm_act", "quantized": true},
    {"name": "conv2", "layer": "conv2d", "out": 8, "stride": 2, "groups": 2, "quantized": true},
    {"name": "relu2", "layer": "norm_act", "activation": "relu"},
    {"name": "pool", "layer": "average_pool"}, {"name": "fc", "layer": "linear", "out": 5, "quantized": true}]})"),
                                        {.activation = Activation::relu6, .act_bits = 4});
  const std::vector<Multiplication> found = multiplications(network);
  REQUIRE(found.size() == 3);
  const auto name = [&](std::size_t i) { return network.parameters()[static_cast<std::size_t>(found[i].weight)].name; };
  CHECK(name(0) == "conv1.weight");
  CHECK(found[0].macs == 8 * 8 * 4 * 9 * 3);
  CHECK(found[0].input_bits == 0);  // pixels, normalised
  CHECK(found[0].bit_operations() == 32 * found[0].macs);
  CHECK(name(1) == "conv2.weight");
  CHECK(found[1].macs == 4 * 4 * 8 * 9 * 2);
  CHECK(found[1].bit_operations() == 4 * found[1].macs);
  CHECK(name(2) == "fc.weight");
  CHECK(found[2].macs == 8 * 5);
  CHECK(found[2].input_bits == 0);
}

}  // namespace bsq::test
