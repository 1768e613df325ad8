// Learning from a float model: what a run does with it, what it says, and which models are refused.
#include "tests/support/emulated_gpu.h"
#include "tests/support/trace.h"
#include "tests/support/workspace.h"

#include <csignal>

using namespace bsq::test;
using nlohmann::json;

namespace {

const std::string kTeacher = "distill.model=teacher/checkpoints/pretrain";

/// A wider network than that of tiny.yaml, in float.
void put_teacher(const Workspace& here) {
  here.train("teacher", {"stages=[pretrain]", "model.width=4"});
}

Words taught(Words words) {
  for (const std::string& word : {kTeacher, std::string("distill.weight=0.75"), std::string("distill.temperature=2")})
    words.push_back(word);
  return words;
}

json stage_start(const fs::path& run, const std::string& stage) {
  for (const std::string& line : lines_of(text_of(run / "metrics.jsonl")))
    if (const json event = json::parse(line); event.at("event") == "stage_start" && event.at("stage") == stage)
      return event;
  FAIL("no stage " << stage);
  return {};
}

}  // namespace

TEST_CASE("quantized stages learn from another network, and log, dry run and report say so") {
  const Workspace here;
  put_teacher(here);
  const Outcome plan = here.must(taught({"train", "tiny.yaml", "--dry-run"}));
  CHECK_THAT(plan.out, Catch::Contains("teacher: ") && Catch::Contains(" with the data and the teacher"));
  here.train("plain");
  here.train("run", taught({}));
  const std::string log = text_of(here / "run/train.log");
  CHECK_THAT(log, Catch::Contains("stage bsq: learns from ") &&
                      Catch::Contains("is 0.25 of the cross entropy and 0.75 of 2^2 KL(teacher || model)"));
  CHECK_FALSE(contains(log, "stage pretrain: learns"));
  CHECK(stage_start(here / "run", "bsq").at("teacher_weight") == 0.75);
  CHECK_FALSE(stage_start(here / "run", "pretrain").contains("teacher"));
  const auto model = [&](const std::string& run, const std::string& stage) {
    return text_of(here / run / "checkpoints" / stage / "model.safetensors");
  };
  CHECK(model("run", "pretrain") == model("plain", "pretrain"));
  CHECK(model("run", "bsq") != model("plain", "bsq"));
  constexpr const char* kSentence = "Where a teacher is there, the training loss has its part.";
  CHECK(contains(text_of(here / "run/report/index.html"), kSentence));
  CHECK_FALSE(contains(text_of(here / "plain/report/index.html"), kSentence));
  here.must({"verify", "run", "--epochs", "all"});
}

TEST_CASE("a run goes on with the teacher that it had, wherever that lies, and with no other") {
  if (!can_trace()) {
    WARN("SKIPPED: this system does not let a process trace its children");
    return;
  }
  const Workspace here;
  put_teacher(here);
  here.train("whole", taught({}));
  const Words train = taught({"train", "tiny.yaml", "--run-dir", "run"});
  REQUIRE(signal_after("[T] bsq 2/3", SIGKILL, train, here.setup()).signal == SIGKILL);
  const fs::path file = here / "teacher/checkpoints/pretrain/model.safetensors";
  here.train("other", {"stages=[pretrain]", "model.width=4", "seed=2"});
  fs::copy_file(file, here / "kept.safetensors");
  fs::copy_file(here / "other/checkpoints/pretrain/model.safetensors", file, fs::copy_options::overwrite_existing);
  check_error(here, {"train", "--resume", "run", "-q"}, 4,
              {"distill.model = ", "not the model that the run has learned from"});
  check_error(here, {"train", "--resume", "run", "-q", "distill.model="}, 4, {"say where it is"});
  fs::remove_all(here / "teacher");
  check_error(here, {"train", "--resume", "run", "-q"}, 4, {"teacher"});
  here.must({"train", "--resume", "run", "distill.model=kept.safetensors"});
  CHECK(text_of(here / "run/checkpoints/finetune/model.safetensors") ==
        text_of(here / "whole/checkpoints/finetune/model.safetensors"));
}

TEST_CASE("what is no teacher for these images is refused, before a run is there") {
  const Workspace here;
  here.train("run", {"bsq.epochs=1", "finetune.epochs=1"});
  put_teacher(here);
  const auto refused = [&](const Words& words, const std::vector<std::string>& parts, int exit_code = 4) {
    Words all = {"train", "tiny.yaml", "-q", "--run-dir", "new"};
    all.insert(all.end(), words.begin(), words.end());
    check_error(here, all, exit_code, parts);
    CHECK_FALSE(fs::exists(here / "new"));
  };
  refused({"distill.model=run/checkpoints/bsq"}, {"its weights have bit widths; a teacher is a float model"});
  refused({"distill.model=run/checkpoints/best/model_float.safetensors"}, {"its activations have 4 bits"});
  refused({"distill.model=nowhere.safetensors"}, {"nowhere.safetensors"});
  refused({kTeacher, "data.mean=[0.1,0.2,0.3]"}, {"was trained with data.mean = ["});
  // Sizes of CIFAR are known without its files.
  refused({kTeacher, "data.kind=cifar100", "data.root=nowhere"}, {"was trained for 10 classes, the data has 100"});
  check_errors(here, {"train", "tiny.yaml", "distill.stages=[convert]"}, 2,
               {"override 1: distill.stages = [convert]; convert does not train", "1 error; nothing was written"});
  CHECK_THAT(here.must({"train", "tiny.yaml", "--dry-run", "distill.weight=0.25"}).err,
             Catch::Contains("distill.model is not set; the other keys of distill do nothing"));
  CHECK_THAT(here.must({"train", "tiny.yaml", "--dry-run", kTeacher, "stages=[pretrain]"}).err,
             Catch::Contains("no stage that runs learns from it"));
}

TEST_CASE("a run with a teacher on an emulated GPU comes to what it comes to on the CPU", "[slow]") {
  if (EmulatedGpu::is_missing()) return;
  const Workspace here;
  put_teacher(here);
  const EmulatedGpu gpu;
  gpu.run(here, taught({"train", "tiny.yaml", "--run-dir", "gpu", "device=cuda"}), 0);
  here.train("cpu", taught({"device=cpu"}));
  check_similar_epochs(here / "cpu", here / "gpu");
}
