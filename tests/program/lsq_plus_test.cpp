// quant.signed: lsq_plus, on a narrow MobileNetV2, whose bottlenecks are quantized by it: trained, evaluated, counted,
// stopped, exported; where it has no form; what it needs.
#include "tests/support/emulated_gpu.h"
#include "tests/support/tensor_file.h"
#include "tests/support/trace.h"
#include "tests/support/workspace.h"

#include <csignal>

using namespace bsq::test;
using nlohmann::json;

namespace {

const char* const kMobile =
    "name: mobile\n"
    "threads: 1\n"
    "model: {arch: mobilenet_v2, width_mult: 0.05}\n"
    "data: {kind: synthetic, synthetic_train: 320, synthetic_test: 20, batch_size: 32}\n"
    "quant: {weight_bits: 4, act_bits: 4, activation: lsq, signed: lsq_plus}\n"
    "stages: [pretrain, lsq]\n"
    "pretrain: {epochs: 2, lr: 0.02, milestones: []}\n"  // running statistics settle
    "lsq: {epochs: 2, lr: 0.001, milestones: []}\n";

/// Each is read by a quantized convolution.
constexpr int kBottlenecks = 17;

struct Mobile : Workspace {
  Mobile() { put_text(*this / "mobile.yaml", kMobile); }

  Words words(const std::string& run, const Words& more = {}) const {
    Words words = {"train", "mobile.yaml", "--run-dir", run};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
};

/// The numbers of all tensors that end like this.
std::vector<float> numbers_of(const fs::path& model, const std::string& end) {
  std::vector<float> numbers;
  for (const bsq::HostTensor& tensor : bsq::read_safetensors(model).tensors)
    if (tensor.name.ends_with(end)) numbers.push_back(tensor.values<float>()[0]);
  return numbers;
}

std::string top1(const std::string& text) {
  return text.substr(text.find("top-1"), 40);
}

json layers_of(const Mobile& here, const std::string& model) {
  const json inspected = json::parse(here.must({"inspect", model, "--json"}).out);
  json layers = json::object();
  for (const json& layer : inspected.at("precision").at("layers")) layers[layer.at("name").get<std::string>()] = layer;
  return layers;
}

/// A network with a bottleneck that nobody says anything of, and one that is said to be quantized.
void put_own_network(const Mobile& here) {
  put_text(here / "net.yaml",
           "quantize: all\n"
           "nodes:\n"
           "  - {name: conv1, layer: conv2d, out: 8}\n"
           "  - {name: bn1, layer: batch_norm}\n"
           "  - {name: relu1, layer: activation}\n"
           "  - {name: conv2, layer: conv2d, out: 8}\n"
           "  - {name: bn2, layer: batch_norm}\n"
           "  - {name: conv3, layer: conv2d, out: 8}\n"
           "  - {name: bn3, layer: batch_norm}\n"
           "  - {name: q, layer: quantize}\n"
           "  - {name: conv4, layer: conv2d, out: 8}\n"
           "  - {name: bn4, layer: batch_norm}\n"
           "  - {name: relu4, layer: activation}\n"
           "  - {name: pool, layer: average_pool}\n"
           "  - {name: fc, layer: linear, out: 10}\n");
  put_text(here / "own.yaml",
           "threads: 1\nmodel: {network: net.yaml}\n"
           "data: {kind: synthetic, synthetic_train: 64, synthetic_test: 20, batch_size: 16}\n"
           "quant: {activation: lsq, signed: lsq_plus, layers: {bn2.quantize: {act_bits: 8}}}\n"
           "stages: [pretrain, lsq]\n"
           "pretrain: {epochs: 2, lr: 0.01, milestones: []}\nlsq: {epochs: 2, lr: 0.001, milestones: []}\n");
}

}  // namespace

TEST_CASE("bottlenecks of MobileNetV2 are quantized by steps and offsets that are learned, evaluated and counted") {
  const Mobile here;
  here.must(here.words("run"));
  const fs::path first = here / "run/checkpoints/lsq/model.safetensors";
  const std::vector<float> steps = numbers_of(first, ".quantize.step"), offsets = numbers_of(first, ".quantize.offset");
  REQUIRE(steps.size() == kBottlenecks);
  REQUIRE(offsets.size() == kBottlenecks);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    CHECK(steps[i] > 0);
    CHECK(offsets[i] < 0);
  }
  CHECK(numbers_of(here / "run/checkpoints/pretrain/model.safetensors", ".step").empty());

  const std::string model = "run/checkpoints/lsq/model.safetensors";
  const json layers = layers_of(here, model);
  CHECK(layers.at("features.3.conv.0.0.weight").at("input_bits") == 4);  // reads a bottleneck
  CHECK(layers.at("features.3.conv.1.0.weight").at("input_bits") == 4);
  CHECK(layers.at("features.0.0.weight").at("input_bits") == 0);
  CHECK(top1(here.must({"eval", model, "data.eval_batch_size=1"}).out) == top1(here.must({"eval", model}).out));
  CHECK_THAT(here.must({"inspect", model, "--network"}).out, Catch::Contains("layer: quantize"));
  here.must({"report", "run"});
  here.must({"verify", "run"});

  // Without it the same numbers are float, and a float stage is the same to the bit.
  here.must(here.words("plain", {"quant.signed=float"}));
  CHECK(numbers_of(here / "plain/checkpoints/lsq/model.safetensors", ".step").empty());
  CHECK(layers_of(here, "plain").at("features.3.conv.0.0.weight").at("input_bits") == 0);
  const auto weights_of = [&](const char* run) {
    return bsq::read_safetensors(here / run / "checkpoints/pretrain/model.safetensors").tensors;
  };
  const std::vector<bsq::HostTensor> with = weights_of("run"), without = weights_of("plain");
  REQUIRE(with.size() == without.size());
  for (std::size_t i = 0; i < with.size(); ++i) {
    CHECK(with[i].name == without[i].name);
    CHECK(with[i].bytes == without[i].bytes);
  }
  check_error(here, {"eval", "plain", "quant.signed=lsq_plus", "-q"}, 2,
              {"quant.signed = lsq_plus: ", "has nothing that learned it; leave it out"});
  check_error(here,
              {"eval", "run/checkpoints/pretrain/model.safetensors", "quant.activation=lsq", "quant.act_bits=4", "-q"},
              2, {"learned no"});
}

TEST_CASE("a run that learns offsets is killed, resumed, handed on and averaged") {
  const Mobile here;
  const Words more = {"stages=[pretrain,lsq,finetune]", "finetune.epochs=1", "finetune.milestones=[]", "lsq.ema=0.5"};
  here.must(here.words("whole", more));
  if (can_trace()) {
    REQUIRE(signal_after("[T] lsq 1/2", SIGKILL, here.words("run", more), here.setup()).signal == SIGKILL);
    Words resume = here.words("run", more);
    resume.insert(resume.end(), {"--resume", "auto"});
    here.must(resume);
    check_same_run(here / "whole", here / "run");
  } else {
    WARN("SKIPPED: this system does not let a process trace its children");
  }
  const std::vector<float> trained = numbers_of(here / "whole/checkpoints/lsq/model.safetensors", ".quantize.step");
  const std::vector<float> tuned = numbers_of(here / "whole/checkpoints/finetune/model.safetensors", ".quantize.step");
  REQUIRE(trained.size() == kBottlenecks);
  REQUIRE(tuned.size() == kBottlenecks);
  for (std::size_t i = 0; i < tuned.size(); ++i) {
    CHECK(tuned[i] != trained[i]);
    CHECK(std::abs(std::log(tuned[i] / trained[i])) < 1);  // not begun anew
  }
  // A model without offsets gets them where it trains on.
  here.must(here.words("plain", {"quant.signed=float"}));
  here.must(here.words("on", {"stages=[finetune]", "finetune.epochs=1", "finetune.milestones=[]",
                              "model.init=plain/checkpoints/lsq/model.safetensors"}));
  CHECK(numbers_of(here / "on/checkpoints/finetune/model.safetensors", ".quantize.offset").size() == kBottlenecks);
}

TEST_CASE("a model with offsets is exported in floating point, and refused where integers begin at 0") {
  const Mobile here;
  here.must(here.words("run"));
  const std::string model = "run/checkpoints/lsq/model.safetensors";
  for (const char* format : {"packed", "float"})
    here.must({"export", model, "--format", format, "--output", std::string(format) + ".safetensors"});
  CHECK(top1(here.must({"eval", "packed.safetensors", "--config", "mobile.yaml"}).out) ==
        top1(here.must({"eval", model}).out));
  const std::string why =
      "has no deployed form: features.1.conv.2.quantize has levels from an offset on (quant.signed = "
      "lsq_plus), which have no form in integers";
  check_error(here, {"export", model, "--format", "deployed", "--output", "d.safetensors", "-q"}, 2, {why});
  check_error(here, {"export", model, "--format", "c", "--output", "m.c", "-q"}, 2, {why});
  check_error(here, {"eval", model, "--as", "deployed", "-q"}, 2, {why});
  check_error(here, {"predict", model, "mobile.yaml"}, 2, {why});
  if (contains(here.must({"info"}).out, "\nonnx       protobuf ")) {
    const Outcome graph = here.must({"export", model, "--format", "onnx", "--output", "m.onnx"});
    CHECK(contains(graph.err, "this is its graph of training, in float32"));
    here.must({"export", model, "--format", "qonnx", "--output", "q.onnx"});
  } else {
    WARN("SKIPPED: this bsq is built without ONNX");
  }
  CHECK_THAT(here.must({"validate", "mobile.yaml"}).err + here.must({"validate", "mobile.yaml"}).out,
             Catch::Contains("no integer form: features.1.conv.2.quantize"));
}

TEST_CASE("layers of a network of one's own are quantized by LSQ+ where it is asked for, by their own bits") {
  const Mobile here;
  put_own_network(here);
  here.must({"train", "own.yaml", "--run-dir", "run"});
  const json layers = layers_of(here, "run");
  CHECK(layers.at("conv3.weight").at("input_bits") == 8);
  CHECK(layers.at("conv4.weight").at("input_bits") == 4);
  CHECK(numbers_of(here / "run/checkpoints/lsq/model.safetensors", "q.step").size() == 1);
}

TEST_CASE("quant.signed says what it needs before anything is trained") {
  const Mobile here;
  const std::string end = "1 error; nothing was written";
  check_errors(
      here, {"train", "mobile.yaml", "quant.activation=relu6"}, 2,
      {"mobile.yaml:5:55: quant.signed = lsq_plus; learns offsets beside the steps of quant.activation: lsq, set it to "
       "that, not to relu6",
       end});
  check_errors(
      here, {"train", "mobile.yaml", "quant.act_bits=0"}, 2,
      {"mobile.yaml:5:55: quant.signed = lsq_plus; needs quantized activations, set quant.act_bits to 1..8", end});
  check_errors(
      here, {"train", "mobile.yaml", "quant.deployed=true", "quant.act_scale=calibrated"}, 2,
      {"mobile.yaml:5:55: quant.signed = lsq_plus; levels from an offset on have no deployed form, set quant.deployed "
       "to false, or quant.signed to float",
       end});
  check_errors(here, {"train", "mobile.yaml", "quant.signed=lsq"}, 2,
               {"override 1: quant.signed = lsq; must be one of float, lsq_plus", end});
  check_error(
      here, {"train", "tiny.yaml", "quant.activation=lsq", "quant.signed=lsq_plus", "-q"}, 2,
      {"quant.signed = lsq_plus; no quantized layer of resnet8 reads numbers of either sign; set quant.signed to "
       "float"});
  CHECK_FALSE(fs::exists(here / "runs"));
}

TEST_CASE("offsets are learned on the oracle and on an emulated GPU as on the CPU", "[slow]") {
  const Mobile here;
  put_own_network(here);
  here.must(here.words("start", {"device=cpu", "stages=[pretrain]"}));
  const Words two_steps = {"stages=[lsq]", "lsq.epochs=1", "lsq.lr=1e-5", "data.batch_size=160",
                           "model.init=start/checkpoints/pretrain/model.safetensors"};
  const auto train = [&](const std::string& device, const auto& run) {
    run(Words{"train", "own.yaml", "--run-dir", device + "_own", "device=" + device});
    Words mobile = here.words(device, two_steps);
    mobile.push_back("device=" + device);
    run(mobile);
    // What is rounded otherwise in one of fifty layers changes all that follow: the numbers of no device are another's.
    const std::vector<float> steps = numbers_of(here / device / "checkpoints/lsq/model.safetensors", ".quantize.step");
    CHECK(steps.size() == kBottlenecks);
    for (const float step : steps) CHECK(step > 0);
  };
  const auto on_this_machine = [&](const Words& words) { here.must(words); };
  train("cpu", on_this_machine);
  train("reference", on_this_machine);
  check_similar_epochs(here / "cpu_own", here / "reference_own");
  if (EmulatedGpu::is_missing()) return;
  const EmulatedGpu gpu;
  train("cuda", [&](const Words& words) { gpu.run(here, words, 0); });
  check_similar_epochs(here / "cpu_own", here / "cuda_own");
}
