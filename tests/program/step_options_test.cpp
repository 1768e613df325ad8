// Options of the optimizer and the loss, as a person sets them: what a run with them does, and what is refused.
#include "tests/support/emulated_gpu.h"
#include "tests/support/trace.h"
#include "tests/support/workspace.h"

#include <csignal>

using namespace bsq::test;
using nlohmann::json;

namespace {

/// All of them, in every stage that tiny.yaml runs.
Words with_options(Words words) {
  for (const std::string stage : {"pretrain", "bsq", "finetune"})
    for (const char* option :
         {".nesterov=true", ".no_decay=[norms,biases,pact,scales]", ".label_smoothing=0.1", ".clip_norm=1"})
      words.push_back(stage + option);
  return words;
}

/// The first loss of training that a run has logged.
double first_loss(const fs::path& run) {
  for (const std::string& line : lines_of(text_of(run / "metrics.jsonl")))
    if (const json event = json::parse(line); event.at("event") == "step") return event.at("loss");
  FAIL("no step is logged");
  return 0;
}

}  // namespace

TEST_CASE("each option of the optimizer and the loss makes another run, and all together one that can be resumed") {
  const Workspace here;
  const auto model = [&](const std::string& run) {
    return text_of(here / run / "checkpoints/pretrain/model.safetensors");
  };
  here.train("plain", {"stages=[pretrain]"});
  for (const char* option : {"nesterov=true", "no_decay=[norms]", "label_smoothing=0.1", "clip_norm=0.1"}) {
    INFO(option);
    const std::string run = std::string("with_") + option;
    here.train(run, {"stages=[pretrain]", std::string("pretrain.") + option});
    CHECK(model(run) != model("plain"));
  }
  if (!can_trace()) {
    WARN("SKIPPED: this system does not let a process trace its children");
    return;
  }
  here.train("whole", with_options({}));
  const Words train = with_options({"train", "tiny.yaml", "--run-dir", "run"});
  REQUIRE(signal_after("[T] bsq 1/3", SIGKILL, train, here.setup()).signal == SIGKILL);
  here.must(with_options({"train", "tiny.yaml", "--run-dir", "run", "--resume", "auto"}));
  check_same_run(here / "whole", here / "run");
}

TEST_CASE("the training loss in logs has the label smoothing, and the report says so") {
  const Workspace here;
  const Words one_step = {"stages=[pretrain]", "log.every_steps=1", "pretrain.epochs=1", "pretrain.milestones=[]"};
  Words smoothed = one_step;
  smoothed.push_back("pretrain.label_smoothing=1");
  here.train("plain", one_step);
  here.train("smoothed", smoothed);
  CHECK(first_loss(here / "smoothed") != first_loss(here / "plain"));
  constexpr const char* kSentence = "The training loss is that of smoothed labels.";
  CHECK(contains(text_of(here / "smoothed/report/index.html"), kSentence));
  CHECK_FALSE(contains(text_of(here / "plain/report/index.html"), kSentence));
}

TEST_CASE("a run with every option on an emulated GPU comes to what it comes to on the CPU", "[slow]") {
  if (EmulatedGpu::is_missing()) return;
  const Workspace here;
  const EmulatedGpu gpu;
  gpu.run(here, with_options({"train", "tiny.yaml", "--run-dir", "gpu", "device=cuda"}), 0);
  here.train("cpu", with_options({"device=cpu"}));
  check_similar_epochs(here / "cpu", here / "gpu");
}

TEST_CASE("Nesterov's momentum without momentum, and a list that says a thing twice, are refused") {
  const Workspace here;
  check_errors(here, {"train", "tiny.yaml", "bsq.nesterov=true", "bsq.momentum=0"}, 2,
               {"override 1: bsq.nesterov = true; needs bsq.momentum above 0", "1 error; nothing was written"});
  check_errors(here, {"train", "tiny.yaml", "bsq.no_decay=[pact,pact]"}, 2,
               {"override 1: bsq.no_decay = [pact, pact]; pact is listed twice", "1 error; nothing was written"});
}
