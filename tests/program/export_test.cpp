// `bsq export` as a person uses it: every format from every form of weights, what is said of it, what packed files are
// good for, and that nothing unverified ever gets a name.
#include "tests/support/tensor_file.h"
#include "tests/support/program_tree.h"
#include "tests/support/workspace.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>

using namespace bsq::test;

namespace {

using nlohmann::json;

bool has_onnx(const Workspace& here) {
  return contains(here.must({"info"}).out, "\nonnx       protobuf ");
}

#define BSQ_NEEDS_ONNX(here)                         \
  if (!has_onnx(here)) {                             \
    WARN("SKIPPED: this bsq is built without ONNX"); \
    return;                                          \
  }

json json_from(const Workspace& here, Words words) {
  words.emplace_back("--json");
  return json::parse(here.must(words).out);
}

/// The model with some tensors changed, as a file of its own.
void put_changed(const Workspace& here, const fs::path& from, const fs::path& to,
                 const std::function<float(const std::string& name, float)>& change) {
  bsq::TensorFile file = bsq::read_safetensors(here / from);
  for (bsq::HostTensor& tensor : file.tensors) {
    if (tensor.dtype != bsq::DType::f32) continue;
    std::vector<float> values;
    for (const float value : tensor.values<float>()) values.push_back(change(tensor.name, value));
    tensor = bsq::HostTensor::from<float>(tensor.name, tensor.shape, values);
  }
  bsq::write_safetensors(here / to, file);
}

std::string sha256sum(const fs::path& file) {
  const std::string command = "sha256sum '" + file.string() + "'";
  FILE* const pipe = ::popen(command.c_str(), "r");
  REQUIRE(pipe != nullptr);
  std::array<char, 65> line{};
  REQUIRE(std::fgets(line.data(), line.size(), pipe) != nullptr);
  ::pclose(pipe);
  return line.data();
}

Words with_word(Words words, const std::string& word) {
  words.push_back(word);
  return words;
}

}  // namespace

TEST_CASE("export packs what every stage leaves, and the packed file is the model") {
  const Workspace here;
  here.train("run");
  for (const std::string stage : {"convert", "bsq", "finetune"}) {
    INFO(stage);
    const std::string model = "run/checkpoints/" + stage;
    const Outcome outcome = here.must({"export", model, "--format", "packed", "--output", stage + ".safetensors"});
    CHECK_THAT(outcome.out, Catch::StartsWith(stage + ".safetensors: "));
    CHECK_THAT(outcome.out, Catch::Contains("by the paper's rule"));
    CHECK_THAT(outcome.out, Catch::Contains("\n  verified: read back, every weight bit for bit\n"));
    json expected = json_from(here, {"eval", model, "--config", "tiny.yaml"});
    json found = json_from(here, {"eval", stage + ".safetensors", "--config", "tiny.yaml"});
    for (const char* key : {"loss", "top1", "act_bits", "activation"}) CHECK(found.at(key) == expected.at(key));
    CHECK(found.at("form") == "planes");
    const json precision = json_from(here, {"inspect", stage + ".safetensors"}).at("precision");
    CHECK(precision.at("compression") == expected.at("precision").at("compression"));
    CHECK(precision.at("file_bytes") == fs::file_size(here / (stage + ".safetensors")));
    CHECK(precision.at("file_bytes") < expected.at("precision").at("file_bytes"));
  }
  const std::string text = here.must({"inspect", "bsq.safetensors"}).out;
  CHECK_THAT(text, Catch::Contains("\npaper's rule "));
  CHECK_THAT(text, Catch::Contains(" bytes on disk\n"));
  here.must({"train", "tiny.yaml", "--run-dir", "tuned", "stages=[finetune]", "model.init=bsq.safetensors"});
  here.must({"convert", "run/checkpoints/pretrain", "p.safetensors", "--scheme", "bsq.safetensors"});
}

TEST_CASE("export writes float weights that convert back to the same model") {
  const Workspace here;
  here.train("run", {"stages=[pretrain,convert]"});
  const Outcome outcome = here.must({"export", "run", "--format", "float"});
  CHECK_THAT(outcome.out, Catch::StartsWith("run/export/model.float.safetensors: "));
  CHECK_THAT(outcome.out, Catch::Contains("verified: read back, every number bit for bit"));
  here.must({"convert", "run", "f.safetensors", "--to", "float"});
  CHECK(text_of(here / "f.safetensors") == text_of(here / "run/export/model.float.safetensors"));
}

TEST_CASE("export writes ONNX and QONNX of every form, run against the engine before they are there") {
  const Workspace here;
  BSQ_NEEDS_ONNX(here);
  here.train("run");
  for (const std::string stage : {"pretrain", "convert", "bsq", "finetune"}) {
    for (const std::string format : {"onnx", "qonnx"}) {
      if (stage == "pretrain" && format == "qonnx") continue;
      INFO(stage << " " << format);
      const std::string output = stage + "." + format + ".onnx";
      Words words = {"export", "run/checkpoints/" + stage, "--format", format, "--output", output};
      if (stage != "pretrain") {  // whose activations are not quantized
        const std::string model = "run/checkpoints/" + stage + "/model.safetensors";
        check_error(here, with_word(words, "-q"), 2,
                    {model + ": activations are scaled by the maximum of each batch, so that ",
                     "calibrate them: bsq train CFG quant.act_scale=calibrated stages=[finetune] finetune.epochs=0 "
                     "model.init=" +
                         model + "; or export it like that: quant.act_scale=batch_max"});
        CHECK_FALSE(fs::exists(here / output));
        words.emplace_back("quant.act_scale=batch_max");
      }
      const Outcome outcome = here.must(words);
      CHECK_THAT(outcome.out, Catch::Contains("input [N, 3, 32, 32]"));
      CHECK_THAT(outcome.out, Catch::Contains("verified: read back and run on 20 test images of synthetic: "));
      CHECK_THAT(outcome.out, Catch::Contains("same top-1 on all"));
      CHECK(contains(outcome.err, "depends on the batch") == (stage != "pretrain"));
      const std::string bytes = text_of(here / output);
      CHECK(contains(bytes, "source_sha256"));
      CHECK(contains(bytes, sha256sum(here / ("run/checkpoints/" + stage + "/model.safetensors"))));
      CHECK(contains(bytes, "scheme") == (stage != "pretrain"));
    }
  }
  CHECK_THAT(
      here.must({"export", "run/checkpoints/convert", "--format=onnx", "--output=a.onnx", "quant.act_bits=0"}).out,
      Catch::Contains("ONNX opset 21, weights in INT16"));
  const Outcome outcome = here.must({"export", "run", "--format=onnx", "quant.act_scale=batch_max"});
  CHECK_THAT(outcome.out, Catch::StartsWith("run/export/model.onnx: "));
}

TEST_CASE("export of calibrated activation scales does not depend on the batch") {
  const Workspace here;
  BSQ_NEEDS_ONNX(here);
  here.train("run", {"quant.act_scale=calibrated"});
  for (const std::string format : {"onnx", "qonnx"}) {
    INFO(format);
    const Outcome outcome = here.must({"export", "run", "--format", format});
    CHECK_THAT(outcome.out, Catch::Contains("verified: read back and run on 20 test images"));
    CHECK_FALSE(contains(outcome.err, "depends on the batch"));
    const std::string bytes =
        text_of(here / (format == "onnx" ? "run/export/model.onnx" : "run/export/model.qonnx.onnx"));
    CHECK_FALSE(contains(bytes, "ReduceMax"));
    CHECK(contains(bytes, "QuantizeLinear") == (format == "onnx"));
  }
  here.must({"export", "run", "--format=onnx", "--output=m.onnx", "quant.act_scale=batch_max"});
  CHECK(contains(text_of(here / "m.onnx"), "ReduceMax"));
  here.must({"export", "run", "--format=packed", "--output=p.safetensors"});
  const json expected = json_from(here, {"eval", "run", "--config", "tiny.yaml"});
  const json found = json_from(here, {"eval", "p.safetensors", "--config", "tiny.yaml"});
  for (const char* key : {"loss", "top1_batch_max"}) CHECK(found.at(key) == expected.at(key));
  check_error(here,
              {"export", "run/checkpoints/pretrain", "--format=onnx", "--output=other.onnx", "-q", "quant.act_bits=4"},
              2, {"has no calibrated layer1.0.relu1.act_scale"});
}

TEST_CASE("export says which types of a graph few runtimes read, and what to do about it") {
  const Workspace here;
  BSQ_NEEDS_ONNX(here);
  here.train("run", {"quant.act_scale=calibrated", "stages=[pretrain,convert]"});
  const auto said = [&](Words words) {
    words.insert(words.begin(), {"export", "--format=onnx", "--output=m.onnx", "--force", "--runtime=reference"});
    return here.must(words).err;
  };
  const std::string wide = "9 tensors of 8 bits reach from -255 to 255 and are INT16",
                    halved = "TensorRT takes for INT8";
  const std::string model = "run/checkpoints/convert/model.safetensors";
  const std::string eight = said({"run/checkpoints/convert"});
  CHECK_THAT(eight, Catch::Contains(wide) && !Catch::Contains(halved) && !Catch::Contains("INT4"));
  CHECK_THAT(eight, Catch::Contains("bsq convert " + model + " OUT --max-bits 7"));
  here.must({"convert", model, "seven.safetensors", "--max-bits", "7"});  // as the warning says
  CHECK(json_from(here, {"eval", "seven.safetensors", "--config", "tiny.yaml"})
            .at("precision")
            .at("bits_per_parameter") == 7.0);
  const std::string seven = said({"seven.safetensors", "--config", "tiny.yaml"});
  CHECK_FALSE(contains(seven, "INT"));
  CHECK(contains(text_of(here / "m.onnx"), "zero_INT8"));
  here.must({"convert", model, "three.safetensors", "--max-bits", "3"});
  CHECK_FALSE(contains(said({"three.safetensors", "--config", "tiny.yaml"}), "INT4"));
  CHECK_THAT(said({"three.safetensors", "--config", "tiny.yaml", "--min-container", "int4"}),
             Catch::Contains("INT4 and INT2 make a file smaller, not faster"));
  here.train("eight", {"quant.act_scale=calibrated", "quant.act_bits=8", "stages=[pretrain,convert]"});
  CHECK_THAT(said({"eight"}), Catch::Contains(halved));
}

TEST_CASE("export of a calibrated model is written for a runtime, which multiplies all of it as integers") {
  const Workspace here;
  BSQ_NEEDS_ONNX(here);
  here.train("run", {"quant.act_scale=calibrated"});
  for (const std::string runtime : {"", "onnxruntime", "openvino", "tensorrt"}) {
    for (const std::string input : {"float", "uint8"}) {
      INFO(runtime << " " << input);
      Words words = {"export", "run", "--format=onnx", "--output=m.onnx", "--force", "--input=" + input};
      if (!runtime.empty()) words.push_back("--runtime=" + runtime);
      const std::string out = here.must(words).out;
      CHECK_THAT(out, Catch::Contains("verified: read back and run on 20 test images of synthetic: "));
      CHECK_THAT(out, Catch::Contains("\n  9 of 9 convolutions run in integers in " +
                                      (runtime.empty() ? "onnxruntime" : runtime) + "\n"));
      CHECK_THAT(out, Catch::Contains("% in integers, ") && Catch::Contains("% with calibrated scales as trained\n"));
      CHECK(contains(out, "UINT8, which TensorRT takes for INT8") == (runtime != "tensorrt"));
      CHECK_THAT(out, Catch::Contains(input == "uint8" ? "bytes\n" : "normalised\n"));
    }
  }
  const std::string out = here.must({"export", "run/checkpoints/convert", "--format=onnx", "--output=e.onnx"}).out;
  CHECK_THAT(out, Catch::Contains("\n  rounded to 127 levels to a side, by output channel: bn1, "));
  CHECK_THAT(here.must({"export", "run", "--format=onnx", "--output=o.onnx", "--opset=21"}).out,
             Catch::Contains("ONNX opset 21, weights in INT8"));
  here.train("half", {"quant.act_scale=calibrated", "data.mean=[0.5,0.5,0.5]", "data.std=[0.25,0.25,0.25]"});
  for (const auto& [runtime, warns] : {std::pair{"openvino", true}, {"onnxruntime", false}}) {
    const std::string runtime_word = fmt::format("--runtime={}", runtime);
    const std::string said =
        here.must({"export", "half", "--format=onnx", "--output=h.onnx", "--force", runtime_word}).out;
    CHECK(contains(said, "768 of 768 bytes lie halfway between two levels of the picture") == warns);
  }
}

TEST_CASE("export says why a model is not written for a runtime, and what it takes") {
  const Workspace here;
  BSQ_NEEDS_ONNX(here);
  here.train("run", {"quant.act_scale=calibrated", "quant.act_bits=8"});
  const std::vector<std::pair<Words, std::string>> cases = {
      {{"--runtime=tensorrt"},
       "has 8 bits, and INT8 whose zero point is 0 holds 7 of them: train with quant.act_bits=7"},
      {{"--runtime=onnx"}, "--runtime: onnx not in {onnxruntime,openvino,tensorrt,reference}"},
      {{"--runtime=onnxruntime", "quant.act_bits=0"}, "has no deployed form: its activations are not quantized"},
      {{"--runtime=openvino", "quant.act_scale=batch_max"},
       "has no deployed form: its activations are scaled by the maximum of each batch; calibrate it: bsq train "},
      {{"--runtime=reference", "--input=uint8"}, "--input uint8: is for --runtime onnxruntime"},
      {{"--runtime=openvino", "--min-container=int4"}, "--min-container: is for --runtime reference; openvino"}};
  for (const auto& [words, message] : cases) {
    Words all = {"export", "run", "--format=onnx", "--output=m.onnx", "-q"};
    all.insert(all.end(), words.begin(), words.end());
    check_error(here, all, 2, {message});
    CHECK_FALSE(fs::exists(here / "m.onnx"));
  }
  check_error(here, {"export", "run", "--format=packed", "--runtime=openvino"}, 2, {"are for --format onnx"});
  const Outcome small = here.must({"export", "run", "--format=onnx", "--output=m.onnx", "--min-container=int4"});
  CHECK_FALSE(contains(small.out, "in integers"));
}

TEST_CASE("eval shows the accuracies of each arithmetic side by side") {
  const Workspace here;
  here.train("run", {"quant.act_scale=calibrated"});
  const std::string text = here.must({"eval", "run", "--as", "deployed"}).out;
  CHECK_THAT(text, Catch::Contains(" images   in integers, as it is deployed\n"));
  CHECK_THAT(text, Catch::Contains(" %   with calibrated scales\n"));
  CHECK_THAT(text, Catch::Contains(" %   with the maximum of each batch for activation scales\n"));
  const json deployed = json_from(here, {"eval", "run", "--as", "deployed"});
  const json calibrated = json_from(here, {"eval", "run", "--as", "calibrated"});
  const json trained = json_from(here, {"eval", "run", "--as", "trained"});
  CHECK(deployed.at("top1_calibrated") == calibrated.at("top1"));
  CHECK(deployed.at("top1_batch_max") == trained.at("top1"));
  CHECK(calibrated.at("top1_batch_max") == trained.at("top1"));
  CHECK_FALSE(trained.contains("top1_calibrated"));
  CHECK(std::abs(deployed.at("loss").get<double>() - calibrated.at("loss").get<double>()) <
        0.05 * calibrated.at("loss").get<double>());
  CHECK(json_from(here, {"eval", "run", "--as", "deployed", "threads=1"}) == deployed);
  here.train("free");
  check_error(here, {"eval", "free", "--as", "deployed", "-q"}, 2, {"has no calibrated layer1.0.relu1.act_scale"});
}

TEST_CASE("export of a model from anywhere, with an empty layer, without its data") {
  const Workspace here;
  BSQ_NEEDS_ONNX(here);
  here.train("run", {"stages=[pretrain]"});
  put_changed(here, "run/checkpoints/pretrain/model.safetensors", "z.safetensors",
              [](const std::string& name, float value) { return name == "layer2.0.conv1.weight" ? 0.0F : value; });
  here.must({"convert", "z.safetensors", "q.safetensors", "--bits", "3"});
  for (const char* format : {"packed", "onnx", "qonnx", "float"}) {
    INFO(format);
    here.must({"export", "q.safetensors", "--format", format, "quant.act_bits=2", "quant.act_scale=batch_max"});
  }
  CHECK(fs::exists(here / "q.onnx"));
  CHECK(fs::exists(here / "q.qonnx.onnx"));
  here.train("calibrated", {"quant.act_scale=calibrated"});
  const Words gone = {"export",          "calibrated/checkpoints/finetune/model.safetensors",
                      "--format=onnx",   "--force",
                      "--output=c.onnx", "data.kind=cifar10",
                      "data.root=gone"};
  CHECK_THAT(here.must(gone).err, Catch::Contains("the ranges of its tensors are found on training images, which are "
                                                  "not there; this is its graph of training, in float32"));
  check_error(here, with_word(gone, "--runtime=onnxruntime"), 3, {"gone"});
}

TEST_CASE("export refuses what makes no sense, and never replaces a file unasked") {
  const Workspace here;
  here.train("run", {"stages=[pretrain,convert]"});
  put_text(here / "there.safetensors", "precious");
  const std::string model = "run/checkpoints/convert/model.safetensors";
  put_text(here / "cut.safetensors", text_of(here / model).substr(0, 5000));
  const std::vector<std::tuple<Words, int, std::string>> cases = {
      {{"export", "run"}, 2, "bsq export: --format: float, packed, deployed, onnx, qonnx or c?"},
      {{"export", "--format=packed"}, 2, "bsq export: which checkpoint?"},
      {{"export", "run", "--format=pakced"},
       2,
       "--format pakced: use float, packed, deployed, onnx, qonnx or c; did you mean 'packed'?"},
      {{"export", "run", "--format=packed", "--opset=21"}, 2, "--opset: is for the formats onnx and qonnx"},
      {{"export", "run", "--format=qonnx", "--min-container=int8"}, 2, "--min-container: is for --format onnx"},
      {{"export", "run", "--format=onnx", "--opset=12"}, 2, "--opset: Value 12 not in range 13 to 25"},
      {{"export", "run", "--format=packed", "--output", "p.onnx"}, 2, "p.onnx: name the output *.safetensors"},
      {{"export", "run", "--format=packed", "--output", "there.safetensors"}, 2, "exists; use --force to replace it"},
      {{"export", model, "--format=packed", "--force", "--output", model},
       2,
       "is the model itself; choose another --output"},
      {{"export", "run/checkpoints/pretrain", "--format=packed"}, 2, "is a float model and has no bit widths"},
      {{"export", "gone", "--format=packed"}, 4, "gone: no such checkpoint; check the path"},
      {{"export", "cut.safetensors", "--format=packed"}, 4, "cut.safetensors: "},
      {{"export", "run", "--format=packed", "--output", "gone/p.safetensors"},
       4,
       "cannot create: No such file or directory"},
  };
  for (const auto& [words, exit_code, message] : cases) check_error(here, words, exit_code, {message});
  check_errors(
      here, {"export", "run", "-q", "--format=packed", "quant.akt_bits=4"}, 2,
      {"override 1: unknown key 'quant.akt_bits'; did you mean 'quant.act_bits'?", "1 error; nothing was written"});
  CHECK(text_of(here / "there.safetensors") == "precious");
  here.must({"export", "run", "--format=packed", "--output", "there.safetensors", "--force"});
  CHECK(text_of(here / "there.safetensors") != "precious");
}

TEST_CASE("export that cannot write, or is not the model, leaves the old file and no other") {
  const Workspace here;
  here.train("run", {"stages=[pretrain,convert]"});
  fs::create_directories(here / "out");
  put_text(here / "out/m.safetensors", "precious");
  Setup setup = here.setup();
  setup.file_size_limit_bytes = 300;
  const Words words = {"export", "run", "--format=packed", "--force", "--output", "out/m.safetensors"};
  const Outcome outcome = run(words, setup);
  INFO(describe(words, outcome));
  CHECK(outcome.exit_code == 4);
  CHECK_THAT(outcome.err, Catch::Contains("out/m.safetensors: cannot write: File too large"));
  CHECK(text_of(here / "out/m.safetensors") == "precious");
  CHECK(here.files("out") == std::vector<std::string>{"m.safetensors"});
  BSQ_NEEDS_ONNX(here);
  put_text(here / "out/m.onnx", "precious");
  put_changed(here, "run/checkpoints/convert/model.safetensors", "n.safetensors",
              [](const std::string& name, float value) {
                // What the norm multiplies by overflows: NaN within, though every number of the file is finite.
                if (name == "layer1.0.bn1.weight") return 3e38F;
                return name == "layer1.0.bn1.running_var" ? 0.0F : value;
              });
  check_error(
      here, {"export", "n.safetensors", "--format=onnx", "--force", "-q", "--output", "out/m.onnx", "quant.act_bits=0"},
      7, {"out/m.onnx: max abs logit diff inf", "top-1 differs on", "nothing was written"});
  CHECK(text_of(here / "out/m.onnx") == "precious");
  CHECK(here.files("out") == std::vector<std::string>{"m.onnx", "m.safetensors"});
}

TEST_CASE("a bsq without its ONNX library says so, and exports the rest") {
  const Workspace here;
  here.train("run", {"stages=[pretrain,convert]"});
  const ProgramTree tree;
  const Outcome onnx = tree.run(here, {"export", "run", "--format=onnx"});
  CHECK(onnx.exit_code == 2);
  CHECK(onnx.err == "error: this bsq is built without ONNX (install libonnx-dev libprotobuf-dev and build it anew)\n");
  CHECK(tree.run(here, {"export", "run", "--format=packed"}).exit_code == 0);
  CHECK_THAT(tree.run(here, {"info"}).out, Catch::Contains("\nonnx       this bsq is built without ONNX"));
}
