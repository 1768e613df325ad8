// A run killed at any moment and resumed ends as if nothing had happened, bit for bit.
#include "tests/support/trace.h"
#include "tests/support/workspace.h"

#include <csignal>
#include <random>
#include <set>

using namespace bsq::test;

namespace {

const Words kTrain = {"train", "tiny.yaml", "--run-dir", "run"};
const Words kTrainOrGoOn = {"train", "tiny.yaml", "--resume", "auto", "--run-dir", "run"};

/// What the program says to where a run has been killed: it goes on, or there was nothing yet to go on with.
void go_on(const Workspace& here) {
  const Outcome outcome = here.must(kTrainOrGoOn);
  INFO(outcome.err);
  CHECK(status_of(here / "run") == "done 0");
  CHECK_FALSE(has_leftovers(here / "run"));
}

/// Kills a fresh run just before its file-changing call `call`, resumes it, and compares with `whole`.
void check_kill_at(const Workspace& here, std::size_t call) {
  INFO("killed before file-changing call " << call);
  fs::remove_all(here / "run");
  const Outcome killed = signal_at(call, SIGKILL, kTrain, here.setup());
  REQUIRE(killed.signal == SIGKILL);
  INFO("before the kill:\n" << killed.err);
  go_on(here);
  check_same_run(here / "whole", here / "run");
}

}  // namespace

#define BSQ_NEEDS_TRACING()                                                 \
  if (!can_trace()) {                                                       \
    WARN("SKIPPED: this system does not let a process trace its children"); \
    return;                                                                 \
  }

TEST_CASE("killed at random moments, resumed, the same as never killed", "[slow]") {
  BSQ_NEEDS_TRACING();
  const Workspace here;
  here.train("whole");
  const TracedRun traced = trace(kTrain, here.setup());
  REQUIRE(traced.outcome.exit_code == 0);
  std::mt19937 random(20);  // the seed is arbitrary, but the same on every day
  std::set<std::size_t> calls;
  while (calls.size() < 6) calls.insert(random() % traced.err_bytes.size());
  for (const std::size_t call : calls) check_kill_at(here, call);
}

TEST_CASE("killed at 200 random moments, resumed, the same as never killed", "[.][campaign]") {
  BSQ_NEEDS_TRACING();
  const Workspace here;
  here.train("whole");
  const TracedRun traced = trace(kTrain, here.setup());
  std::random_device seed;
  std::mt19937 random(seed());
  for (int kills = 0; kills < 200; ++kills) check_kill_at(here, random() % (traced.err_bytes.size() - 1));
}

TEST_CASE("killed at many calls of saving checkpoints, resumed, the same as never killed", "[slow]") {
  BSQ_NEEDS_TRACING();
  const Workspace here;
  put_text(here / "tiny.yaml", std::string(kTinyConfig) + "stages: [pretrain]\n");
  here.train("whole");
  const TracedRun traced = trace(kTrain, here.setup());
  // From the line of the second epoch (best model, logs, checkpoint, links) to the end of the stage's own.
  const std::size_t first = traced.call_after("[T] pretrain 1/2"), last = traced.call_after("[T] pretrain 2/2");
  constexpr std::size_t kStride = 5;
  REQUIRE(last - first > 10 * kStride);
  for (std::size_t call = first; call < last; call += kStride) check_kill_at(here, call);
}

TEST_CASE("killed around a re-quantization and between stages, resumed, the same as never killed", "[slow]") {
  BSQ_NEEDS_TRACING();
  const Workspace here;
  here.train("whole");
  const TracedRun traced = trace(kTrain, here.setup());
  for (const char* line : {"[T] bsq 1/3", "[Q] bsq after epoch 1", "stage pretrain done",
                           "stage convert: ", "stage convert done", "[Q] bsq after epoch 3", "stage finetune: "}) {
    INFO(line);
    const std::size_t call = traced.call_after(line);
    check_kill_at(here, call - 3);  // its cause has happened, the line and what is logged before it have not
    check_kill_at(here, call);
  }
}

TEST_CASE("killed before the run directory was whole, --resume auto starts it") {
  BSQ_NEEDS_TRACING();
  const Workspace here;
  put_text(here / "tiny.yaml", std::string(kTinyConfig) + "stages: [pretrain]\npretrain: {epochs: 1}\n");
  edit_text(here / "tiny.yaml", "pretrain: {epochs: 2, milestones: [1]}\n", "");
  edit_text(here / "tiny.yaml", "pretrain: {epochs: 1}", "pretrain: {epochs: 1, milestones: []}");
  here.train("whole");
  const TracedRun traced = trace(kTrain, here.setup());
  const std::size_t calls = traced.call_after("stage pretrain: ");
  REQUIRE(calls > 10);
  for (std::size_t call = 2; call < calls; call += 3) check_kill_at(here, call);
}

TEST_CASE("killed while the report is written, resumed, the report is there") {
  BSQ_NEEDS_TRACING();
  const Workspace here;
  put_text(here / "tiny.yaml", std::string(kTinyConfig) + "stages: [pretrain]\n");
  here.train("whole");
  const std::size_t calls = trace(kTrain, here.setup()).err_bytes.size();
  for (const std::size_t before_the_end : {2, 5, 20, 40}) {  // tables go to stdout last
    check_kill_at(here, calls - before_the_end);
    CHECK(fs::exists(here / "run/report/index.html"));
  }
}

TEST_CASE("killed again and again, resumed as often, the same as never killed") {
  BSQ_NEEDS_TRACING();
  const Workspace here;
  here.train("whole");
  const std::size_t calls = trace(kTrain, here.setup()).err_bytes.size();
  fs::remove_all(here / "run");
  REQUIRE(signal_at(calls / 5, SIGKILL, kTrain, here.setup()).signal == SIGKILL);
  for (int kills = 0; kills < 4; ++kills)
    REQUIRE(signal_at(calls / 6, SIGKILL, {"train", "--resume", "run"}, here.setup()).signal == SIGKILL);
  go_on(here);
  check_same_run(here / "whole", here / "run");
}

TEST_CASE("killed in the middle of an epoch, resumed, the same as never killed") {
  const Workspace here;  // without a tracer: at a moment nobody chose
  here.train("whole", {"data.synthetic_train=320", "bsq.alpha=0.1"});
  Program program({"train", "tiny.yaml", "--run-dir", "run", "data.synthetic_train=320", "bsq.alpha=0.1"},
                  here.setup());
  program.wait_for("[T] bsq 1/3");
  program.send(SIGKILL);
  if (program.finish().signal == SIGKILL) {  // else it was fast, and is complete
    CHECK(status_of(here / "run") == "running 0");
    CHECK_THAT(here.must({"report", "run"}).out, Catch::Contains("run       run  crashed\n"));
    const Outcome resumed = here.must({"train", "--resume", "run"});
    CHECK_THAT(resumed.err, Catch::Contains("\nresuming after "));
  }
  check_same_run(here / "whole", here / "run");
}

TEST_CASE("a run killed before its first checkpoint starts from model.init again") {
  const Workspace here;
  here.train("float", {"stages=[pretrain]"});
  const Words start = {"stages=[bsq]", "model.init=float", "checkpoint.every_epochs=3"};
  here.train("whole", start);
  here.train("run", start);
  for (const char* name : {"checkpoints", "metrics.jsonl", "metrics.csv", "precision.jsonl", "report", "train.log"})
    fs::remove_all(here / "run" / name);
  edit_text(here / "run/status.json", "done", "running");
  here.must({"train", "--resume", "run"});
  check_same_run(here / "whole", here / "run");

  fs::remove_all(here / "run/checkpoints");
  edit_text(here / "run/status.json", "done", "running");
  fs::remove_all(here / "float");
  check_error(here, {"train", "--resume", "run"}, 4, {"float: no such checkpoint; check the path"});
}

TEST_CASE("a finished run has nothing to do, and keeps its files") {
  const Workspace here;
  here.train("run", {"stages=[pretrain]"});
  const std::string model = text_of(here / "run/checkpoints/pretrain/model.safetensors");
  const std::string log = text_of(here / "run/metrics.jsonl");
  for (const Words& words :
       {Words{"train", "--resume", "run"}, Words{"train", "--resume=run", "threads=2"},
        Words{"train", "tiny.yaml", "stages=[pretrain]", "--resume", "auto", "--run-dir", "run"}}) {
    const Outcome outcome = here.must(words);
    CHECK(outcome.out.empty());
    CHECK(outcome.err == "run: this run is complete, nothing to do\n");
  }
  CHECK((text_of(here / "run/checkpoints/pretrain/model.safetensors") == model));
  CHECK(text_of(here / "run/metrics.jsonl") == log);
  CHECK(status_of(here / "run") == "done 0");
}

TEST_CASE("option --resume auto starts, goes on with the newest run of the name, and leaves a finished one") {
  const Workspace here;
  const Words words = {"train", "tiny.yaml", "--resume", "auto", "stages=[pretrain]"};
  here.must(words);
  const fs::path run = fs::read_symlink(here / "runs/tiny/latest");
  CHECK_THAT(here.must(words).err, Catch::Contains("runs/tiny/latest: this run is complete, nothing to do\n"));
  edit_text(here / "runs/tiny/latest/status.json", "done", "running");  // as a kill after the last checkpoint leaves it
  CHECK_THAT(here.must(words).err, Catch::Contains("\nresuming after 2 epochs, 6 steps\n"));
  CHECK(status_of(here / "runs/tiny/latest") == "done 0");
  edit_text(here / "runs/tiny/latest/status.json", "done", "running");
  here.must({"train", "--resume", "runs/tiny"});  // the folder of runs stands for its newest
  CHECK(status_of(here / "runs/tiny" / run) == "done 0");
  CHECK(std::distance(fs::directory_iterator(here / "runs/tiny"), {}) == 2);  // one run and the link
}

TEST_CASE("a resumed run keeps its configuration, but for keys that change no result") {
  const Workspace here;
  here.train("run", {"stages=[pretrain]"});
  edit_text(here / "run/status.json", "done", "interrupted");
  check_errors(here, {"train", "--resume", "run", "bsq.alpha=1", "threads=2", "seed=3", "pretrain.milestones=[]"}, 4,
               {"--resume: seed 1 in the run, 3 now; start a new run, or drop the override",
                "--resume: pretrain.milestones [1] in the run, [] now; start a new run, or drop the override",
                "--resume: bsq.alpha 2 in the run, 1 now; start a new run, or drop the override"});
  check_errors(here, {"train", "tiny.yaml", "--resume", "auto", "--run-dir", "run"}, 4,
               {"--resume: stages [pretrain] in the run, [pretrain, convert, bsq, finetune] now; start a new run, or "
                "drop the override"});
  CHECK(status_of(here / "run") == "interrupted 0");
  here.must({"train", "--resume", "run", "threads=2", "log.every_steps=1", "checkpoint.keep_last=3",
             "checkpoint.every_epochs=2", "data.root=elsewhere", "device=cpu"});
  CHECK(status_of(here / "run") == "done 0");
  CHECK(lines_of(text_of(here / "run/command.txt")).size() == 2);
}

TEST_CASE("option --resume of what is no run, or with a second configuration, is refused") {
  const Workspace here;
  const std::string no_run = "is not a run directory (no config.yaml and status.json of a run in it); check the path";
  check_errors(here, {"train", "--resume", "nowhere"}, 2, {"nowhere: " + no_run});
  check_errors(here, {"train", "--resume", "tiny.yaml"}, 2, {"tiny.yaml: " + no_run});
  check_errors(here, {"train", "--resume", "run", "tiny.yaml"}, 2,
               {"--resume run: a run has its own configuration; leave out tiny.yaml"});
  check_errors(here, {"train", "--resume", "run", "--run-dir", "other"}, 2, {"--resume run: leave out --run-dir"});
  check_errors(here, {"train", "--resume", "auto"}, 2,
               {"bsq train: which configuration? usage: bsq train CFG [key=value ...]"});
}

TEST_CASE("a damaged run is not resumed, and the message names the file") {
  const Workspace here;
  here.train("good", {"stages=[pretrain]"});
  edit_text(here / "good/status.json", "done", "running");
  const auto damaged = [&](const std::string& file, const std::string& from, const std::string& to) {
    fs::remove_all(here / "run");
    fs::copy(here / "good", here / "run", fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    edit_text(here / "run" / file, from, to);
  };
  const Words resume = {"train", "--resume", "run"};
  const std::string state = "checkpoints/epoch_0003/state.json";
  damaged("config.yaml", "depth: 8", "depth: 9");
  check_errors(
      here, resume, 2,
      {"run/config.yaml:11:3: model.depth = 9; must be 6n+2, such as 8 or 14", "1 error; nothing was written"});
  damaged("status.json", "{", "");
  check_error(here, resume, 4, {"run/status.json: is no status of a run", "the run directory is damaged"});
  damaged(state, "\"progress\"", "\"pr0gress\"");
  check_error(here, resume, 4, {"run/checkpoints/last: no progress in state.json"});
  damaged(state, "{", "");  // not as long as its marker says
  check_error(here, resume, 4, {"run/checkpoints/last: incomplete checkpoint", "use another one"});
  damaged(state, "\"stage\": 1", "\"stage\": x");
  check_error(here, resume, 4, {"state.json: is not JSON", "the checkpoint is corrupt, use another one"});
  damaged("metrics.jsonl", text_of(here / "run/metrics.jsonl"), "");
  check_error(here, resume, 4, {"run/metrics.jsonl: 0 bytes, the checkpoint was written after ", "restore it"});
  CHECK(status_of(here / "run") == "failed 4");
}
