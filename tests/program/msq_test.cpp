// The stage msq: from float weights, by a threshold and under a budget, resumed, exported, on an emulated GPU; what is
// refused.
#include "tests/support/emulated_gpu.h"
#include "tests/support/tensor_file.h"
#include "tests/support/trace.h"
#include "tests/support/workspace.h"

#include <csignal>

using namespace bsq::test;

namespace {

Words with_msq(Words words, const Words& more = {"msq.budget_bits=4", "msq.budget_epochs=2"}) {
  words.insert(words.end(), {"stages=[pretrain,msq,finetune]", "msq.epochs=4", "msq.strength=0.5"});
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace

TEST_CASE("MSQ trains a float model to a budget, is reported, evaluated, exported and finetuned") {
  const Workspace here;
  const Outcome trained = here.train("run", with_msq({}));
  CHECK_THAT(trained.err, Catch::Contains("[M] msq after epoch 0: budget 4 (stored count): 9.2") &&
                              Catch::Contains("met, so that widths stay from here on"));
  CHECK_THAT(trained.out, Catch::Contains("budget of msq: 4 bits per weight; met after epoch 2"));
  const std::string model = "run/checkpoints/msq/model.safetensors";
  CHECK_THAT(here.must({"eval", model}).out, Catch::Contains("bits per weight"));
  for (const char* format : {"packed", "float"})
    here.must({"export", model, "--format", format, "--output", std::string(format) + ".safetensors"});
  here.must({"export", model, "--format", "onnx", "--output", "m.onnx", "quant.act_scale=batch_max"});
  here.must({"eval", "packed.safetensors", "--config", "tiny.yaml"});
  const bsq::TensorFile best = bsq::read_safetensors(here / "run/checkpoints/msq_best/model.safetensors");
  CHECK(best.metadata.at("form") == "planes");  // handed on as every quantized model is
  CHECK_THAT(text_of(here / "run/report/index.html"),
             Catch::Contains("Bits under the budget") && Catch::Contains("In stored bits. Once the budget is met"));
  here.must({"verify", "run", "--epochs", "all"});
}

TEST_CASE("MSQ says at every interval how many layers lose their last bits") {
  const Workspace here;
  const Outcome trained =
      here.train("run", with_msq({}, {"msq.prune_interval=3", "msq.prune_threshold=100", "msq.ema=0.9"}));
  CHECK_THAT(trained.err, Catch::Contains("[M] msq after epoch 3: last bits: ") &&
                              Catch::Contains("8.000 -> 7.000 bits per weight"));
}

TEST_CASE("MSQ killed in its epochs and resumed comes to the bits of a run that was not") {
  if (!can_trace()) {
    WARN("SKIPPED: this system does not let a process trace its children");
    return;
  }
  const Workspace here;
  here.train("whole", with_msq({}));
  const Words train = with_msq({"train", "tiny.yaml", "--run-dir", "run"});
  REQUIRE(signal_after("[T] msq 2/4", SIGKILL, train, here.setup()).signal == SIGKILL);
  here.must(with_msq({"train", "tiny.yaml", "--run-dir", "run", "--resume", "auto"}));
  check_same_run(here / "whole", here / "run");
}

TEST_CASE("MSQ on an emulated GPU comes to what it comes to on the CPU") {
  if (EmulatedGpu::is_missing()) return;
  const Workspace here;
  const EmulatedGpu gpu;
  gpu.run(here, with_msq({"train", "tiny.yaml", "--run-dir", "gpu", "device=cuda"}), 0);
  here.train("cpu", with_msq({"device=cpu"}));
  check_similar_epochs(here / "cpu", here / "gpu");
}

TEST_CASE("MSQ has budgets that can be met, and intervals within its stage") {
  const Workspace here;
  const std::string end = "1 error; nothing was written";
  check_errors(here, with_msq({"train", "tiny.yaml"}, {"msq.budget_bits=1.5"}), 2,
               {"override 4: msq.budget_bits = 1.5; must be at least 2: every layer keeps a bit and its signs "
                "(msq.budget_count: stored), or 0 for no budget",
                end});
  check_errors(here, with_msq({"train", "tiny.yaml"}, {"msq.budget_bits=3", "msq.budget_epochs=9"}), 2,
               {"override 5: msq.budget_epochs = 9; must be at most msq.epochs = 4", end});
  check_error(here, with_msq({"train", "tiny.yaml"}, {"msq.budget_bits=2"}), 2,
              {"msq.budget_bits = 2: this network cannot come below 2.", "(msq.budget_count: stored)"});
  CHECK_THAT(here.must(with_msq({"validate", "tiny.yaml"}, {"msq.prune_interval=4"})).err,
             Catch::Contains("msq.prune_interval = 4, msq.epochs = 4; no layer loses a bit"));
}
