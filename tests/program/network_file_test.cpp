// Networks in files of their own: `model.network`, what checkpoints say of their network, and `bsq inspect --network`.
#include "tests/support/tensor_file.h"
#include "tests/support/workspace.h"

#include <map>

using namespace bsq::test;
using nlohmann::json;

namespace {

/// No shortcuts, five nodes, groups: nothing that ResNets have but its layers.
constexpr const char* kChain =
    "nodes:\n"
    "  - {name: first, layer: conv2d, out: 4, stride: 2, quantized: true}\n"
    "  - {name: norm, layer: norm_act, activation: configured, quantized: true}\n"
    "  - {name: second, layer: conv2d, out: 6, kernel: 5, stride: 3, groups: 2, quantized: true}\n"
    "  - {name: norm2, layer: norm_act}\n"
    "  - {name: pool, layer: average_pool}\n"
    "  - {name: classes, layer: linear, out: 10, quantized: true}\n";

/// A dense block of two layers, and dropout of images and of a vector.
constexpr const char* kDense =
    "nodes:\n"
    "  - {name: stem, layer: conv2d, out: 8, stride: 4, quantized: true}\n"
    "  - {name: bn1, layer: norm_act, activation: configured, quantized: true}\n"
    "  - {name: conv1, layer: conv2d, out: 4, quantized: true}\n"
    "  - {name: drop1, layer: dropout, rate: 0.2}\n"
    "  - {name: cat1, layer: concat, inputs: [stem, drop1]}\n"
    "  - {name: bn2, layer: norm_act, activation: configured, quantized: true}\n"
    "  - {name: drop2, layer: dropout, rate: 0.1}\n"
    "  - {name: conv2, layer: conv2d, out: 4, quantized: true}\n"
    "  - {name: cat2, layer: concat, inputs: [cat1, conv2]}\n"
    "  - {name: bn3, layer: norm_act}\n"
    "  - {name: pool, layer: average_pool}\n"
    "  - {name: drop3, layer: dropout, rate: 0.5}\n"
    "  - {name: classes, layer: linear, out: 10, quantized: true}\n";

void check_same_tensors(const Workspace& here, const fs::path& a, const fs::path& b) {
  const bsq::TensorFile left = bsq::read_safetensors(here / a), right = bsq::read_safetensors(here / b);
  REQUIRE(left.tensors.size() == right.tensors.size());
  for (const bsq::HostTensor& tensor : left.tensors) {
    INFO(a.string() << " " << tensor.name);
    CHECK(right.at(tensor.name).bytes == tensor.bytes);
  }
}

}  // namespace

TEST_CASE("a ResNet written as a file trains to the bits of the family's") {
  const Workspace here;
  const Words calibrated = {"quant.act_scale=calibrated", "quant.calibration_batches=2", "quant.act_bits=3"};
  put_text(here / "net.yaml", here.must({"inspect", "--network", "tiny.yaml"}).out);
  here.train("made", calibrated);
  Words with_file = calibrated;
  with_file.emplace_back("model.network=net.yaml");
  here.train("read", with_file);
  for (const char* stage : {"pretrain", "convert", "bsq", "finetune", "bsq_best", "finetune_best"})
    check_same_tensors(here, fs::path("made/checkpoints") / stage / "model.safetensors",
                       fs::path("read/checkpoints") / stage / "model.safetensors");
  // The file of the run is no longer needed: checkpoints say their network.
  fs::remove(here / "net.yaml");
  const auto nodes = [&](const char* run) {
    const std::string text = here.must({"inspect", "--network", run}).out;
    return text.substr(text.find('\n'));  // without the line that says who made it
  };
  CHECK(nodes("read") == nodes("made"));
}

TEST_CASE("a network of no family runs through every stage and command") {
  const Workspace here;
  put_text(here / "nets/chain.yaml", kChain);
  here.train("run", {"model.network=nets/chain.yaml"});
  fs::remove(here / "nets/chain.yaml");
  const json metadata = json::parse(here.must({"inspect", "run", "--json"}).out).at("metadata");
  CHECK_FALSE(metadata.contains("depth"));
  CHECK(json::parse(metadata.at("network").get<std::string>()).at("nodes").size() == 6);
  const json result = json::parse(here.must({"eval", "run", "--json"}).out);
  CHECK(result.at("precision").at("layers").size() == 4);
  here.must({"convert", "run/checkpoints/pretrain", "p.safetensors", "--scheme", "run/checkpoints/bsq"});
  for (const std::string format : {"float", "packed"})
    here.must({"export", "run", "--format", format, "--output", format + ".safetensors"});
  const json packed = json::parse(here.must({"eval", "packed.safetensors", "--config", "tiny.yaml", "--json"}).out);
  CHECK(packed.at("loss") == result.at("loss"));
  if (contains(here.must({"info"}).out, "\nonnx       protobuf "))
    CHECK_THAT(here.must({"export", "run", "--format=onnx", "quant.act_scale=batch_max"}).out,
               Catch::Contains("same top-1 on all"));
  CHECK_THAT(here.must({"report", "run"}).out, Catch::Contains("nets/chain.yaml; data synthetic"));
  // Back into a file, and on from a checkpoint.
  put_text(here / "again.yaml", here.must({"inspect", "--network", "packed.safetensors"}).out);
  here.must({"train", "tiny.yaml", "--run-dir", "tuned", "stages=[finetune]", "model.init=run/checkpoints/bsq",
             "model.network=again.yaml"});
  check_error(here, {"train", "tiny.yaml", "--run-dir", "new", "stages=[finetune]", "model.init=run/checkpoints/bsq"},
              4, {"is chain, the configuration says resnet8 (depth 8, width 2); set model.network to what"});
}

TEST_CASE("a run goes on with the network of its checkpoint") {
  const Workspace here;
  put_text(here / "net.yaml", kChain);
  here.train("whole", {"model.network=net.yaml"});
  here.train("part", {"model.network=net.yaml", "checkpoint.keep_last=9"});
  fs::remove(here / "net.yaml");
  fs::remove(here / "part/checkpoints/last");
  fs::create_symlink("epoch_0006", here / "part/checkpoints/last");
  edit_text(here / "part/status.json", "done", "failed");
  here.must({"train", "--resume", "part"});
  check_same_tensors(here, "whole/checkpoints/finetune/model.safetensors",
                     "part/checkpoints/finetune/model.safetensors");
}

TEST_CASE("a network that joins images and drops numbers is planned, goes on as if never stopped, and is exported") {
  const Workspace here;
  put_text(here / "net.yaml", kDense);
  const Words network = {"model.network=net.yaml"};
  const std::string plan = here.must({"train", "tiny.yaml", "--dry-run", network[0]}).out;
  CHECK_THAT(plan, Catch::Contains("activations and gradients, training"));
  here.train("whole", network);
  here.train("part", {network[0], "checkpoint.keep_last=99"});
  for (const std::string epoch :
       {"epoch_0001", "epoch_0006"}) {  // of both methods of training, in the middle of a stage
    const std::string run = "from_" + epoch;
    fs::copy(here / "part", here / run, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    fs::remove(here / run / "checkpoints/last");
    fs::create_symlink(epoch, here / run / "checkpoints/last");
    edit_text(here / run / "status.json", "done", "failed");
    here.must({"train", "--resume", run});
    check_same_tensors(here, "whole/checkpoints/finetune/model.safetensors",
                       run + "/checkpoints/finetune/model.safetensors");
  }
  here.must({"export", "whole", "--format", "packed", "--output", "packed.safetensors"});
  const json packed = json::parse(here.must({"eval", "packed.safetensors", "--config", "tiny.yaml", "--json"}).out);
  CHECK(packed.at("loss") == json::parse(here.must({"eval", "whole", "--json"}).out).at("loss"));
  if (!contains(here.must({"info"}).out, "\nonnx       protobuf ")) return;
  for (const char* format : {"--format=onnx", "--format=qonnx"})
    CHECK_THAT(here.must({"export", "whole", format, "quant.act_scale=batch_max"}).out,
               Catch::Contains("same top-1 on all"));
}

TEST_CASE("errors of a network file say the line, the node and the key") {
  const Workspace here;
  const Words train = {"train", "tiny.yaml", "--run-dir", "new", "model.network=net.yaml"};
  put_text(here / "net.yaml", kChain);
  edit_text(here / "net.yaml", "out: 4", "out: 0");
  check_error(here, train, 2, {"net.yaml:2:34: node 'first', key 'out': must be an integer in 1..65536"});
  put_text(here / "net.yaml", kChain);
  edit_text(here / "net.yaml", "out: 10", "out: 7");
  check_error(here, train, 2, {"net.yaml: the last node gives 7 numbers, the data has 10 classes"});
  put_text(here / "net.yaml", std::string("image: [28, 28, 3]\n") + kChain);
  check_error(here, train, 2,
              {"net.yaml: image is 28x28 of 3 channels, the data have 32x32 of 3; change it, or leave it out"});
  fs::remove(here / "net.yaml");
  check_error(here, train, 2, {"net.yaml: "});
  CHECK_FALSE(fs::exists(here / "new"));
}

TEST_CASE("a checkpoint whose network is damaged is refused") {
  const Workspace here;
  here.train("run", {"stages=[pretrain]"});
  const bsq::TensorFile whole = bsq::read_safetensors(here / "run/checkpoints/pretrain/model.safetensors");
  json network = json::parse(whole.metadata.at("network"));
  const auto put = [&](const std::string& text) {
    bsq::TensorFile file = whole;
    file.metadata["network"] = text;
    bsq::write_safetensors(here / "bad.safetensors", file);
  };
  const Words eval = {"eval", "bad.safetensors", "data.kind=synthetic"};
  put("{");
  check_error(here, eval, 4, {"bad.safetensors: metadata 'network': is no JSON; the file is damaged"});
  json other = network;
  other["nodes"][0]["quantized"] = "very";
  put(other.dump());
  check_error(here, eval, 4, {"bad.safetensors: metadata 'network': node 'conv1', key 'quantized'"});
  other = network;
  other["nodes"][0]["out"] = 3;
  put(other.dump());
  check_error(here, eval, 4, {"bad.safetensors: metadata 'network': node 'layer1.0.bn2'", "differ in shape"});
  other = network;
  other["nodes"].back()["out"] = 11;
  put(other.dump());
  check_error(here, eval, 4, {"bad.safetensors: fc.weight has shape (10, 8), this network wants (11, 8)"});
  put("{\"nodes\": " + std::string(5000, '[') + std::string(5000, ']') + "}");
  check_error(here, eval, 4, {"bad.safetensors: metadata 'network': node 1"});
  check_error(here, {"eval", "run", "model.network=net.yaml", "-q"}, 2, {"says its network; leave it out"});
}

TEST_CASE("the layers of PyTorch train, and inspect prints what they became") {
  const Workspace here;
  put_text(here / "net.yaml",
           "image: [16, 16, 3]\n"
           "quantize: all\n"
           "nodes:\n"
           "  - {name: stem, layer: conv2d, out: 4, stride: 2, bias: true}\n"
           "  - {name: stem_bn, layer: batch_norm}\n"
           "  - {name: stem_relu, layer: activation}\n"
           "  - {name: conv, layer: conv2d, out: 4, bias: true}\n"
           "  - {name: add, layer: add, inputs: [conv, stem_relu]}\n"
           "  - {name: relu, layer: activation}\n"
           "  - {name: pool, layer: average_pool}\n"
           "  - {name: fc, layer: linear, out: 10}\n");
  const std::string text = here.must({"inspect", "--network", "net.yaml"}).out;
  CHECK_THAT(text, Catch::Contains("{name: relu, layer: bias_act, inputs: [conv, stem_bn], quantized: true, "
                                   "activation_name: relu}\n"));
  const json network = json::parse(here.must({"inspect", "--network", "--json", "net.yaml"}).out);
  CHECK(network.at("nodes").size() == 6);
  put_text(here / "fused.yaml", text);
  CHECK(here.must({"inspect", "--network", "fused.yaml"}).out == text);
  put_text(here / "bare.yaml", text.substr(text.find("nodes:")));
  check_error(here, {"inspect", "--network", "bare.yaml"}, 2, {"bare.yaml:1:1: key 'image': is missing"});
}
