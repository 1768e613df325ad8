// `bsq eval`, `convert` and `inspect` on models of a run: their numbers agree with each other and with the run's.
#include "tests/support/tensor_file.h"
#include "tests/support/workspace.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <tuple>

using namespace bsq::test;
using nlohmann::json;

namespace {

json eval(const Workspace& here, const Words& words) {
  Words all = {"eval", "--json", "-q"};
  all.insert(all.end(), words.begin(), words.end());
  const Outcome outcome = here.must(all);
  CHECK(outcome.err.empty());
  return json::parse(outcome.out);
}

json inspect(const Workspace& here, const std::string& file) {
  const Outcome outcome = here.must({"inspect", file, "--json"});
  CHECK(outcome.err.empty());
  return json::parse(outcome.out);
}

/// The `stage_end` event of a stage.
json stage_end(const Workspace& here, const std::string& stage) {
  for (const std::string& line : lines_of(text_of(here / "run/metrics.jsonl"))) {
    json event = json::parse(line);
    if (event.at("event") == "stage_end" && event.at("stage") == stage) return event;
  }
  FAIL("no stage_end of " << stage);
  return {};
}

std::vector<int> bits_of(const json& precision) {
  std::vector<int> bits;
  for (const json& layer : precision.at("layers")) bits.push_back(layer.at("bits"));
  return bits;
}

/// Values of a float tensor.
std::vector<float> values_of(const Workspace& here, const std::string& file, const std::string& tensor) {
  const bsq::TensorFile model = bsq::read_safetensors(here / file);
  const auto values = model.at(tensor).values<float>();
  return {values.begin(), values.end()};
}

}  // namespace

TEST_CASE("eval gives what the run measured, of a run, a checkpoint or a file") {
  const Workspace here;
  here.train("run");
  for (const char* stage : {"pretrain", "convert", "bsq"}) {
    const json result = eval(here, {std::string("run/checkpoints/") + stage});
    const json event = stage_end(here, stage);
    INFO(stage);
    CHECK(result.at("loss") == event.at("test_loss"));
    CHECK(result.at("top1") == event.at("test_top1"));
    CHECK(result.at("precision").at("compression") == event.at("compression"));
    CHECK(result.at("images") == 20);
  }
  const json run = eval(here, {"run"});
  CHECK(run.at("loss") == stage_end(here, "finetune").at("test_loss"));
  CHECK(run == eval(here, {"run/checkpoints/last"}));
  fs::copy_file(here / "run/checkpoints/bsq/model.safetensors", here / "m.safetensors");
  const json alone = eval(here, {"m.safetensors", "data.kind=synthetic", "data.synthetic_test=20", "threads=1"});
  CHECK(alone.at("loss") == stage_end(here, "bsq").at("test_loss"));
  CHECK(alone == eval(here, {"m.safetensors", "--config", "tiny.yaml"}));
}

TEST_CASE("what a model file does not say of its activations and images is said to be assumed, wherever it is used") {
  const Workspace here;
  here.train("run", {"stages=[pretrain]"});
  bsq::TensorFile model = bsq::read_safetensors(here / "run/checkpoints/pretrain/model.safetensors");
  for (const char* key : {"activation", "act_bits", "mean", "std"}) REQUIRE(model.metadata.erase(key) == 1);
  bsq::write_safetensors(here / "m.safetensors", model);
  const std::string activation =
      "m.safetensors does not say its activation: relu6 is assumed (quant.activation=relu if";
  const std::string images = "mean and deviation of its images: data.mean=[0.4914, 0.4822, 0.4465] data.std=[";
  const std::vector<Words> uses = {
      {"eval", "m.safetensors", "--config", "tiny.yaml"},
      {"export", "m.safetensors", "--config", "tiny.yaml", "--format", "onnx", "--output", "m.onnx", "--force",
       "quant.act_scale=batch_max"},
      {"train", "tiny.yaml", "--run-dir", "again", "--force", "model.init=m.safetensors", "stages=[convert]"},
  };
  for (Words use : uses) {
    const std::string said = here.must(use).err;
    CHECK_THAT(said, Catch::Contains("warning: " + activation) && Catch::Contains(images));
    use.push_back("quant.activation=relu");
    const std::string less = here.must(use).err;
    CHECK_THAT(less, !Catch::Contains("is assumed (quant.activation") && Catch::Contains(images));
  }
  const std::string silent = here.must({"eval", "m.safetensors", "--config", "tiny.yaml", "quant.activation=relu",
                                        "quant.act_bits=0", "data.mean=[0,0,0]", "data.std=[1,1,1]"})
                                 .err;
  CHECK_THAT(silent, !Catch::Contains("does not say"));
}

TEST_CASE("the command that eval prints for a model without calibrated scales calibrates it, and trains nothing") {
  const Workspace here;
  here.train("run");
  const std::string model = "run/checkpoints/finetune/model.safetensors";
  const Words calibrated = {"eval", "--config", "tiny.yaml", "quant.act_scale=calibrated"};
  Words without = calibrated;
  without.push_back(model);
  check_error(here, without, 2,
              {"bsq train CFG quant.act_scale=calibrated stages=[finetune] finetune.epochs=0 model.init=" + model});
  here.must({"train", "tiny.yaml", "quant.act_scale=calibrated", "stages=[finetune]", "finetune.epochs=0",
             "model.init=" + model, "--run-dir", "again"});
  Words with = calibrated;
  with.emplace_back("again");
  CHECK_THAT(here.must(with).out, Catch::Contains(" by calibrated scales;"));
  const auto loss = [&](const std::string& of) {
    return eval(here, {of, "--config", "tiny.yaml", "quant.act_scale=batch_max"}).at("loss");
  };
  CHECK(loss(model) == loss("again"));
  here.must({"report", "again"});
}

TEST_CASE("a model of half precision is read as its numbers in float32, and one with a NaN is refused by name") {
  const Workspace here;
  here.train("run", {"stages=[pretrain]"});
  bsq::TensorFile model = bsq::read_safetensors(here / "run/checkpoints/pretrain/model.safetensors");
  bsq::TensorFile brain = model;
  for (std::size_t i = 0; i < model.tensors.size(); ++i) {
    bsq::HostTensor& tensor = model.tensors[i];
    if (tensor.dtype != bsq::DType::f32) continue;
    std::vector<float> cut;
    std::vector<std::uint16_t> halves;
    for (const float value : tensor.values<float>()) {
      const auto bits = static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(value) >> 16);
      halves.push_back(bits);
      cut.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16));
    }
    brain.tensors[i] = bsq::HostTensor::from<std::uint16_t>(tensor.name, tensor.shape, halves);
    tensor = bsq::HostTensor::from<float>(tensor.name, tensor.shape, cut);
  }
  bsq::write_safetensors(here / "cut.safetensors", model);
  bsq::write_safetensors(here / "brain.safetensors", brain);
  json expected = eval(here, {"cut.safetensors", "--config", "tiny.yaml"});
  json found = eval(here, {"brain.safetensors", "--config", "tiny.yaml"});
  CHECK(expected.at("loss") == found.at("loss"));
  CHECK_THAT(here.must({"eval", "brain.safetensors", "--config", "tiny.yaml"}).err,
             Catch::Contains(" tensors of other floating-point types are read as float32"));

  for (bsq::HostTensor& tensor : model.tensors)
    if (tensor.name == "layer1.0.conv1.weight") std::memset(tensor.bytes.data(), 0xFF, sizeof(float));
  bsq::write_safetensors(here / "nan.safetensors", model);
  const std::string why = "nan.safetensors: tensor 'layer1.0.conv1.weight' has a number that is not a number (NaN)";
  check_error(here, {"eval", "nan.safetensors", "--config", "tiny.yaml"}, 4, {why});
  check_error(here, {"convert", "nan.safetensors", "out.safetensors"}, 4, {why});
  check_error(here, {"train", "tiny.yaml", "model.init=nan.safetensors", "--run-dir", "again"}, 4, {why});
  CHECK_FALSE(fs::exists(here / "again"));
}

TEST_CASE("with calibrated activation scales run and eval say both accuracies, and a batch is no part of the result") {
  const Workspace here;
  here.train("run", {"quant.act_scale=calibrated", "quant.calibration_batches=2"});
  const json event = stage_end(here, "finetune");
  const json result = eval(here, {"run/checkpoints/finetune"});
  CHECK(result.at("loss") == event.at("test_loss"));
  CHECK(result.at("top1_batch_max") == event.at("test_top1_batch_max"));
  const json in_sevens = eval(here, {"run/checkpoints/finetune", "data.eval_batch_size=7"});
  CHECK(in_sevens.at("loss").get<double>() == Approx(result.at("loss").get<double>()).epsilon(1e-6));
  const json published = eval(here, {"run/checkpoints/finetune", "quant.act_scale=batch_max"});
  CHECK(published.at("top1") == result.at("top1_batch_max"));
  CHECK(published.at("loss") != result.at("loss"));
  CHECK(!published.contains("top1_batch_max"));
  CHECK(!eval(here, {"run/checkpoints/pretrain"}).contains("top1_batch_max"));  // not quantized there
  CHECK_THAT(here.must({"eval", "run/checkpoints/finetune"}).out,
             Catch::Contains("4 bits by calibrated scales") &&
                 Catch::Contains(" %   with the maximum of each batch for activation scales\n"));

  here.train("published");
  check_error(here, {"eval", "published", "quant.act_scale=calibrated"}, 2,
              {"has no calibrated layer1.0.relu1.act_scale", "quant.act_scale=batch_max"});
}

TEST_CASE("eval as text: accuracy, layers, compression on stdout, the rest on stderr") {
  const Workspace here;
  here.train("run");
  const Outcome outcome = here.must({"eval", "run"});
  CHECK_THAT(outcome.out, Catch::StartsWith("run/checkpoints/epoch_0011/model.safetensors: planes weights; "
                                            "activations relu6, 4 bits; batches of 100\n\ntop-1   "));
  for (const char* part : {" of 20 images\n", "\ntop-5 ", "\nloss ", "\nlayer3.0.conv2 ", "\nfc.bias ",
                           "\npaper's rule ", "\nempty as 0 bits ", "\neverything ", "\nthis file "})
    CHECK_THAT(outcome.out, Catch::Contains(part));
  CHECK_THAT(outcome.err, Catch::StartsWith("data as in run/config.yaml\n") && Catch::Contains("\ndevice: "));
  CHECK(here.must({"eval", "run", "-q"}).out == outcome.out);
}

TEST_CASE("eval takes overrides, and refuses what the model contradicts") {
  const Workspace here;
  here.train("run", {"stages=[pretrain,convert]"});
  CHECK(eval(here, {"run", "quant.act_bits=0"}).at("act_bits") == 0);
  CHECK(eval(here, {"run", "quant.act_bits=2", "quant.activation=pact"}).at("activation") == "pact");
  CHECK(eval(here, {"run", "data.synthetic_test=30"}).at("images") == 30);
  const json two = eval(here, {"run/checkpoints/pretrain", "quant.weight_bits=2"});
  CHECK(two.at("form") == "planes");
  CHECK(bits_of(two.at("precision")) == std::vector<int>(9, 2));
  check_error(here, {"eval", "run", "-q", "quant.weight_bits=2"}, 2, {"has bit widths of its own; leave it out"});
  check_error(here, {"eval", "run", "-q", "model.depth=20"}, 2, {"model.depth = 20: ", " has 8; leave it out"});
  check_error(here, {"eval", "run", "-q", "model.width=3"}, 2, {"model.width = 3: ", " has 2; leave it out"});
  fs::copy_file(here / "run/checkpoints/convert/model.safetensors", here / "m.safetensors");
  check_errors(here, {"eval", "m.safetensors"}, 2,
               {"which data? give --config CFG, or data.kind=cifar10 data.root=DIR"});
  check_errors(here, {"eval", "m.safetensors", "data.kind=synthetic", "sead=1"}, 2,
               {"override 2: unknown key 'sead'; did you mean 'seed'?", "1 error; nothing was written"});
}

TEST_CASE("convert to planes and back to float changes nothing more") {
  const Workspace here;
  here.train("run", {"stages=[pretrain]"});
  for (const int bits : {1, 4, 8}) {
    INFO(bits << " bits");
    const std::string n = std::to_string(bits);
    const Outcome outcome = here.must({"convert", "run", "p.safetensors", "--bits", n, "--force"});
    CHECK(outcome.out.empty());
    CHECK_THAT(outcome.err, Catch::StartsWith("p.safetensors: float -> planes, "));
    here.must({"convert", "p.safetensors", "f.safetensors", "--to", "float", "--force"});
    here.must({"convert", "f.safetensors", "p2.safetensors", "--scheme", "p.safetensors", "--force"});
    here.must({"convert", "p2.safetensors", "f2.safetensors", "--to", "float", "--force"});
    // What the planes say is what the float model says, and the float model is on the grid of the planes.
    const json planes = eval(here, {"p.safetensors", "--config", "tiny.yaml"});
    const json floats = eval(here, {"f.safetensors", "--config", "tiny.yaml"});
    CHECK(planes.at("form") == "planes");
    CHECK(floats.at("form") == "float");
    CHECK(planes.at("loss").get<double>() == Approx(floats.at("loss").get<double>()).epsilon(1e-5));
    for (const int found : bits_of(planes.at("precision"))) CHECK(found <= bits);
    const std::vector<float> once = values_of(here, "f.safetensors", "layer2.0.conv1.weight");
    const std::vector<float> twice = values_of(here, "f2.safetensors", "layer2.0.conv1.weight");
    REQUIRE(once.size() == twice.size());
    for (std::size_t i = 0; i < once.size(); ++i) CHECK(twice[i] == Approx(once[i]).epsilon(1e-5));
  }
  here.must({"convert", "run", "default.safetensors", "-q"});
  CHECK(bits_of(inspect(here, "default.safetensors").at("precision")) == std::vector<int>(9, 8));
}

TEST_CASE("convert under the scheme of a trained model gives its widths") {
  const Workspace here;
  here.train("run");
  const std::string scheme = "run/checkpoints/bsq";
  here.must({"convert", "run/checkpoints/pretrain", "p.safetensors", "--scheme", scheme});
  const std::vector<int> wanted = bits_of(inspect(here, scheme).at("precision"));
  CHECK(bits_of(inspect(here, "p.safetensors").at("precision")) == wanted);
  CHECK(std::any_of(wanted.begin(), wanted.end(), [](int bits) { return bits < 8; }));
  here.must({"train", "tiny.yaml", "--run-dir", "tuned", "stages=[finetune]", "model.init=p.safetensors"});
}

TEST_CASE("convert refuses what makes no sense, and never replaces a file unasked") {
  const Workspace here;
  here.train("run", {"stages=[pretrain]"});
  here.train("wide", {"stages=[pretrain,convert]", "model.width=3"});
  put_text(here / "there.safetensors", "precious");
  const std::vector<std::tuple<Words, int, std::string>> cases = {
      {{"convert", "run", "p.bin"}, 2, "p.bin: name the output *.safetensors"},
      {{"convert", "run", "there.safetensors"}, 2, "there.safetensors exists; use --force to replace it"},
      {{"convert", "run", "p.safetensors", "--bits", "9"}, 2, "--bits: Value 9 not in range 1 to 8"},
      {{"convert", "run", "p.safetensors", "--to", "int8"}, 2, "--to: int8 not in {planes,float}"},
      {{"convert", "run", "p.safetensors", "--bits=3", "--scheme=wide"},
       2,
       "--bits, --max-bits and --scheme: give one of them"},
      {{"convert", "run", "p.safetensors", "--to=float", "--bits=3"}, 2, "--to float: has no bits; leave out"},
      {{"convert", "run", "p.safetensors", "--max-bits=3"},
       2,
       "/model.safetensors is a float model and has no bit widths; --bits gives it some"},
      {{"convert", "run", "p.safetensors", "--scheme=run"}, 2, "is a float model and has no bit widths"},
      {{"convert", "run", "p.safetensors", "--scheme=wide"},
       4,
       "is of resnet8 (depth 8, width 3), the model is resnet8 (depth 8, width 2)"},
      {{"convert", "gone", "p.safetensors"}, 4, "gone: no such checkpoint; check the path"},
      {{"convert", "run", "gone/p.safetensors"},
       4,
       "gone/p.safetensors: cannot create: No such file or directory; check the path"},
  };
  for (const auto& [words, exit_code, message] : cases) check_error(here, words, exit_code, {message});
  CHECK(text_of(here / "there.safetensors") == "precious");
  CHECK_FALSE(fs::exists(here / "p.safetensors"));
  here.must({"convert", "run", "there.safetensors", "--force"});
  CHECK(text_of(here / "there.safetensors") != "precious");
}

TEST_CASE("inspect lists tensors and metadata, and the precision of a quantized model") {
  const Workspace here;
  here.train("run", {"stages=[pretrain,convert]"});
  const std::string file = "run/checkpoints/convert/model.safetensors";
  const json found = inspect(here, file);
  CHECK(found.at("bytes") == fs::file_size(here / file));
  CHECK(found.at("metadata").at("form") == "planes");
  CHECK(found.at("tensors").size() == bsq::read_safetensors(here / file).tensors.size());
  CHECK(found.at("precision").at("compression") == 4.0);
  CHECK_FALSE(inspect(here, "run/checkpoints/pretrain").contains("precision"));
  const std::string text = here.must({"inspect", "run"}).out;
  for (const char* part :
       {"\nform             planes\n", "\nconv1.pweight ", "\nconv1.scale ", "\npaper's rule ", "4.00x"})
    CHECK_THAT(text, Catch::Contains(part));
  put_text(here / "foreign.safetensors", std::string("\x38\0\0\0\0\0\0\0", 8) +
                                             R"({"a":{"dtype":"I32","shape":[2],"data_offsets":[0,8]}}  )" +
                                             "12345678");
  CHECK(inspect(here, "foreign.safetensors").at("tensors")[0].at("shape") == json::array({2}));
  check_error(here, {"eval", "foreign.safetensors", "data.kind=synthetic"}, 4, {"foreign.safetensors: "});
}
