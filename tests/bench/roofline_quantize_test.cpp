// What a quantizer of signed numbers costs by the paper model of a step.
#include "bench/roofline_model.h"
#include "engine/network/layer_kinds.h"
#include "tests/support/catch.h"

namespace bsq::bench {

TEST_CASE("a quantizer of LSQ+ reads and writes a tensor forward, and reads two and writes one backward") {
  const Network network = build_network(spec_from_text(R"({"name": "net", "image": [8, 8, 3], "nodes": [
    {"name": "conv1", "layer": "conv2d", "out": 4, "quantized": true},
    {"name": "bn1", "layer": "norm_act", "activation": "none"}, {"name": "q", "layer": "quantize"},
    {"name": "conv2", "layer": "conv2d", "out": 4, "quantized": true}, {"name": "bn2", "layer": "norm_act"},
    {"name": "pool", "layer": "average_pool"}, {"name": "fc", "layer": "linear", "out": 3, "quantized": true}]})"),
                                        {.activation = Activation::lsq, .act_bits = 4, .quantizes_signed = true});
  double bytes = 0;
  for (const Operation& operation : training_step(network, {.batch = 16, .precision = Precision::bf16}))
    if (operation.group == "offset quantizer") bytes += operation.bytes();
  CHECK(bytes == (2 + 3) * 2.0 * 16 * 8 * 8 * 4);
}

}  // namespace bsq::bench
