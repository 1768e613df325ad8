// The clock on the wall jumps back, as after a correction over the network: while a run goes, between its stop and its
// resuming, between two runs. Durations, bits, names of folders and `latest` are as if it had not.
#include "tests/support/event_file.h"
#include "tests/support/program_tree.h"
#include "tests/support/workspace.h"

#include <csignal>

using namespace bsq::test;

namespace {

const Words kFresh = {"train", "tiny.yaml", "--run-dir", "run", "log.tensorboard=true"};

/// `2026-11-27T12:34:56.789Z` of every line, as text, which is in the order of time.
std::vector<std::string> times_of(const fs::path& run) {
  std::vector<std::string> times;
  for (const std::string& line : lines_of(text_of(run / "train.log"))) {
    times.push_back(line.substr(0, line.find(' ')));
    CHECK(times.back().size() == 24);
    CHECK(times.back().ends_with('Z'));
  }
  return times;
}

int jumps_back(const std::vector<std::string>& times) {
  int jumps = 0;
  for (std::size_t i = 1; i < times.size(); ++i) jumps += times[i] < times[i - 1] ? 1 : 0;
  return jumps;
}

/// All that a clock has measured in a run is a duration above 0, and none is an hour.
void check_durations(const fs::path& run) {
  int durations = 0;
  for (const std::string& line : lines_of(text_of(run / "metrics.jsonl"))) {
    const nlohmann::json event = nlohmann::json::parse(line);
    INFO(line);
    if (event.contains("seconds")) {
      ++durations;
      CHECK(event.at("seconds").get<double>() >= 0);
      CHECK(event.at("seconds").get<double>() < 600);
    }
  }
  CHECK(durations == 4);  // one per stage
  const std::vector<std::string> rows = lines_of(text_of(run / "metrics.csv"));
  CHECK(rows.front().ends_with(",images_per_second,seconds"));
  for (std::size_t row = 1; row < rows.size(); ++row) {
    INFO(rows[row]);
    const double seconds = std::stod(rows[row].substr(rows[row].rfind(',') + 1));
    CHECK(seconds > 0);
    CHECK(seconds < 600);
  }
  const auto shown = shown_scalars(run);
  for (const auto& [epoch, speed] : shown.at("perf/images_per_second")) CHECK(speed > 0);
}

fs::path folder_of(const Workspace& here, const std::string& wish, const Words& words) {
  const Outcome outcome = run(words, with_clock(here, wish));
  INFO(describe(words, outcome));
  REQUIRE(outcome.exit_code == 0);
  return fs::read_symlink(here / "runs/tiny/latest");
}

/// A run whose clock jumped back once, beside one whose clock did not.
void check_ended_as_whole(const Workspace& here, const Words& words, const Outcome& outcome) {
  INFO(describe(words, outcome));
  CHECK(outcome.exit_code == 0);
  CHECK(jumps_back(times_of(here / "run")) == 1);
  CHECK(status_of(here / "run") == "done 0");
  check_durations(here / "run");
  check_same_run(here / "whole", here / "run");
}

}  // namespace

TEST_CASE("the clock jumps back by an hour while a run goes: it ends as any, and no duration is wrong") {
  const Workspace here;
  here.train("whole", {"log.tensorboard=true"});
  check_ended_as_whole(here, kFresh, run(kFresh, with_clock(here, "back=3600 after=20")));
  CHECK_THAT(here.must({"report", "run"}).out, Catch::Contains("run       run  done\n"));
}

TEST_CASE("a run that is resumed an hour before it was stopped goes on to the same bits", "[slow]") {
  const Workspace here;
  here.train("whole", {"log.tensorboard=true", "bsq.epochs=30"});
  Words fresh = kFresh;
  fresh.push_back("bsq.epochs=30");
  Program begun(fresh, here.setup());
  begun.wait_for("[T] bsq  2/30");
  begun.send(GENERATE(SIGTERM, SIGKILL));
  begun.finish();
  const Words resume = {"train", "--resume", "run"};
  check_ended_as_whole(here, resume, run(resume, with_clock(here, "back=3600")));
  // TensorBoard reads files by their names: the second one's must not come first, though its clock was behind.
  CHECK(event_files(here / "run").size() == 2);
  CHECK(shown_scalars(here / "run").at("train/loss") == shown_scalars(here / "whole").at("train/loss"));
}

TEST_CASE("a run begun an hour before the one that it follows is the latest one") {
  const Workspace here;
  const Words train = {"train", "tiny.yaml", "stages=[pretrain]"};
  const fs::path first = folder_of(here, "back=0", train);
  const fs::path second = folder_of(here, "back=3600", train);
  CHECK(second.string() < first.string());
  CHECK_THAT(here.must({"report", "runs/tiny"}).out, Catch::Contains("run       runs/tiny/latest  done\n"));
  edit_text(here / "runs/tiny" / second / "status.json", "done", "interrupted");
  CHECK(folder_of(here, "back=7200", {"train", "tiny.yaml", "stages=[pretrain]", "--resume", "auto"}) == second);
  CHECK(status_of(here / "runs/tiny" / second) == "done 0");
}

TEST_CASE("runs and sweeps begun in the same second of the clock, once again after a jump, have folders of their own") {
  const Workspace here;
  const Words train = {"train", "tiny.yaml", "stages=[pretrain]"};
  const std::string noon = "stands=1000000800";
  const std::string name = folder_of(here, noon, train).string();
  CHECK(name.starts_with("20010909-020000-"));
  CHECK(folder_of(here, noon, train) == name + "-2");
  CHECK(folder_of(here, noon, train) == name + "-3");
  const Words sweep = {"sweep", "tiny.yaml", "stages=[pretrain]", "seed=1,2"};
  folder_of(here, noon, sweep);
  folder_of(here, noon, sweep);
  int sweeps = 0;
  for (const auto& entry : fs::directory_iterator(here / "runs/tiny"))
    sweeps += contains(entry.path().filename().string(), "sweep-20010909-020000-") ? 1 : 0;
  CHECK(sweeps == 2);
  check_same_run(here / "runs/tiny" / name, here / "runs/tiny" / (name + "-2"));
}
