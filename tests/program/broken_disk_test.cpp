// Every call of a run that changes a file fails once: the error names the file, what was saved is good, the status is
// true, and the run goes on to the bits of one that nothing disturbed.
#include "tests/support/program_tree.h"
#include "tests/support/workspace.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <random>
#include <system_error>

using namespace bsq::test;

namespace {

/// How the disk fails at call N, in words of stand_ins/other_disk.cpp, where `N` stands for the number.
struct Fault {
  std::string wish;
  int errno_value;
  bool opens_only = false;
};

const std::vector<Fault> kFaults = {
    {"fail=N:" + std::to_string(EIO), EIO},
    {"always=N:" + std::to_string(ENOSPC), ENOSPC},
    {"fail=N:" + std::to_string(EDQUOT), EDQUOT},
    {"fail=N:" + std::to_string(EMFILE), EMFILE, true},
    {"short=N", ENOSPC},
};

class FaultyRuns {
 public:
  explicit FaultyRuns(const std::string& config) {
    put_text(here_ / "tiny.yaml", config);
    here_.train("whole");
    const std::string wish = "below=" + (here_ / "run").string() + " list=" + (here_ / "calls").string();
    const Outcome listed = run(kFresh, with_disk(here_, "other_disk", wish));
    REQUIRE(listed.exit_code == 0);
    calls_ = lines_of(text_of(here_ / "calls"));
    check_same_run(here_ / "whole", here_ / "run");
  }

  std::size_t calls() const { return calls_.size(); }
  int failed_runs() const { return failed_runs_; }
  /// The last call that removes a part of an old checkpoint.
  std::size_t last_removal() const {
    for (std::size_t call = calls_.size(); call-- > 0;)
      if (contains(calls_[call], " unlinkat ") && contains(calls_[call], "/checkpoints/epoch_")) return call;
    FAIL("no old checkpoint is removed");
    return 0;
  }
  /// The call behind the one that moves the link `last` for the last time.
  std::size_t last_move() const {
    for (std::size_t call = calls_.size(); call-- > 0;)
      if (contains(calls_[call], " rename ") && calls_[call].ends_with("/checkpoints/last")) return call + 1;
    FAIL("the last checkpoint is never moved");
    return 0;
  }
  /// The call that begins to write the status after the last epoch; behind it that of the end is written.
  std::size_t last_epoch_status() const {
    int found = 0;
    for (std::size_t call = calls_.size(); call-- > 0;)
      if (opens(call) && contains(calls_[call], "/status.json") && ++found == 2) return call;
    FAIL("no status of an epoch is written");
    return 0;
  }
  bool opens(std::size_t call) const { return contains(calls_.at(call), " open "); }

  void check(std::size_t call, const Fault& fault) {
    INFO("call " << calls_.at(call) << " fails by " << fault.wish);
    fs::remove_all(here_ / "run");
    std::string wish = fault.wish;
    wish.replace(wish.find('N'), 1, std::to_string(call));
    const Outcome outcome =
        run(kFresh, with_disk(here_, "other_disk", "below=" + (here_ / "run").string() + " " + wish));
    INFO(describe(kFresh, outcome));
    if (outcome.exit_code != 0) check_failure(outcome, fault.errno_value);
    check_end();
  }

 private:
  void check_failure(const Outcome& outcome, int errno_value) {
    ++failed_runs_;
    CHECK((outcome.exit_code == 4 || outcome.exit_code == 2));
    const std::string last_line = lines_of(outcome.err).back();
    CHECK_THAT(last_line, Catch::StartsWith("error: run") &&
                              Catch::Contains(": " + std::generic_category().message(errno_value) + "; "));
    if (fs::exists(here_ / "run/status.json")) {
      const std::string status = status_of(here_ / "run");
      if (status == "done 0")  // written, but perhaps not durable: true, and then all is there
        CHECK((text_of(here_ / kLastModel[0]) == text_of(here_ / kLastModel[1])));
      else
        CHECK((status == "failed " + std::to_string(outcome.exit_code) ||
               status == "running 0"));  // where the status could not be written either
    }
    if (fs::is_symlink(here_ / "run/checkpoints/last")) here_.must({"eval", "run", "-q"});
    here_.must({"train", "tiny.yaml", "--resume", "auto", "--run-dir", "run"});
  }

  void check_end() {
    CHECK(status_of(here_ / "run") == "done 0");
    if (!fs::exists(here_ / "run/report/index.html")) here_.must({"report", "run"});
    here_.must({"report", "run"});  // also if half of it could not be written
    CHECK_FALSE(has_leftovers(here_ / "run"));
    check_same_run(here_ / "whole", here_ / "run");
  }

  const std::string kLastModel[2] = {"whole/checkpoints/finetune/model.safetensors",
                                     "run/checkpoints/finetune/model.safetensors"};
  const Words kFresh = {"train", "tiny.yaml", "--run-dir", "run"};
  Workspace here_;
  std::vector<std::string> calls_;
  int failed_runs_ = 0;
};

/// What the environment says, or `otherwise`.
std::size_t number_of(const char* variable, std::size_t otherwise) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? otherwise : static_cast<std::size_t>(std::strtoull(text, nullptr, 10));
}

}  // namespace

TEST_CASE("a call that changes a file fails: error, status, earlier checkpoints and resuming are right") {
  FaultyRuns runs(kTinyConfig);
  constexpr std::size_t kChecks = 12;
  REQUIRE(runs.calls() > 10 * kChecks);
  std::mt19937 random(7);  // the seed is arbitrary, but the same on every day
  for (std::size_t i = 0; i < kChecks; ++i) {
    const Fault& fault = kFaults[i % kFaults.size()];
    std::size_t call = random() % runs.calls();
    while (fault.opens_only && !runs.opens(call)) call = (call + 1) % runs.calls();
    runs.check(call, fault);
  }
  CHECK(runs.failed_runs() > 3);
  runs.check(runs.last_move(), kFaults.front());          // at the end of the run, older checkpoints are left then
  runs.check(runs.last_epoch_status(), kFaults.front());  // resumed, nothing is left to train but the status is old
  runs.check(runs.last_removal(), kFaults.front());       // half an old checkpoint, where no later one clears up
}

TEST_CASE("each call in turn that changes a file fails, in every way", "[.][campaign]") {
  FaultyRuns runs(kTinyConfig);
  const std::size_t from = number_of("BSQ_CAMPAIGN_FROM", 0);
  const std::size_t step = std::max<std::size_t>(1, number_of("BSQ_CAMPAIGN_STEP", 1));
  for (std::size_t call = from; call < runs.calls(); call += step)
    for (const Fault& fault : kFaults)
      if (!fault.opens_only || runs.opens(call)) runs.check(call, fault);
  WARN(runs.calls() << " calls, " << runs.failed_runs() << " runs that failed");
}

TEST_CASE("of two that resume a run at once, one goes on and the other is refused", "[slow]") {
  const Workspace here;
  here.train("whole", {"bsq.epochs=60"});
  Program begun({"train", "tiny.yaml", "--run-dir", "run", "bsq.epochs=60"}, here.setup());
  begun.wait_for("[T] bsq  1/60");
  begun.send(SIGKILL);
  REQUIRE(begun.finish().signal == SIGKILL);
  const Words resume = {"train", "--resume", "run"};
  Program first(resume, here.setup()), second(resume, here.setup());
  const Outcome one = first.finish(), other = second.finish();
  INFO(one.err << "\n" << other.err);
  // The one that waited for the lock may find a run that is complete.
  const bool both = one.exit_code == 0 && other.exit_code == 0;
  const Outcome& loser = one.exit_code == 0 && !contains(one.err, "nothing to do") ? other : one;
  if (both)
    CHECK_THAT(loser.err, Catch::Contains("run: this run is complete, nothing to do\n"));
  else
    CHECK((loser.exit_code == 2 && contains(loser.err, "run: another bsq is writing this run")));
  CHECK(status_of(here / "run") == "done 0");
  check_same_run(here / "whole", here / "run");
}
