// Models through protobuf to a file's bytes and back, where this build has ONNX.
#include "tests/support/files.h"
#include "tests/tools/export/onnx/onnx_support.h"
#include "tools/export/onnx/onnx_file.h"

namespace bsq::test {

TEST_CASE("a model comes back from the bytes of a file as it was, narrow types included") {
  if (!describe_onnx().starts_with("protobuf ")) {
    WARN("SKIPPED: " << describe_onnx());
    return;
  }
  const Network network = make_resnet(tiny_resnet(Activation::pact, 3));
  OnnxModel model = network_graph(network, random_plain(network), fixed_weights(network, mixed_bits),
                                  {.qonnx = GENERATE(false, true), .opset = 25});
  model.producer_name = "bsq";
  model.producer_version = "1.2.3";
  model.graph_name = "net";
  model.metadata = {{"scheme", "{}"}, {"act_bits", "3"}};
  const std::string bytes = onnx_bytes(model);
  CHECK(bytes == onnx_bytes(model));
  const OnnxModel read = parse_onnx(bytes);
  CHECK(read.ir_version == 13);
  CHECK(read.opsets == model.opsets);
  CHECK(read.producer_name + read.producer_version + read.graph_name == "bsq1.2.3net");
  CHECK(read.metadata == model.metadata);
  CHECK(read.input.dims == model.input.dims);
  CHECK(read.output.name == "logits");
  CHECK(read.output.dims == model.output.dims);
  REQUIRE(read.nodes.size() == model.nodes.size());
  for (std::size_t i = 0; i < read.nodes.size(); ++i) {
    const OnnxNode &a = read.nodes[i], &b = model.nodes[i];
    CHECK(a.name + a.op + a.domain == b.name + b.op + b.domain);
    CHECK(a.inputs == b.inputs);
    CHECK(a.outputs == b.outputs);
    CHECK((a.attributes == b.attributes));
  }
  REQUIRE(read.initializers.size() == model.initializers.size());
  for (std::size_t i = 0; i < read.initializers.size(); ++i) {
    CHECK(read.initializers[i].name == model.initializers[i].name);
    CHECK(read.initializers[i].type == model.initializers[i].type);
    CHECK(read.initializers[i].dims == model.initializers[i].dims);
    CHECK(read.initializers[i].raw == model.initializers[i].raw);
  }
  CHECK_THAT(error_of(ErrorKind::verification, [&] { parse_onnx(bytes.substr(0, bytes.size() / 2)); }),
             Catch::Contains("are no ONNX model"));
}

}  // namespace bsq::test
