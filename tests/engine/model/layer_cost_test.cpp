// What layers cost, against counts by hand.
#include "engine/model/layer_cost.h"

#include "engine/network/layer_kinds.h"
#include "tests/support/catch.h"

namespace bsq::test {
namespace {

/// Two convolutions without bias, the second float, and a classifier with bias.
Network costs_network() {
  return build_network(spec_from_text(R"({"name": "net", "image": [8, 8, 3], "nodes": [
    {"name": "conv1", "layer": "conv2d", "out": 4, "quantized": true},
    {"name": "relu1", "layer": "norm_act", "quantized": true},
    {"name": "conv2", "layer": "conv2d", "out": 8, "stride": 2},
    {"name": "relu2", "layer": "norm_act", "activation": "relu"},
    {"name": "pool", "layer": "average_pool"}, {"name": "fc", "layer": "linear", "out": 5, "quantized": true}]})"),
                       {.activation = Activation::relu6, .act_bits = 4});
}

TensorBits tensor_of(const std::string& name, std::int64_t numel, int bits) {
  TensorBits tensor;
  tensor.name = name;
  tensor.numel = numel;
  tensor.bits = bits;
  return tensor;
}

}  // namespace

TEST_CASE("operations of a layer are multiply-adds by bits of weights, with their sign, by bits of inputs") {
  BitSummary summary;
  summary.tensors = {tensor_of("conv1.weight", 108, 3), tensor_of("fc.weight", 40, 2), tensor_of("fc.bias", 5, 6)};
  std::vector<LayerCost> layers = layer_costs(summary, costs_network());
  REQUIRE(layers.size() == 3);
  CHECK(layers[0].name == "conv1");
  CHECK(layers[0].macs == 8 * 8 * 108);
  CHECK(layers[0].input_bits == 32);  // images are float
  CHECK(layers[0].bops(true) == 8 * 8 * 108 * 4 * 32);
  CHECK(layers[0].bops(false) == 8 * 8 * 108 * 3 * 32);
  CHECK(layers[0].stored_bits == 108 * 4 + 32);
  CHECK(layers[0].numbers == 108);
  CHECK(layers[1].bits == 32);  // a float weight has its sign in its 32 bits
  CHECK(layers[1].input_bits == 4);
  CHECK(layers[1].bops(true) == 4 * 4 * 288 * 32 * 4);
  CHECK(layers[1].stored_bits == 288 * 32);
  CHECK(layers[2].stored_bits == 40 * 3 + 32 + 5 * 7 + 32);  // its bias too
  CHECK(layers[2].bytes() == (40 * 3 + 32 + 5 * 7 + 32) / 8.0);
  CHECK(layers[2].numbers == 45);
  CHECK(layers[2].weights == 40);
  CHECK(macs_of(layers) == layers[0].macs + layers[1].macs + layers[2].macs);
  CHECK(bops_of(layers, true) == layers[0].bops(true) + layers[1].bops(true) + layers[2].bops(true));
}

TEST_CASE("a layer of zeros costs no operation, and its scale alone in a file") {
  BitSummary summary;
  summary.tensors = {tensor_of("conv1.weight", 108, 3), tensor_of("fc.weight", 40, 32), tensor_of("fc.bias", 5, 32)};
  summary.tensors[0].empty = true;
  const std::vector<LayerCost> layers = layer_costs(summary, costs_network());
  CHECK(layers.at(0).bops(true) == 0);
  CHECK(layers.at(0).stored_bits == 32);
  CHECK(layers.at(2).stored_bits == 45 * 32);
}

}  // namespace bsq::test
