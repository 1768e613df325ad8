// Signals: the first asks for a checkpoint and the end, a second of a person's for the end at once, SIGUSR1 for a
// checkpoint.
#include "tests/support/trace.h"
#include "tests/support/workspace.h"

#include <chrono>
#include <csignal>
#include <thread>

using namespace bsq::test;

namespace {

struct Stop {
  int signal;
  int exit_code;
};

/// Epochs enough for a signal to find the run at work, however late it comes.
const Words kLong = {"train", "tiny.yaml", "--run-dir", "run", "pretrain.epochs=100000"};

}  // namespace

TEST_CASE("signals that stop write a checkpoint and exit 128 + their number") {
  const Stop stop =
      GENERATE(Stop{SIGINT, 130}, Stop{SIGTERM, 143}, Stop{SIGHUP, 129}, Stop{SIGUSR2, 140}, Stop{SIGXCPU, 152});
  const Workspace here;
  Program program(kLong, here.setup());
  program.wait_for("[T] pretrain      2/100000");
  program.send(stop.signal);
  const Outcome outcome = program.finish();
  INFO(outcome.err);
  CHECK(outcome.exit_code == stop.exit_code);
  CHECK(outcome.out.empty());
  CHECK_THAT(outcome.err, Catch::EndsWith("\nstopped after a checkpoint; go on with: bsq train --resume run\n"));
  CHECK(status_of(here / "run") == "interrupted " + std::to_string(stop.exit_code));
  CHECK(fs::exists(here / "run/checkpoints/last/DONE"));
  CHECK_FALSE(has_leftovers(here / "run"));
  CHECK_THAT(here.must({"report", "run"}).out,
             Catch::Contains("interrupted (exit " + std::to_string(stop.exit_code) + ")"));
}

TEST_CASE("signals of terminals and schedulers come several times, and the checkpoint is written all the same") {
  const Workspace here;
  Words words = kLong;  // steps so long that the first of them is not over when the next signals come
  for (const char* word : {"model.width=32", "data.synthetic_train=512", "data.batch_size=512"})
    words.emplace_back(word);
  Program program(words, here.setup());
  program.wait_for("stage pretrain: ");
  for (const int signal : {SIGHUP, SIGHUP, SIGXCPU, SIGUSR2, SIGTERM, SIGHUP}) {
    program.send(signal);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  const Outcome outcome = program.finish();
  INFO(outcome.err);
  CHECK(outcome.exit_code == 129);
  CHECK_THAT(outcome.err, Catch::EndsWith("\nstopped after a checkpoint; go on with: bsq train --resume run\n"));
  CHECK(fs::exists(here / "run/checkpoints/last/DONE"));
}

TEST_CASE("a hangup is ignored where it was ignored before, as under nohup") {
  const Workspace here;
  Setup setup = here.setup();
  setup.ignores_hangup = true;
  Program program(kLong, setup);
  program.wait_for("[T] pretrain      1/100000");
  program.send(SIGHUP);
  program.wait_for("[T] pretrain     12/100000");
  program.send(SIGUSR2);
  CHECK(program.finish().exit_code == 140);
}

TEST_CASE("a hangup stops a sweep and its runs with checkpoints, and the sweep goes on") {
  const Workspace here;
  const Words words = {"sweep",       "tiny.yaml", "stages=[pretrain]", "pretrain.epochs=100000", "seed=1,2",
                       "--sweep-dir", "sweep"};
  Program program(words, here.setup());
  program.wait_for("[T] pretrain      2/100000");
  program.send(SIGHUP);
  const Outcome outcome = program.finish();
  INFO(outcome.err);
  CHECK(outcome.exit_code == 129);
  CHECK_THAT(outcome.err, Catch::EndsWith("not all runs are done; go on with: bsq sweep --resume sweep\n"));
  CHECK(status_of(here / "sweep/seed-1") == "interrupted 129");
}

TEST_CASE("stopped anywhere and resumed, the same as never stopped", "[slow]") {
  if (!can_trace()) {
    WARN("SKIPPED: this system does not let a process trace its children");
    return;
  }
  const Workspace here;
  const Words words = {"train", "tiny.yaml", "--run-dir", "run"};
  here.train("whole");
  // In an epoch (the log of its first step), at its end, at a re-quantization, between stages.
  const std::vector<Stop> stops = {{SIGINT, 130}, {SIGTERM, 143}};
  std::size_t number = 0;
  for (const char* line : {"stage pretrain: ", "[T] pretrain 1/2", "stage convert done", "[Q] bsq after epoch 2",
                           "[T] bsq 3/3", "stage finetune: "}) {
    INFO(line);
    const Stop stop = stops[number++ % stops.size()];
    fs::remove_all(here / "run");
    const Outcome stopped = signal_after(line, stop.signal, words, here.setup());
    INFO(stopped.err);
    CHECK(stopped.exit_code == stop.exit_code);
    CHECK(status_of(here / "run") == "interrupted " + std::to_string(stop.exit_code));
    const Outcome resumed = here.must({"train", "--resume", "run"});
    CHECK_THAT(resumed.out, Catch::Contains("\nresult: "));
    check_same_run(here / "whole", here / "run");
  }
}

TEST_CASE("stopped after every step of an epoch, the same as never stopped", "[slow]") {
  const Workspace here;
  here.train("whole", {"stages=[pretrain,convert,bsq]"});
  Words words = {"train", "tiny.yaml", "--run-dir", "run", "stages=[pretrain,convert,bsq]"};
  int stops = 0;
  for (; stops < 40; ++stops) {
    Program program(words, here.setup());
    program.wait_for("\nrun: ");  // from here on signals are caught, or the run ends of it: both may be resumed
    program.send(SIGINT);
    const Outcome outcome = program.finish();
    if (outcome.exit_code == 0) break;
    INFO(outcome.err);
    CHECK((outcome.exit_code == 130 || outcome.signal == SIGINT));
    words = {"train", "--resume", "run"};
  }
  CHECK(stops >= 3);
  if (stops == 40) here.must(words);
  check_same_run(here / "whole", here / "run");
}

TEST_CASE("a second signal ends the run at once, without a checkpoint") {
  const Stop second = GENERATE(Stop{SIGINT, 130}, Stop{SIGTERM, 143});
  const Workspace here;
  Words words = kLong;  // steps so long that the first of them is not over when the second signal comes
  for (const char* word : {"model.width=32", "data.synthetic_train=512", "data.batch_size=512"})
    words.emplace_back(word);
  Program program(words, here.setup());
  program.wait_for("stage pretrain: ");
  program.send(SIGINT);
  std::this_thread::sleep_for(std::chrono::milliseconds(20));  // two at once may count as one
  program.send(second.signal);
  const Outcome outcome = program.finish();
  INFO(outcome.err);
  CHECK(outcome.exit_code == second.exit_code);
  CHECK_THAT(outcome.err, !Catch::Contains("stopped after a checkpoint"));
  CHECK_FALSE(fs::exists(here / "run/checkpoints/last"));
  CHECK(status_of(here / "run") == "running 0");  // nobody had the time to say otherwise
}

TEST_CASE("SIGUSR1 writes a checkpoint and goes on") {
  const Workspace here;
  here.train("whole");
  Program program({"train", "tiny.yaml", "--run-dir", "run"}, here.setup());
  program.wait_for("[T] pretrain 1/2");
  program.send(SIGUSR1);
  const Outcome outcome = program.finish();
  INFO(outcome.err);
  CHECK(outcome.exit_code == 0);
  check_same_run(here / "whole", here / "run");

  Program long_run(
      {"train", "tiny.yaml", "--run-dir", "long", "pretrain.epochs=100000", "checkpoint.every_epochs=100000"},
      here.setup());
  long_run.wait_for("[T] pretrain      2/100000");
  REQUIRE_FALSE(fs::exists(here / "long/checkpoints/last"));
  long_run.send(SIGUSR1);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(100);
  while (!fs::exists(here / "long/checkpoints/last/DONE") && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  CHECK(fs::exists(here / "long/checkpoints/last/DONE"));
  long_run.send(SIGTERM);
  CHECK(long_run.finish().exit_code == 143);
}

TEST_CASE("while a run is going on nobody else writes it, but everybody may look") {
  const Workspace here;
  Program program(kLong, here.setup());
  program.wait_for("[T] pretrain      1/100000");
  CHECK(status_of(here / "run") == "running 0");
  const std::string busy = "run: another bsq is writing this run; wait for its end or choose another --run-dir";
  check_errors(here, {"train", "--resume", "run"}, 2, {busy});
  check_error(here, {"train", "tiny.yaml", "--run-dir", "run", "--force"}, 2, {busy});
  CHECK_THAT(here.must({"report", "run"}).out, Catch::Contains("run       run  running\n"));
  program.wait_for("[T] pretrain      3/100000");  // undisturbed
  program.send(SIGTERM);
  CHECK(program.finish().exit_code == 143);
}
