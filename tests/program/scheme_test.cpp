// Schemes as files: what bsq scheme prints, who takes it, and what it makes of a model; bsq sensitivity and bsq
// what-if, against conversions and evaluations of the same widths.
#include "tests/support/emulated_gpu.h"
#include "tests/support/tensor_file.h"
#include "tests/support/workspace.h"
#include "tests/support/xml.h"

#include <map>

using namespace bsq::test;
using nlohmann::json;

namespace {

/// Bits of the layers that differ in width and are not all free.
const char* const kScheme =
    "conv1: {weight_bits: 8, fixed: true}\n"
    "layer1.0.conv1: {weight_bits: 4}\n"
    "layer1.0.conv2: {weight_bits: 3, fixed: false}\n"
    "\"layer2.*.conv?\": {weight_bits: 2}\n"
    "layer3.0.conv1: {weight_bits: 3}\n"
    "layer3.0.conv2: {weight_bits: 5}\n"
    "fc: {weight_bits: 6, fixed: true}\n";

json printed(const Workspace& here, Words words) {
  words.emplace_back("--json");
  if (words[0] != "inspect") words.emplace_back("-q");
  return json::parse(here.must(words).out);
}

json loss_of(const Workspace& here, const std::string& model) {
  return printed(here, {"eval", model, "--config", "run/config.yaml"}).at("loss");
}

/// Bits by name of the parameter.
std::map<std::string, int> widths_of(const Workspace& here, const std::string& model) {
  std::map<std::string, int> widths;
  const json precision = printed(here, {"inspect", model}).at("precision");
  for (const json& layer : precision.at("layers")) widths[layer.at("name")] = layer.at("bits");
  return widths;
}

void check_widths_of_scheme(const Workspace& here, const std::string& model) {
  INFO(model);
  CHECK(widths_of(here, model) == std::map<std::string, int>{{"conv1.weight", 8},
                                                             {"layer1.0.conv1.weight", 4},
                                                             {"layer1.0.conv2.weight", 3},
                                                             {"layer2.0.conv1.weight", 2},
                                                             {"layer2.0.conv2.weight", 2},
                                                             {"layer3.0.conv1.weight", 3},
                                                             {"layer3.0.conv2.weight", 5},
                                                             {"fc.weight", 6},
                                                             {"fc.bias", 6}});
}

/// Requires exit 2 with these words, and that they are all that is wrong.
void check_refused(const Workspace& here, const Words& words, const std::string& message) {
  const Outcome outcome = here.run(words);
  INFO(describe(words, outcome));
  CHECK(outcome.exit_code == 2);
  CHECK(outcome.out.empty());
  CHECK_THAT(outcome.err, Catch::Contains(message));
  CHECK_THAT(outcome.err, Catch::EndsWith("error: 1 error; nothing was written\n"));
}

/// The bits of a scheme by layer.
std::map<std::string, int> bits_in(const std::string& scheme) {
  std::map<std::string, int> bits;
  for (const std::string& line : lines_of(scheme)) {
    if (line.starts_with('#') || line.empty()) continue;
    const std::string key = ": {weight_bits: ";
    bits[line.substr(0, line.find(key))] = std::stoi(line.substr(line.find(key) + key.size()));
  }
  return bits;
}

}  // namespace

TEST_CASE("a scheme that is printed gives another model the same widths, and its own model the same weights") {
  const Workspace here;
  here.train("run", {"quant.layers={conv1: {weight_bits: 8, fixed: true}}", "quant.act_bits=4"});
  const std::string model = "run/checkpoints/finetune";
  const std::string scheme = here.must({"scheme", model}).out;
  put_text(here / "s.yaml", scheme);
  CHECK_THAT(scheme, Catch::StartsWith("# Scheme of " + model + "/model.safetensors, resnet8 (depth 8, width 2).\n# "));
  CHECK_THAT(scheme, Catch::Contains("\nconv1: {weight_bits: 8, fixed: true} "));
  CHECK_THAT(scheme, Catch::Contains("# 54 weights, 518 stored bits\n"));  // 54 (8 + 1) + 32
  const std::map<std::string, int> widths = widths_of(here, model);
  const std::map<std::string, int> bits = bits_in(scheme);
  CHECK(bits.size() == 8);
  for (const auto& [layer, width] : bits) CHECK(width == widths.at(layer + ".weight"));

  here.must({"convert", model, "same.safetensors", "--scheme", "s.yaml", "-q"});
  here.must({"convert", model, "float.safetensors", "--to", "float", "-q"});
  here.must({"convert", "same.safetensors", "back.safetensors", "--to", "float", "-q"});
  const bsq::TensorFile before = bsq::read_safetensors(here / "float.safetensors");
  const bsq::TensorFile after = bsq::read_safetensors(here / "back.safetensors");
  for (const auto& [layer, width] : bits) {
    INFO(layer);
    CHECK((before.at(layer + ".weight").bytes == after.at(layer + ".weight").bytes));
  }
  here.must({"convert", "run/checkpoints/pretrain", "other.safetensors", "--scheme", "s.yaml", "-q"});
  const std::map<std::string, int> others = widths_of(here, "other.safetensors");
  for (const auto& [layer, width] : bits) CHECK(others.at(layer + ".weight") == width);
  const std::string network = bsq::read_safetensors(here / "other.safetensors").metadata.at("network");
  CHECK_THAT(network, Catch::Contains(R"("weight_bits":8,"fixed":true)"));
  CHECK(here.must({"scheme", "other.safetensors"}).out.find("conv1: {weight_bits: 8, fixed: true}") !=
        std::string::npos);
}

TEST_CASE("the scheme of a float model is what a conversion gives it") {
  const Workspace here;
  here.train("run", {"stages=[pretrain]", "quant.layers={fc: {weight_bits: 5}}"});
  const std::string scheme = here.must({"scheme", "run"}).out;
  CHECK_THAT(scheme, Catch::Contains("Its weights are float"));
  std::map<std::string, int> bits = bits_in(scheme);
  CHECK(bits.at("fc") == 5);
  bits.erase("fc");
  for (const auto& [layer, width] : bits) CHECK(width == 8);
}

TEST_CASE("stages take a scheme, the run keeps it, and goes on without its file") {
  const Workspace here;
  put_text(here / "s.yaml", kScheme);
  const Words words = {"quant.scheme=s.yaml", "checkpoint.keep_last=9"};
  here.train("whole", words);
  check_widths_of_scheme(here, "whole/checkpoints/convert");
  const std::map<std::string, int> tuned = widths_of(here, "whole/checkpoints/finetune");
  for (const char* fixed : {"conv1.weight", "fc.weight", "fc.bias"})
    CHECK(tuned.at(fixed) == widths_of(here, "whole/checkpoints/convert").at(fixed));
  CHECK_THAT(text_of(here / "whole/config.yaml"),
             Catch::Contains("scheme: {conv1: {weight_bits: 8, fixed: true}, layer1.0.conv1: {weight_bits: 4}, "));
  here.train("part", words);
  fs::remove(here / "s.yaml");
  fs::remove(here / "part/checkpoints/last");
  fs::create_symlink("epoch_0003", here / "part/checkpoints/last");
  edit_text(here / "part/status.json", "done", "failed");
  check_error(here, {"train", "--resume", "part", "quant.scheme={\"*\": {weight_bits: 7}}"}, 4,
              {"--resume: quant.scheme {conv1: {weight_bits: 8, fixed: true}", "{\"*\": {weight_bits: 7}} now"});
  here.must({"train", "--resume", "part"});
  check_same_run(here / "whole", here / "part");
  here.must({"eval", "part", "-q"});
  check_error(here, {"eval", "part", "-q", "quant.scheme={\"*\": {weight_bits: 7}}"}, 2,
              {"quant.scheme: ", " says the widths of its layers; leave it out"});
}

TEST_CASE("a chain of LSQ and one of finetuning begin under a scheme") {
  const Workspace here;
  put_text(here / "s.yaml", kScheme);
  here.train("run", {"quant.scheme=s.yaml", "stages=[pretrain,lsq]", "lsq.epochs=1"});
  check_widths_of_scheme(here, "run/checkpoints/lsq");
  here.must({"convert", "run/checkpoints/pretrain", "p.safetensors", "--scheme", "s.yaml", "-q"});
  check_widths_of_scheme(here, "p.safetensors");
  here.train("tuned", {"quant.scheme=s.yaml", "stages=[finetune]", "model.init=p.safetensors"});
  check_widths_of_scheme(here, "tuned/checkpoints/finetune");
}

TEST_CASE("a scheme that does not fit is refused with file, line and layer by all who take it") {
  const Workspace here;
  here.train("run", {"stages=[pretrain]"});
  put_text(here / "s.yaml", kScheme);
  const std::string good = text_of(here / "s.yaml");
  const std::vector<std::tuple<std::string, std::string, std::string>> cases = {
      {"conv1: {weight_bits: 8", "conv9: {weight_bits: 8", "s.yaml:1:1: scheme: 'conv9' matches no layer"},
      {"weight_bits: 6", "weight_bits: 9", "s.yaml:7:6: scheme: 'fc' weight_bits = 9; must be an integer in 1..8"},
      {"layer1.0.conv2", "layer1.0.conv1", "s.yaml:3:1: duplicate key 'layer1.0.conv1' (first at line 2)"},
      {"layer3.0.conv2: {weight_bits: 5}\n", "", "s.yaml:1:1: scheme: says no weight_bits of layer3.0.conv2; add them"},
      {"weight_bits: 4", "fixed: true", "s.yaml:2:1: scheme: 'layer1.0.conv1' says no weight_bits"},
  };
  for (const auto& [from, to, message] : cases) {
    put_text(here / "s.yaml", good);
    edit_text(here / "s.yaml", from, to);
    check_refused(here, {"convert", "run", "p.safetensors", "--scheme", "s.yaml", "-q"}, message);
    check_refused(here, {"what-if", "run", "s.yaml", "-q"}, message);
    check_refused(here, {"train", "tiny.yaml", "--run-dir", "new", "quant.scheme=s.yaml"}, message);
    check_refused(here, {"validate", "tiny.yaml", "quant.scheme=s.yaml"}, message);
  }
  put_text(here / "s.yaml", good);
  check_refused(here, {"train", "tiny.yaml", "--run-dir", "new", "quant.scheme=s.yaml", "model.depth=14"},
                "s.yaml:1:1: scheme: says no weight_bits of layer1.1.conv1, ");
  check_error(here, {"what-if", "run", "gone.yaml"}, 2, {"gone.yaml: "});
  check_error(here, {"convert", "run", "p.safetensors", "--scheme", "gone.yaml"}, 2, {"gone.yaml: "});
  CHECK_FALSE(fs::exists(here / "new"));
  CHECK_FALSE(fs::exists(here / "p.safetensors"));
}

TEST_CASE("the rise of a layer is what a model has that was converted with that layer narrower") {
  const Workspace here;
  here.train("run", {"quant.act_bits=4", "stages=[pretrain,convert,finetune]", "quant.weight_bits=4"});
  const std::string model = "run/checkpoints/finetune";
  const json found = printed(here, {"sensitivity", model, "--set", "test"});
  CHECK(found.at("images") == 20);  // all there are
  CHECK(found.at("loss").get<double>() == Approx(loss_of(here, model).get<double>()).epsilon(1e-5));
  const std::string scheme = here.must({"scheme", model}).out;
  for (const auto& [layer, width] : {std::pair("layer1.0.conv1", 2), std::pair("layer3.0.conv2", 1)}) {
    INFO(layer);
    put_text(here / "s.yaml", scheme);
    edit_text(here / "s.yaml", std::string("\n") + layer + ": {weight_bits: 4",
              "\n" + std::string(layer) + ": {weight_bits: " + std::to_string(width));
    here.must({"convert", model, "p.safetensors", "--scheme", "s.yaml", "--force", "-q"});
    const double rise = loss_of(here, "p.safetensors").get<double>() - found.at("loss").get<double>();
    for (const json& measured : found.at("layers")) {
      CHECK(measured.at("bits") == 4);
      CHECK(measured.at("loss_rise").size() == 3);
      if (measured.at("name") != layer) continue;
      CHECK(measured.at("loss_rise").at(std::to_string(width)).get<double>() == Approx(rise).margin(2e-5));
      CHECK(std::abs(rise) > 1e-3);
    }
    const json guessed = [&] {
      put_text(here / "m.json", found.dump());
      return printed(here, {"what-if", model, "s.yaml", "--sensitivity", "m.json"});
    }();
    CHECK(guessed.at("predicted_rise").get<double>() == Approx(rise).margin(2e-5));
  }
}

TEST_CASE("a sensitivity is a table, JSON, CSV and a figure, and the same twice") {
  const Workspace here;
  here.train("run", {"stages=[pretrain]"});
  const Outcome table = here.must({"sensitivity", "run", "-q", "--images=16", "--out", "out"});
  CHECK_THAT(table.out, Catch::Contains("on 16 train images"));
  CHECK_THAT(table.out, Catch::Contains("layer           weights   bits  rise at 8 "));
  CHECK_THAT(table.out, Catch::Contains("\nfc  "));
  const json measured = json_of(here / "out/sensitivity.json");
  CHECK(measured == printed(here, {"sensitivity", "run", "--images=16"}));
  CHECK(here.must({"sensitivity", "run", "--csv", "-q", "--images=16"}).out == text_of(here / "out/sensitivity.csv"));
  CHECK(lines_of(text_of(here / "out/sensitivity.csv")).size() == 1 + 8 * 8);
  CHECK(XmlReader::read(text_of(here / "out/sensitivity.svg")).front().name == "svg");
  CHECK(here.must({"sensitivity", "run", "--sensitivity", "out/sensitivity.json"}).out == table.out);
  CHECK(measured.at("set") == "train");
  CHECK(measured.at("precision") == "fp32");
}

TEST_CASE("a scheme for a budget is met to a bit of the largest layer, and names what can be met") {
  const Workspace here;
  here.train("run", {"stages=[pretrain,convert]", "quant.layers={conv1: {weight_bits: 8, fixed: true}}"});
  here.must({"sensitivity", "run/checkpoints/pretrain", "-q", "--out", "out"});
  const Words measured = {"sensitivity", "run/checkpoints/pretrain", "--sensitivity", "out/sensitivity.json"};
  const auto with = [&](const char* bits) {
    Words words = measured;
    words.insert(words.end(), {"--scheme-for", bits});
    return words;
  };
  const std::string scheme = here.must(with("4.25")).out;
  put_text(here / "s.yaml", scheme);
  CHECK_THAT(scheme, Catch::Contains("conv1: {weight_bits: 8, fixed: true}"));
  CHECK_THAT(scheme, Catch::Contains("4.25 were asked for"));
  here.must({"convert", "run/checkpoints/pretrain", "p.safetensors", "--scheme", "s.yaml", "-q"});
  const json precision = printed(here, {"inspect", "p.safetensors"}).at("precision");
  const double stored = precision.at("stored_bits_per_parameter");
  double largest = 0;
  for (const json& layer : precision.at("layers")) largest = std::max(largest, layer.at("weights").get<double>());
  CHECK(stored <= 4.25);
  CHECK(stored > 4.25 - largest / precision.at("quantized_weights").get<double>());
  CHECK_THAT(scheme, Catch::Contains(fmt::format("# {:.3f} stored bits per weight", stored)));
  // The same, measured in the same call.
  Words now = {"sensitivity", "run/checkpoints/pretrain", "--scheme-for", "4.25", "-q"};
  CHECK(here.must(now).out == scheme);
  const json guessed =
      printed(here, {"what-if", "run/checkpoints/pretrain", "s.yaml", "--sensitivity", "out/sensitivity.json"});
  CHECK_THAT(scheme,
             Catch::Contains(fmt::format("a sum over layers: {:.5f}", guessed.at("predicted_rise").get<double>())));
  for (const char* bits : {"1", "33", "nan"})
    check_error(here, with(bits), 2, {" stored bits per weight: this model can have "});
}

TEST_CASE("what-if counts what a converted model has") {
  const Workspace here;
  here.train("run", {"quant.act_bits=4", "stages=[pretrain,convert]"});
  put_text(here / "s.yaml", kScheme);
  const std::string model = "run/checkpoints/convert";
  const json guessed = printed(here, {"what-if", model, "s.yaml"});
  here.must({"convert", model, "p.safetensors", "--scheme", "s.yaml", "-q"});
  const std::vector<std::pair<std::string, std::string>> sides = {{"before", model}, {"after", "p.safetensors"}};
  for (const auto& [side, file] : sides) {
    INFO(side);
    const json precision = printed(here, {"inspect", file}).at("precision");
    for (const char* count : {"bits_per_parameter", "stored_bits_per_parameter", "compression"})
      CHECK(guessed.at(side).at(count) == precision.at(count));
    here.must({"export", file, "--format", "packed", "--output", side + ".safetensors", "--config", "run/config.yaml"});
    CHECK(guessed.at(side).at("file_bytes") == fs::file_size(here / (side + ".safetensors")));
  }
  std::map<std::string, json> layers;
  double bops = 0;
  for (const json& layer : guessed.at("layers")) {
    layers[layer.at("name")] = layer;
    bops += layer.at("bops_after").get<double>();
  }
  CHECK(layers.size() == 10);  // float shortcuts too
  CHECK(guessed.at("after").at("bops").get<double>() == bops);
  CHECK(guessed.at("predicted_rise").is_null());
  const double first = 32 * 32 * 27 * 2;  // multiply-adds: 3 channels to 2
  CHECK(layers.at("conv1").at("multiply_adds") == first);
  CHECK(layers.at("conv1").at("bops_after") == first * 9 * 32);  // images are float
  const double second = 32 * 32 * 18 * 2;
  CHECK(layers.at("layer1.0.conv2").at("input_bits") == 4);
  CHECK(layers.at("layer1.0.conv2").at("bits_after") == 3);
  CHECK(layers.at("layer1.0.conv2").at("bops_after") == second * 4 * 4);
  CHECK(layers.at("layer1.0.conv2").at("bops_before") == second * 9 * 4);
  CHECK(layers.at("layer2.0.downsample.0").at("bits_after") == 32);
  const json wider = printed(here, {"what-if", model, "s.yaml", "--act-bits", "8"});
  for (const json& layer : wider.at("layers"))
    if (layer.at("name") == "layer1.0.conv2") CHECK(layer.at("bops_after") == second * 4 * 8);
  const std::string text = here.must({"what-if", model, "s.yaml"}).out;
  for (const char* part : {"\nlayer1.0.conv2  ", "\nstored bits ", "\nfile ", "\nBOPs "})
    CHECK_THAT(text, Catch::Contains(part));
}

TEST_CASE("what-if says which widths were not measured") {
  const Workspace here;
  here.train("run", {"stages=[pretrain,convert]", "quant.weight_bits=3"});
  const std::string model = "run/checkpoints/convert";
  put_text(here / "m.json", here.must({"sensitivity", model, "--json", "-q", "--images=16"}).out);
  put_text(here / "s.yaml", "\"*\": {weight_bits: 3}\nlayer3.0.conv1: {weight_bits: 5}\n");
  const Outcome outcome = here.must({"what-if", model, "s.yaml", "--sensitivity", "m.json", "--json"});
  CHECK_THAT(outcome.err,
             Catch::Contains("not measured at these widths, and not in the predicted loss: layer3.0.conv1"));
  CHECK(json::parse(outcome.out).at("unmeasured") == json({"layer3.0.conv1"}));
  CHECK(json::parse(outcome.out).at("predicted_rise") == 0.0);
}

TEST_CASE("sensitivity and what-if refuse what makes no sense") {
  const Workspace here;
  here.train("run", {"stages=[pretrain,convert]"});
  put_text(here / "s.yaml", kScheme);
  put_text(here / "m.json", here.must({"sensitivity", "run", "--json", "-q", "--images=16"}).out);
  put_text(here / "bad.json", "{}");
  fs::copy_file(here / "run/checkpoints/convert/model.safetensors", here / "m.safetensors");
  const std::vector<std::tuple<Words, int, std::string>> cases = {
      {{"sensitivity", "run", "--json", "--csv"}, 2, "--json, --csv and --scheme-for: give one of them"},
      {{"sensitivity", "run", "--json", "--scheme-for=3"}, 2, "--json, --csv and --scheme-for: give one of them"},
      {{"sensitivity", "run", "--images=0"}, 2, "--images: Value 0 not in range"},
      {{"sensitivity", "run", "--set=both"}, 2, "--set: both not in {train,test}"},
      {{"sensitivity", "run", "--scheme-for=few"}, 2, "--scheme-for"},
      {{"sensitivity", "run", "--sensitivity=m.json", "seed=2"}, 2, "nothing is measured; leave out"},
      {{"sensitivity", "run", "--sensitivity=bad.json"}, 2, "bad.json: is not what bsq sensitivity --json prints ("},
      {{"sensitivity", "run", "--sensitivity=gone.json"}, 2, "gone.json: "},
      {{"sensitivity", "m.safetensors"}, 2, "which data? give --config CFG, or data.kind=cifar10 data.root=DIR"},
      {{"sensitivity", "gone"}, 4, "gone: no such checkpoint; check the path"},
      {{"sensitivity", "run", "quant.layers={}"}, 2, " says the widths of its layers; leave it out"},
      {{"what-if", "gone", "s.yaml"}, 4, "gone: no such checkpoint; check the path"},
      {{"what-if", "run", "run"}, 2, "run: "},
      {{"what-if", "run", "s.yaml", "--act-bits=9"}, 2, "--act-bits: Value 9 not in range"},
      {{"what-if", "run/checkpoints/pretrain", "s.yaml", "--sensitivity=m.json"},
       2,
       "m.json: was measured on another model (resnet8 (depth 8, width 2)): conv1 had 8 bits, here it has 32"},
      {{"scheme", "s.yaml"}, 4, "s.yaml: "},
  };
  for (const auto& [words, exit_code, message] : cases) {
    Words quiet = words;
    quiet.emplace_back("-q");
    check_error(here, quiet, exit_code, {message});
  }
}

TEST_CASE("a sensitivity on an emulated GPU is that of the CPU") {
  if (EmulatedGpu::is_missing()) return;
  const Workspace here;
  const EmulatedGpu gpu;
  here.train("run", {"stages=[pretrain,convert]", "quant.act_bits=4", "quant.weight_bits=3"});
  const Words words = {"sensitivity", "run", "--json", "-q", "--images=16"};
  Words on_gpu = words;
  on_gpu.emplace_back("device=cuda");
  const json cpu = json::parse(here.must(words).out);
  const json cuda = json::parse(gpu.run(here, on_gpu, 0).out);
  CHECK(cuda.at("loss").get<double>() == Approx(cpu.at("loss").get<double>()).epsilon(1e-4));
  for (std::size_t i = 0; i < cpu.at("layers").size(); ++i)
    for (const auto& [bits, rise] : cpu.at("layers")[i].at("loss_rise").items())
      CHECK(cuda.at("layers")[i].at("loss_rise").at(bits).get<double>() == Approx(rise.get<double>()).margin(5e-3));
}
