// quant.layers and quant.projections in whole runs: widths stay what they are said to be, through every stage, kill and
// command, and reports count them.
#include "tests/support/tensor_file.h"
#include "tests/support/workspace.h"

#include <map>

using namespace bsq::test;
using nlohmann::json;

namespace {

/// First and last layer at 8 bits, one layer float, one that ends at 2 bits at most, and an activation of 6 bits.
const std::string kLayers =
    "quant.layers={conv1: {weight_bits: 8, fixed: true}, fc: {weight_bits: 8, fixed: true}, "
    "layer2.0.conv2: {float: true}, layer1.0.conv1: {weight_bits: 2, max_bits: 2}, layer1.0.relu1: {act_bits: 6}}";

json json_printed_by(const Workspace& here, Words words) {
  words.emplace_back("--json");
  if (words[0] != "inspect") words.emplace_back("-q");
  return json::parse(here.must(words).out);
}

std::map<std::string, json> layers_of(const json& precision) {
  std::map<std::string, json> layers;
  for (const json& layer : precision.at("layers")) layers[layer.at("name")] = layer;
  return layers;
}

/// `act_bits`: of its activations as a rule; 0: the file says none.
void check_widths(const Workspace& here, const std::string& model, int act_bits = 4) {
  INFO(model);
  const json precision = json_printed_by(here, {"inspect", model}).at("precision");
  const std::map<std::string, json> layers = layers_of(precision);
  CHECK(layers.size() == 8);  // nine quantized tensors as a rule
  for (const char* name : {"conv1.weight", "fc.weight", "fc.bias"}) {
    INFO(name);
    CHECK(layers.at(name).at("bits") == 8);
    CHECK(layers.at(name).at("fixed") == true);
  }
  CHECK_FALSE(layers.contains("layer2.0.conv2.weight"));
  CHECK(layers.at("layer1.0.conv1.weight").at("bits") <= 2);
  CHECK(layers.at("layer3.0.conv2.weight").at("fixed") == false);
  CHECK(layers.at("layer1.0.conv2.weight").at("input_bits") == (act_bits > 0 ? 6 : 0));
  CHECK(layers.at("layer3.0.conv1.weight").at("input_bits") == act_bits);
  CHECK_FALSE(layers.at("fc.bias").contains("input_bits"));
  if (act_bits > 0) CHECK(precision.at("layers_with_float_inputs") == json({"conv1", "layer1.0.conv1", "fc"}));
  CHECK(precision.at("float_layers") == json({"layer2.0.conv2", "layer2.0.downsample.0", "layer3.0.downsample.0"}));
  double bits = 0, weights = 0;
  for (const auto& [name, layer] : layers) {
    weights += layer.at("weights").get<double>();
    bits += layer.at("weights").get<double>() * std::max(layer.at("bits").get<double>(), 1.0);
  }
  CHECK(precision.at("bits_per_parameter").get<double>() == Approx(bits / weights));
}

}  // namespace

TEST_CASE("fixed layers keep their bits and float ones stay float, from conversion to finetuning") {
  const Workspace here;
  here.train("run", {kLayers, "quant.act_bits=4"});
  for (const char* stage : {"convert", "bsq", "bsq_best", "finetune", "finetune_best"})
    check_widths(here, std::string("run/checkpoints/") + stage);
  bool has_shrunk = false;
  for (const std::string& line : lines_of(text_of(here / "run/precision.jsonl"))) {
    const json row = json::parse(line);
    if (row.at("layer") == "conv1.weight" || row.at("layer") == "fc.bias") CHECK(row.at("bits_after") == 8);
    has_shrunk |= row.at("bits_after") < row.at("bits_before");
    CHECK(row.at("layer") != "layer2.0.conv2.weight");
  }
  CHECK(has_shrunk);  // others do
  // The network of a checkpoint says all of it, so that nothing else is asked.
  const json metadata = json_printed_by(here, {"inspect", "run"}).at("metadata");
  CHECK_THAT(metadata.at("network").get<std::string>(), Catch::Contains(R"("weight_bits":8,"fixed":true)"));
  CHECK(json::parse(metadata.at("scheme").get<std::string>()).at("fc") == json({8, 8}));
}

TEST_CASE("a run with rules of layers goes on to the same bits, and not under other rules") {
  const Workspace here;
  const Words rules = {kLayers, "checkpoint.keep_last=9"};
  here.train("whole", rules);
  for (const char* checkpoint : {"epoch_0003", "epoch_0005", "epoch_0008"}) {
    INFO(checkpoint);
    fs::remove_all(here / "part");
    here.train("part", rules);
    fs::remove(here / "part/checkpoints/last");
    fs::create_symlink(checkpoint, here / "part/checkpoints/last");
    edit_text(here / "part/status.json", "done", "failed");
    if (checkpoint == std::string("epoch_0005"))
      check_error(here, {"train", "--resume", "part", "quant.layers={conv1: {weight_bits: 7}}"}, 4,
                  {"--resume: quant.layers {conv1: {weight_bits: 8, fixed: true}", "{conv1: {weight_bits: 7}} now"});
    here.must({"train", "--resume", "part"});
    for (const char* stage : {"bsq", "finetune"}) {
      const fs::path model = fs::path("checkpoints") / stage / "model.safetensors";
      CHECK(text_of(here / "whole" / model) == text_of(here / "part" / model));
    }
  }
}

TEST_CASE("a run without rules says nothing of them in its files") {
  const Workspace here;
  here.train("run");
  here.train("said", {"quant.layers={}", "quant.projections=false"});
  for (const char* stage : {"pretrain", "convert", "bsq", "finetune"}) {
    const fs::path model = fs::path("checkpoints") / stage / "model.safetensors";
    CHECK(text_of(here / "run" / model) == text_of(here / "said" / model));
    const std::string network = bsq::read_safetensors(here / "run" / model).metadata.at("network");
    for (const char* word : {"projection", "weight_bits", "max_bits", "fixed", "act_bits", "false"})
      CHECK_FALSE(contains(network, word));
  }
}

TEST_CASE("every command takes a model with widths of its own") {
  const Workspace here;
  here.train("run", {kLayers, "quant.act_bits=4", "quant.act_scale=calibrated"});
  const json result = json_printed_by(here, {"eval", "run"});
  CHECK(layers_of(result.at("precision")) == layers_of(json_printed_by(here, {"inspect", "run"}).at("precision")));
  here.must({"export", "run", "--format=packed", "--output=packed.safetensors"});
  CHECK(json_printed_by(here, {"eval", "packed.safetensors", "--config", "tiny.yaml"}).at("loss") == result.at("loss"));
  check_widths(here, "packed.safetensors");
  if (contains(here.must({"info"}).out, "\nonnx       protobuf "))
    for (const char* format : {"onnx", "qonnx"})
      CHECK_THAT(here.must({"export", "run", "--format", format}).out, Catch::Contains("same top-1 on all"));
  // Conversion of the float model: 5 bits for whom nothing else is said.
  here.must({"convert", "run/checkpoints/pretrain", "five.safetensors", "--bits=5"});
  const auto five = layers_of(json_printed_by(here, {"inspect", "five.safetensors"}).at("precision"));
  CHECK(five.at("layer1.0.conv2.weight").at("bits") == 5);
  CHECK(five.at("layer1.0.conv1.weight").at("bits") == 2);
  CHECK(five.at("conv1.weight").at("bits") == 8);
  here.must({"convert", "run/checkpoints/pretrain", "scheme.safetensors", "--scheme", "run/checkpoints/bsq"});
  check_widths(here, "scheme.safetensors", 0);
  const json as_three = json_printed_by(here, {"eval", "run/checkpoints/pretrain", "quant.weight_bits=3"});
  CHECK(layers_of(as_three.at("precision")).at("fc.bias").at("bits") == 8);
  CHECK(layers_of(as_three.at("precision")).at("layer3.0.conv1.weight").at("bits") == 3);
  check_error(here, {"eval", "run", "-q", kLayers}, 2, {"quant.layers: ", "says the widths of its layers"});
}

TEST_CASE("a float model starts a run under any rules, a quantized one under its own") {
  const Workspace here;
  here.train("run", {"stages=[pretrain,convert]"});
  here.must({"train", "tiny.yaml", "--run-dir", "ruled", "stages=[convert,bsq,finetune]", kLayers,
             "quant.projections=true", "model.init=run/checkpoints/pretrain"});
  const auto layers = layers_of(json_printed_by(here, {"inspect", "ruled"}).at("precision"));
  CHECK(layers.at("conv1.weight").at("bits") == 8);
  CHECK(layers.contains("layer2.0.downsample.0.weight"));
  const Words from_planes = {"train", "tiny.yaml",    "--run-dir",
                             "new",   "stages=[bsq]", "model.init=run/checkpoints/convert"};
  const auto with = [&](const std::string& word) {
    Words words = from_planes;
    words.push_back(word);
    return words;
  };
  check_error(
      here, with("quant.projections=true"), 4,
      {"layer2.0.downsample.0.weight has no bit widths, by quant.layers and quant.projections it should have "});
  check_error(here, with("quant.layers={fc: {float: true}}"), 4, {"fc.weight has bit widths, ", "it stays float"});
  check_error(here, with("quant.layers={fc: {weight_bits: 7, fixed: true}}"), 2,
              {"bits in fc.weight, where the network says 7, fixed; start from float weights"});
  CHECK_FALSE(fs::exists(here / "new"));
}

TEST_CASE("projections are trained in planes where that is wanted") {
  const Workspace here;
  here.train("run", {"quant.projections=true"});
  const json precision = json_printed_by(here, {"inspect", "run"}).at("precision");
  CHECK(layers_of(precision).size() == 11);
  CHECK(precision.at("float_layers").empty());
  here.must({"export", "run", "--format=packed"});
}

TEST_CASE("rules that do not fit the network are refused before anything is done") {
  const Workspace here;
  put_text(here / "c.yaml",
           "_base_: tiny.yaml\n"
           "quant:\n"
           "  layers:\n"
           "    conv1: {weight_bits: 8, fixed: true}\n"
           "    fcc: {weight_bits: 8}\n");
  const std::vector<std::string> lines = {"c.yaml:5:5: quant.layers: 'fcc' matches no layer; did you mean 'fc'?",
                                          "1 error; nothing was written"};
  check_errors(here, {"validate", "c.yaml"}, 2, lines);
  check_errors(here, {"train", "c.yaml", "--run-dir", "new"}, 2, lines);
  check_errors(here, {"sweep", "c.yaml", "seed=1,2"}, 2, lines);
  CHECK_FALSE(fs::exists(here / "new"));
  here.must({"validate", "c.yaml", "quant.layers={}"});
  check_errors(here, {"validate", "tiny.yaml", "quant.layers={fc: {bits: 8}}"}, 2,
               {"override 1: quant.layers: 'fc' has no key 'bits', they are weight_bits, max_bits, act_bits, fixed, "
                "float",
                "1 error; nothing was written"});
}

TEST_CASE("the report shows what is fixed, what is float, and what reads float numbers") {
  const Workspace here;
  const std::string report = here.train("run", {kLayers, "quant.act_bits=4"}).out;
  CHECK_THAT(report, Catch::Contains("8 fixed"));
  CHECK_THAT(report, Catch::Contains("layer2.0.conv2, layer2.0.downsample.0, layer3.0.downsample.0"));
  CHECK_THAT(report, Catch::Contains("of conv1, layer1.0.conv1, fc\n"));
  const std::string page = text_of(here / "run/report/index.html");
  CHECK_THAT(page, Catch::Contains("what is float") && Catch::Contains("of conv1, layer1.0.conv1, fc"));
  std::int64_t numbers = 0;
  for (const std::string& line : lines_of(text_of(here / "run/report/float.csv"))) {
    const std::size_t first = line.find(','), second = line.rfind(',');
    if (line.starts_with("tensor,")) continue;
    const std::int64_t count = std::stoll(line.substr(first + 1, second));
    CHECK(std::stoll(line.substr(second + 1)) == 4 * count);
    numbers += count;
  }
  CHECK(numbers == json_of(here / "run/report/summary.json").at("precision").at("float_numbers"));
  CHECK_THAT(text_of(here / "run/report/layers.csv"), Catch::Contains("\nconv1.weight,2x3x3x3,54,8,0,") &&
                                                          Catch::Contains(",1,0\n") && Catch::Contains(",0,6\n"));
}

TEST_CASE("a layer whose sums of integers may be rounded is named once") {
  const Workspace here;
  put_text(here / "net.yaml",
           "nodes:\n"
           "  - {name: stem, layer: conv2d, out: 29, stride: 8, quantized: true}\n"
           "  - {name: n1, layer: norm_act, quantized: true}\n"
           "  - {name: wide, layer: conv2d, out: 4, quantized: true}\n"
           "  - {name: n2, layer: norm_act}\n"
           "  - {name: pool, layer: average_pool}\n"
           "  - {name: fc, layer: linear, out: 10, quantized: true}\n");
  const Words words = {"model.network=net.yaml", "quant.weight_bits=8", "quant.max_bits=8", "quant.act_bits=8"};
  const std::string log = here.train("run", words).err;
  const std::string note = "stage convert: sums of integers in wide may reach 17.0 million";
  CHECK_THAT(log, Catch::Contains(note));
  CHECK(log.find("sums of integers", log.find(note) + note.size()) == std::string::npos);
  CHECK_THAT(text_of(here / "run/train.log"), Catch::Contains(note));
  Words narrow = words;
  narrow.back() = "quant.act_bits=7";
  CHECK_FALSE(contains(here.train("narrow", narrow).err, "sums of integers"));
}
