// Images held out of training, by which the best epoch is chosen: what is said of them, and that runs go on.
#include "tests/support/tensor_file.h"
#include "tests/support/trace.h"
#include "tests/support/workspace.h"

#include <csignal>

using namespace bsq::test;
using nlohmann::json;

namespace {

const char* const kHoldout = "data.holdout=0.25";

std::vector<json> events_named(const fs::path& run, const std::string& name) {
  std::vector<json> found;
  for (const std::string& line : lines_of(text_of(run / "metrics.jsonl")))
    if (const json event = json::parse(line); event.at("event") == name) found.push_back(event);
  return found;
}

}  // namespace

TEST_CASE("the best epoch is the one that is best on the images held out, and the report says so") {
  const Workspace here;
  const Outcome outcome = here.train("run", {kHoldout, "stages=[pretrain]", "pretrain.epochs=6"});
  CHECK_THAT(outcome.err, Catch::Contains(" training, 10 held out of training to choose the best epoch, and 20 test"));
  const std::vector<json> epochs = events_named(here / "run", "holdout");
  REQUIRE(epochs.size() == 6);
  double best = -1;
  int best_epoch = 0;
  for (const json& epoch : epochs) {
    CHECK(epoch.at("holdout_images") == 10);
    if (epoch.at("holdout_top1") <= best) continue;
    best = epoch.at("holdout_top1");
    best_epoch = epoch.at("epoch");
  }
  const json end = events_named(here / "run", "stage_end").back();
  CHECK(end.at("best_epoch") == best_epoch);
  CHECK(end.at("best_holdout_top1") == best);
  CHECK(end.at("test_images") == 20);
  // What is shown is the accuracy of that epoch on the test set.
  const std::vector<std::string> rows = lines_of(text_of(here / "run/metrics.csv"));
  const std::string model = "run/checkpoints/pretrain_best/model.safetensors";
  CHECK(json::parse(here.must({"eval", model, "--json", "-q"}).out).at("top1") == end.at("best_top1"));
  CHECK_THAT(text_of(here / "run/train.log"),
             Catch::Contains("| holdout ") && Catch::Contains("(best ") && Catch::Contains(") | test "));
  for (const std::string& text : {outcome.out, text_of(here / "run/report/index.html")})
    CHECK_THAT(text, Catch::Contains("that was the best on 10 images held out of the training set"));
  CHECK(json_of(here / "run/report/summary.json").at("stages")[0].at("best_holdout_top1") == best);
  here.must({"verify", "run"});
  CHECK_THAT(here.must({"data", "tiny.yaml", kHoldout}).out, Catch::Contains("held out"));
  CHECK_THAT(here.train("other", {"stages=[pretrain]"}).out, Catch::Contains("best: by test accuracy"));
}

TEST_CASE("a run with images held out that is killed and resumed comes to the bits of one that was not") {
  if (!can_trace()) {
    WARN("SKIPPED: this system does not let a process trace its children");
    return;
  }
  const Workspace here;
  const Words words = {kHoldout, "finetune.ema=0.5"};
  here.train("whole", words);
  Words train = {"train", "tiny.yaml", "--run-dir", "run"};
  train.insert(train.end(), words.begin(), words.end());
  REQUIRE(signal_after("[T] bsq 2/3", SIGKILL, train, here.setup()).signal == SIGKILL);
  train.insert(train.end(), {"--resume", "auto"});
  here.must(train);
  check_same_run(here / "whole", here / "run");
  check_error(here, {"train", "--resume", "run", "data.holdout=0.1"}, 4, {"data.holdout"});
}

TEST_CASE("a share that leaves nothing to train on is refused") {
  const Workspace here;
  check_errors(here, {"train", "tiny.yaml", "data.holdout=0.6"}, 2,
               {"override 1: data.holdout = 0.6; must be a number in 0..0.5", "1 error; nothing was written"});
}
