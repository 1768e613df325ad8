// What happens while a thread writes a checkpoint and training goes on: the disk stops in the midst of it, at a file
// that is known, and then comes a kill, a stop, the next checkpoint, or no room.
#include "tests/support/program_tree.h"
#include "tests/support/workspace.h"

#include <chrono>
#include <csignal>
#include <thread>

using namespace bsq::test;

namespace {

const Words kTrain = {"train", "tiny.yaml", "--run-dir", "run"};
constexpr auto kMoment = std::chrono::milliseconds(100);

/// A disk that does as it is told, see stand_ins/slow_disk.cpp.
Setup with_slow_disk(const Workspace& here, const std::string& wish) {
  return with_disk(here, "slow_disk", wish);
}

fs::path marker(const Workspace& here) {
  return here / "disk_holds";
}

/// Waits until the disk holds the writer, and the line that training says afterwards.
void wait_for_hold(const Workspace& here, Program& program, const std::string& line) {
  program.wait_for(line);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(100);
  while (!fs::exists(marker(here)) && std::chrono::steady_clock::now() < deadline) std::this_thread::sleep_for(kMoment);
  REQUIRE(fs::exists(marker(here)));
}

/// What there is of a checkpoint: `epoch_0005.tmp-123` is half of one.
std::vector<std::string> begun_checkpoints(const fs::path& run) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(run / "checkpoints"))
    if (contains(entry.path().filename().string(), ".tmp-")) names.push_back(entry.path().filename().string());
  return names;
}

struct Moment {
  const char* held;        // by the disk, while it is being written
  const char* said_later;  // by training, which goes on
  const char* last;        // complete checkpoint before
};

}  // namespace

TEST_CASE("killed while a checkpoint is being written and training goes on, resumed, the same as never killed",
          "[slow]") {
  const Moment moment = GENERATE(Moment{"checkpoints/epoch_0001.", "[T] pretrain 2/2", ""},
                                 Moment{"checkpoints/bsq_best.", "[T] bsq 2/3", "epoch_0004"},
                                 Moment{"checkpoints/epoch_0005.", "[T] bsq 2/3", "epoch_0004"},
                                 Moment{"checkpoints/epoch_0006.", "[T] bsq 3/3", "epoch_0005"});
  INFO("held at " << moment.held);
  const Workspace here;
  here.train("whole");
  Program program(kTrain, with_slow_disk(here, std::string("hold ") + moment.held));
  wait_for_hold(here, program, moment.said_later);
  const fs::path last = here / "run/checkpoints/last";
  CHECK((fs::is_symlink(last) ? fs::read_symlink(last).string() : "") == moment.last);
  CHECK(begun_checkpoints(here / "run").size() == 1);
  program.send(SIGKILL);
  REQUIRE(program.finish().signal == SIGKILL);
  fs::remove(marker(here));
  here.must({"train", "tiny.yaml", "--resume", "auto", "--run-dir", "run"});
  CHECK_FALSE(has_leftovers(here / "run"));
  check_same_run(here / "whole", here / "run");
}

TEST_CASE("a stop waits for the checkpoint that is being written, and for its own") {
  const Workspace here;
  here.train("whole");
  Program program(kTrain, with_slow_disk(here, "hold checkpoints/epoch_0005."));
  wait_for_hold(here, program, "[T] bsq 2/3");
  program.send(SIGTERM);
  std::this_thread::sleep_for(kMoment);
  CHECK(status_of(here / "run") == "running 0");
  CHECK_THAT(program.err(), !Catch::Contains("stopped after a checkpoint"));
  fs::remove(marker(here));
  const Outcome outcome = program.finish();
  INFO(outcome.err);
  CHECK(outcome.exit_code == 143);
  CHECK_THAT(outcome.err, Catch::EndsWith("\nstopped after a checkpoint; go on with: bsq train --resume run\n"));
  CHECK(begun_checkpoints(here / "run").empty());
  CHECK(json_of(here / "run/checkpoints/last/state.json")["progress"]["stage"] == 2);
  here.must({"train", "--resume", "run"});
  check_same_run(here / "whole", here / "run");
}

TEST_CASE("of two checkpoints the second waits for the first, and the run ends as ever") {
  const Workspace here;
  here.train("whole");
  Program program(kTrain, with_slow_disk(here, "hold checkpoints/epoch_0005."));
  wait_for_hold(here, program, "[T] bsq 2/3");
  std::this_thread::sleep_for(kMoment);  // in which the second one could begin
  const std::vector<std::string> begun = begun_checkpoints(here / "run");
  REQUIRE(begun.size() == 1);
  CHECK_THAT(begun.front(), Catch::StartsWith("epoch_0005."));
  CHECK_THAT(program.err(), !Catch::Contains("[T] bsq 3/3"));
  fs::remove(marker(here));
  const Outcome outcome = program.finish();
  INFO(outcome.err);
  CHECK(outcome.exit_code == 0);
  CHECK_FALSE(has_leftovers(here / "run"));
  check_same_run(here / "whole", here / "run");
}

TEST_CASE("no room for a checkpoint that a thread writes ends the run with the sentence that says so") {
  const Moment moment =
      GENERATE(Moment{"checkpoints/bsq_best.", "", "epoch_0004"}, Moment{"checkpoints/epoch_0006.", "", "epoch_0005"});
  const Workspace here;
  here.train("whole");
  const Outcome outcome = run(kTrain, with_slow_disk(here, std::string("full ") + moment.held));
  INFO(outcome.err);
  CHECK(outcome.exit_code == 4);
  CHECK_THAT(lines_of(outcome.err).back(),
             Catch::StartsWith(std::string("error: run/") + moment.held) &&
                 Catch::EndsWith("/model.safetensors: cannot write to the disk: No space left on device; free some "
                                 "space on that disk"));
  CHECK(status_of(here / "run") == "failed 4");
  CHECK(fs::read_symlink(here / "run/checkpoints/last") == moment.last);
  CHECK(fs::exists(here / "run/checkpoints/last/DONE"));
  CHECK_FALSE(has_leftovers(here / "run"));
  here.must({"train", "--resume", "run"});
  check_same_run(here / "whole", here / "run");
}
