// The stage lsq: from float weights, under the widths that BSQ has found, resumed, exported; what it cannot start from.
#include "tests/support/emulated_gpu.h"
#include "tests/support/tensor_file.h"
#include "tests/support/trace.h"
#include "tests/support/workspace.h"

#include <csignal>

using namespace bsq::test;
using nlohmann::json;

namespace {

const Words kShort = {"lsq.epochs=2", "quant.weight_bits=3"};

Words with_lsq(Words words, const std::string& stages) {
  words.insert(words.end(), kShort.begin(), kShort.end());
  words.push_back("stages=" + stages);
  return words;
}

}  // namespace

TEST_CASE("LSQ trains a float model, is evaluated, exported and finetuned") {
  const Workspace here;
  here.train("run", with_lsq({}, "[pretrain,lsq,finetune]"));
  const std::string model = "run/checkpoints/lsq/model.safetensors";
  CHECK_THAT(here.must({"eval", model}).out, Catch::Contains("3.000 bits per weight"));
  for (const char* format : {"packed", "float"})
    here.must({"export", model, "--format", format, "--output", std::string(format) + ".safetensors"});
  const bsq::TensorFile trained = bsq::read_safetensors(here / "run/checkpoints/lsq_best/model.safetensors");
  CHECK(trained.metadata.at("form") == "planes");  // handed on as every quantized model is
  CHECK_THAT(text_of(here / "run/train.log"), Catch::Contains("[T] finetune 2/2"));
  CHECK_THAT(here.must({"report", "run"}).out, Catch::Contains("lsq"));
}

TEST_CASE("a checkpoint from the middle of LSQ is packed as the end of the stage would be") {
  const Workspace here;
  here.train("run", with_lsq({"checkpoint.keep_last=9"}, "[pretrain,lsq]"));
  const std::string within = "run/checkpoints/epoch_0004/model.safetensors";
  CHECK(bsq::read_safetensors(here / within).metadata.at("form") == "lsq");
  here.must({"export", within, "--format", "packed", "--output", "packed.safetensors"});
  const auto top1 = [](const std::string& text) { return text.substr(text.find("top-1"), 40); };
  CHECK(top1(here.must({"eval", "packed.safetensors", "--config", "tiny.yaml"}).out) ==
        top1(here.must({"eval", within}).out));
}

TEST_CASE("the asymmetric range of LSQ is trained, resumed, evaluated, reported and exported at the bits it claims") {
  const Workspace here;
  const Words options = {"stages=[pretrain,lsq,finetune]",
                         "lsq.epochs=2",
                         "quant.weight_bits=1",
                         "quant.act_bits=4",
                         "lsq.range=asymmetric",
                         "finetune.method=lsq",
                         "finetune.range=asymmetric",
                         "quant.act_scale=calibrated",
                         "quant.layers={fc: {weight_bits: 7, fixed: true}}"};
  here.train("run", options);
  const std::string model = "run/checkpoints/finetune/model.safetensors";
  CHECK(bsq::read_safetensors(here / model).metadata.at("form") == "lsq");
  CHECK_THAT(here.must({"inspect", model}).out, Catch::Contains("fc"));
  CHECK_THAT(here.must({"report", "run"}).out, Catch::Contains("a sign, levels -2^n .. 2^n - 1 of n bits"));
  const auto top1 = [](const std::string& text) { return text.substr(text.find("top-1"), 40); };
  const std::string evaluated = here.must({"eval", model}).out;
  for (const std::string& of : {model, std::string("run/checkpoints/lsq_best/model.safetensors")})
    here.must({"export", of, "--format", "packed", "--output", "packed.safetensors", "--force"});
  CHECK(top1(here.must({"eval", "packed.safetensors", "--config", "tiny.yaml", "quant.act_scale=calibrated"}).out) ==
        top1(evaluated));
  here.must({"export", "packed.safetensors", "--format", "float", "--output", "float.safetensors"});
  for (const char* runtime : {"onnxruntime", "openvino", "tensorrt"})
    here.must({"export", model, "--format", "onnx", "--runtime", runtime, "--output", std::string(runtime) + ".onnx"});
  here.must({"export", model, "--format", "qonnx", "--output", "q.onnx"});
  here.must({"export", model, "--format", "deployed", "--output", "deployed.safetensors"});
  here.must({"export", model, "--format", "c", "--output", "model.c"});
  here.must({"verify", "run"});
  const Words killed = [&] {
    Words words = {"train", "tiny.yaml", "--run-dir", "killed"};
    words.insert(words.end(), options.begin(), options.end());
    return words;
  }();
  REQUIRE(signal_after("[T] lsq 1/2", SIGKILL, killed, here.setup()).signal == SIGKILL);
  Words resumed = killed;
  resumed.insert(resumed.end(), {"--resume", "auto"});
  here.must(resumed);
  for (const char* stage : {"lsq", "finetune"}) {
    const fs::path file = fs::path("checkpoints") / stage / "model.safetensors";
    CHECK(text_of(here / "run" / file) == text_of(here / "killed" / file));
  }

  here.must({"sensitivity", model});
  check_error(here, {"convert", model, "planes.safetensors"}, 2, {"bit planes cannot hold them"});
  check_error(here, {"train", "tiny.yaml", "stages=[finetune]", "model.init=" + model, "-q"}, 2,
              {"has weights of the levels -2 .. 1 (lsq.range: asymmetric), and other grids are symmetric"});
}

TEST_CASE("a range that the next stage, or 8-bit integers, do not have is refused before anything is trained") {
  const Workspace here;
  check_errors(here, {"train", "tiny.yaml", "stages=[pretrain,lsq,finetune]", "lsq.range=asymmetric"}, 2,
               {"override 2: lsq.range = asymmetric and finetune.method = fixed, whose levels are symmetric; set "
                "finetune.method to lsq and finetune.range to asymmetric, or leave finetune out",
                "1 error; nothing was written"});
  check_error(here, {"train", "tiny.yaml", "stages=[pretrain,lsq]", "lsq.range=asymmetric", "-q"}, 2,
              {"lsq.range = asymmetric: conv1.weight would have 8 bits and a sign, and the levels -256 .. 255 are no "
               "8-bit integers; give it at most 7"});
  CHECK_FALSE(fs::exists(here / "runs"));
}

TEST_CASE("steps of activations are learned, and evaluated, exported and predicted with as they are") {
  const Workspace here;
  here.train("run", with_lsq({"quant.activation=lsq", "quant.act_bits=4"}, "[pretrain,lsq,finetune]"));
  const std::string model = "run/checkpoints/finetune/model.safetensors";
  CHECK_THAT(here.must({"eval", model}).out, Catch::Contains("activations lsq, 4 bits by learned steps"));
  const auto top1 = [](const std::string& text) { return text.substr(text.find("top-1"), 40); };
  CHECK(top1(here.must({"eval", model, "data.eval_batch_size=1"}).out) == top1(here.must({"eval", model}).out));
  for (const char* format : {"packed", "deployed"})
    here.must({"export", model, "--format", format, "--output", std::string(format) + ".safetensors"});
  CHECK_THAT(here.must({"eval", "packed.safetensors", "--config", "tiny.yaml"}).out, Catch::Contains("learned steps"));
  CHECK_THAT(here.must({"eval", model, "--as", "deployed"}).out,
             Catch::Contains("in integers, as it is deployed") && Catch::Contains(" %   as it was trained"));
  CHECK_THAT(here.must({"export", model, "--format", "deployed", "--output", "again.safetensors"}).out,
             Catch::Contains(" % in integers, ") && Catch::Contains(" % as trained") && !Catch::Contains("nan"));
  here.must({"verify", "run"});

  check_error(here, {"eval", "run/checkpoints/pretrain/model.safetensors", "quant.activation=lsq", "quant.act_bits=4"},
              2,
              {"has no layer1.0.relu1.ceiling, for its activations learned no steps; leave quant.activation=lsq out"});
}

TEST_CASE("a step per channel is trained, resumed, handed on, evaluated and exported, at a scale per tensor") {
  const Workspace here;
  const Words words = with_lsq({"lsq.steps=channel", "checkpoint.keep_last=9"}, "[pretrain,lsq,finetune]");
  here.train("run", words);
  CHECK_THAT(here.must({"report", "run"}).out, Catch::Contains("a step per channel before norms"));
  const fs::path within = "run/checkpoints/epoch_0004/model.safetensors";
  const bsq::TensorFile trained = bsq::read_safetensors(here / within);
  CHECK(trained.metadata.at("form") == "lsq");
  CHECK(trained.at("layer1.0.conv1.lsq_weight_channel_steps").numel() ==
        trained.at("layer1.0.conv1.lsq_weight").shape[0]);
  CHECK(trained.find("fc.lsq_weight_channel_steps") == nullptr);
  const auto top1 = [](const std::string& text) { return text.substr(text.find("top-1"), 40); };
  here.must({"export", within.string(), "--format", "packed", "--output", "packed.safetensors"});
  CHECK(top1(here.must({"eval", "packed.safetensors", "--config", "tiny.yaml"}).out) ==
        top1(here.must({"eval", within.string()}).out));
  here.must({"export", within.string(), "--format", "float", "--output", "float.safetensors"});
  CHECK(top1(here.must({"eval", "float.safetensors", "--config", "tiny.yaml"}).out) ==
        top1(here.must({"eval", within.string()}).out));
  here.must({"inspect", within.string()});
  here.must({"verify", "run"});

  here.must({"train", "tiny.yaml", "--run-dir", "on", "stages=[finetune]", "finetune.method=lsq",
             "finetune.steps=channel", "model.init=run/checkpoints/lsq/model.safetensors"});
  CHECK_THAT(text_of(here / "on/train.log"), Catch::Contains("[T] finetune 2/2"));
}

TEST_CASE("a step per channel on an emulated GPU comes to what it comes to on the CPU", "[slow]") {
  if (EmulatedGpu::is_missing()) return;
  const Workspace here;
  const EmulatedGpu gpu;
  const std::string steps = "lsq.steps=channel";
  gpu.run(here, with_lsq({"train", "tiny.yaml", "--run-dir", "gpu", "device=cuda", steps}, "[pretrain,lsq]"), 0);
  here.train("cpu", with_lsq({"device=cpu", steps}, "[pretrain,lsq]"));
  check_similar_epochs(here / "cpu", here / "gpu");
}

TEST_CASE("a step per channel needs a norm behind a convolution") {
  const Workspace here;
  put_text(here / "vgg.yaml", "model: {arch: vgg, depth: 11}\ndata: {kind: synthetic}\nstages: [pretrain, lsq]\n");
  check_error(here, {"train", "vgg.yaml", "lsq.steps=channel"}, 2,
              {"lsq.steps = channel; no quantized convolution of this network is read by batch norms alone"});
}

TEST_CASE("LSQ trains on under the widths that BSQ has found") {
  const Workspace here;
  here.train("run", with_lsq({}, "[pretrain,convert,bsq,lsq]"));
  const auto scheme = [&](const char* stage) {
    const fs::path folder = fs::path("run/checkpoints") / stage;
    return json::parse(bsq::read_safetensors(here / folder / "model.safetensors").metadata.at("scheme"));
  };
  const json found = scheme("bsq");
  const json kept = scheme("lsq");
  for (const auto& [layer, bits] : found.items()) {
    INFO(layer);
    for (std::size_t i = 0; i < 2; ++i) CHECK(kept.at(layer).at(i) == bits.at(i));
  }
  CHECK(found != json::object());
}

TEST_CASE("LSQ is the finetuner of the widths that BSQ has found where finetune.method says so") {
  const Workspace here;
  here.train("run", {"finetune.method=lsq", "checkpoint.keep_last=9"});
  const bsq::TensorFile within = bsq::read_safetensors(here / "run/checkpoints/epoch_0009/model.safetensors");
  CHECK(within.metadata.at("form") == "lsq");
  const auto scheme = [&](const char* stage) {
    const fs::path folder = fs::path("run/checkpoints") / stage;
    return bsq::read_safetensors(here / folder / "model.safetensors").metadata.at("scheme");
  };
  CHECK(scheme("finetune") == scheme("bsq"));
  here.must({"verify", "run"});
  check_errors(here, {"train", "tiny.yaml", "finetune.method=csq"}, 2,
               {"override 1: finetune.method = csq; must be one of fixed, lsq; did you mean 'lsq'?",
                "1 error; nothing was written"});
}

TEST_CASE("LSQ killed in its epochs and resumed comes to the bits of a run that was not") {
  if (!can_trace()) {
    WARN("SKIPPED: this system does not let a process trace its children");
    return;
  }
  const Workspace here;
  here.train("whole", with_lsq({}, "[pretrain,lsq]"));
  const Words train = with_lsq({"train", "tiny.yaml", "--run-dir", "run"}, "[pretrain,lsq]");
  REQUIRE(signal_after("[T] lsq 1/2", SIGKILL, train, here.setup()).signal == SIGKILL);
  Words resume = train;
  resume.insert(resume.end(), {"--resume", "auto"});
  here.must(resume);
  check_same_run(here / "whole", here / "run");
}

TEST_CASE("LSQ on an emulated GPU comes to what it comes to on the CPU") {
  if (EmulatedGpu::is_missing()) return;
  const Workspace here;
  const EmulatedGpu gpu;
  gpu.run(here, with_lsq({"train", "tiny.yaml", "--run-dir", "gpu", "device=cuda"}, "[pretrain,lsq]"), 0);
  here.train("cpu", with_lsq({"device=cpu"}, "[pretrain,lsq]"));
  check_similar_epochs(here / "cpu", here / "gpu");
}

TEST_CASE("steps of activations are learned on an emulated GPU as on the CPU", "[slow]") {
  if (EmulatedGpu::is_missing()) return;
  const Workspace here;
  const EmulatedGpu gpu;
  const Words steps = {"quant.activation=lsq", "quant.act_bits=4"};
  Words on_gpu = {"train", "tiny.yaml", "--run-dir", "gpu", "device=cuda"}, on_cpu = {"device=cpu"};
  on_gpu.insert(on_gpu.end(), steps.begin(), steps.end());
  on_cpu.insert(on_cpu.end(), steps.begin(), steps.end());
  gpu.run(here, with_lsq(on_gpu, "[pretrain,lsq]"), 0);
  here.train("cpu", with_lsq(on_cpu, "[pretrain,lsq]"));
  check_similar_epochs(here / "cpu", here / "gpu");
}

TEST_CASE("LSQ needs a model to start from") {
  const Workspace here;
  const Outcome outcome = here.run({"train", "tiny.yaml", "--run-dir", "run", "stages=[lsq]"});
  CHECK(outcome.exit_code == 2);
  CHECK_THAT(outcome.err, Catch::Contains("stages begin with lsq, which needs a trained model; set model.init"));
  CHECK_FALSE(fs::exists(here / "run"));
}
