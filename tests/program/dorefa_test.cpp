// The stage dorefa: from float weights and from none, resumed, exported, on an emulated GPU; what it cannot follow.
#include "tests/support/emulated_gpu.h"
#include "tests/support/tensor_file.h"
#include "tests/support/trace.h"
#include "tests/support/workspace.h"

#include <csignal>

using namespace bsq::test;

namespace {

Words with_dorefa(Words words, const std::string& stages = "[pretrain,dorefa]") {
  words.insert(words.end(), {"dorefa.epochs=2", "quant.weight_bits=2", "stages=" + stages});
  return words;
}

}  // namespace

TEST_CASE("DoReFa trains a float model, is evaluated and exported, and is counted without signs") {
  const Workspace here;
  const Outcome trained = here.train("run", with_dorefa({}));
  CHECK_THAT(trained.err, Catch::Contains("2.00 bits per parameter (2."));
  const std::string model = "run/checkpoints/dorefa/model.safetensors";
  const std::string eval = here.must({"eval", model}).out;
  CHECK_THAT(eval, Catch::Contains("2.000 bits per weight"));
  for (const char* format : {"packed", "float"})
    here.must({"export", model, "--format", format, "--output", std::string(format) + ".safetensors"});
  here.must({"export", model, "--format", "onnx", "--output", "m.onnx", "quant.act_scale=batch_max"});
  CHECK(here.must({"eval", "packed.safetensors", "--config", "tiny.yaml"}).out.find("2.000 bits") != std::string::npos);
  CHECK_THAT(eval, Catch::Contains("x  2.222 bits per weight: signs"));  // and nine scales for 1,296 weights
  CHECK_THAT(here.must({"scheme", model}).out, Catch::Contains("# 2.222 stored bits per weight"));
  const bsq::TensorFile best = bsq::read_safetensors(here / "run/checkpoints/dorefa_best/model.safetensors");
  CHECK(best.metadata.at("form") == "planes");  // handed on as every quantized model is
  CHECK_THAT(here.must({"report", "run"}).out, Catch::Contains("dorefa"));
  here.must({"verify", "run"});
}

TEST_CASE("DoReFa may begin with weights that nobody has trained") {
  const Workspace here;
  CHECK_THAT(here.train("run", with_dorefa({}, "[dorefa]")).err, Catch::Contains("stage dorefa done"));
}

TEST_CASE("DoReFa killed in its epochs and resumed comes to the bits of a run that was not") {
  if (!can_trace()) {
    WARN("SKIPPED: this system does not let a process trace its children");
    return;
  }
  const Workspace here;
  here.train("whole", with_dorefa({"dorefa.ema=0.9"}));
  const Words train = with_dorefa({"train", "tiny.yaml", "--run-dir", "run", "dorefa.ema=0.9"});
  REQUIRE(signal_after("[T] dorefa 1/2", SIGKILL, train, here.setup()).signal == SIGKILL);
  Words resume = train;
  resume.insert(resume.end(), {"--resume", "auto"});
  here.must(resume);
  check_same_run(here / "whole", here / "run");
}

TEST_CASE("DoReFa on an emulated GPU comes to what it comes to on the CPU") {
  if (EmulatedGpu::is_missing()) return;
  const Workspace here;
  const EmulatedGpu gpu;
  gpu.run(here, with_dorefa({"train", "tiny.yaml", "--run-dir", "gpu", "device=cuda"}), 0);
  here.train("cpu", with_dorefa({"device=cpu"}));
  check_similar_epochs(here / "cpu", here / "gpu");
}

TEST_CASE("DoReFa goes with no other stage that quantizes, and starts from no model on another grid") {
  const Workspace here;
  check_errors(here, {"train", "tiny.yaml", "stages=[pretrain,dorefa,finetune]"}, 2,
               {"override 1: stages = [pretrain, dorefa, finetune]; dorefa trains float weights on a grid of its own, "
                "which finetune does not have; leave one of them out",
                "1 error; nothing was written"});
  here.train("run");
  const Outcome outcome = here.run({"train", "tiny.yaml", "--run-dir", "next", "stages=[dorefa]", "dorefa.epochs=1",
                                    "model.init=run/checkpoints/finetune"});
  CHECK(outcome.exit_code == 2);
  CHECK_THAT(outcome.err, Catch::Contains("has weights on a grid, and dorefa starts from float ones"));
  CHECK_FALSE(fs::exists(here / "next"));
}
