// A disk too small for the run: the error names the file that had no room, what was saved is good, the status is true,
// and with more room the run goes on to the bits of one that nothing disturbed.
#include "tests/support/program_tree.h"
#include "tests/support/workspace.h"

using namespace bsq::test;

namespace {

constexpr long kKilobyte = 1024;

class RunsOnSmallDisk {
 public:
  /// `more`: words that make the run larger.
  explicit RunsOnSmallDisk(const Words& more = {}) : more_(more) { here_.train("whole", more_); }

  const Workspace& here() const { return here_; }

  /// On a disk with so many bytes for the folder of the run.
  Outcome start(long room_bytes, Words words) const {
    words.insert(words.end(), more_.begin(), more_.end());
    const std::string wish = "below=" + (here_ / "run").string() + " room=" + std::to_string(room_bytes);
    Outcome outcome = run(words, with_disk(here_, "other_disk", wish));
    UNSCOPED_INFO(describe(words, outcome));
    return outcome;
  }

  /// The run has ended for want of room.
  void check_failure(const Outcome& outcome) const {
    CHECK(outcome.exit_code == 4);
    const std::string last_line = lines_of(outcome.err).back();
    CHECK_THAT(last_line, Catch::StartsWith("error: run/"));
    CHECK_THAT(last_line, Catch::EndsWith(": cannot write: No space left on device; free some space on that disk"));
    if (fs::exists(here_ / "run/status.json")) CHECK(status_of(here_ / "run") == "failed 4");
    if (!fs::exists(here_ / "run/checkpoints")) return;
    CHECK_FALSE(has_leftovers(here_ / "run/checkpoints"));
    if (fs::exists(here_ / "run/checkpoints/last")) here_.must({"eval", "run", "-q"});
  }

  /// The same run, with all the room that it wants.
  void check_end() const {
    Words words = {"train", "tiny.yaml", "--resume", "auto", "--run-dir", "run"};
    words.insert(words.end(), more_.begin(), more_.end());
    here_.must(words);
    CHECK(status_of(here_ / "run") == "done 0");
    here_.must({"report", "run"});  // where only that had no room
    CHECK_FALSE(has_leftovers(here_ / "run"));
    check_same_run(here_ / "whole", here_ / "run");
  }

 private:
  Words more_;
  Workspace here_;
};

long bytes_below(const fs::path& folder) {
  long bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file() && !entry.is_symlink()) bytes += static_cast<long>(entry.file_size());
  return bytes;
}

}  // namespace

TEST_CASE("a run of 6 MB on a disk of 2 MB fails, keeps its checkpoints, and goes on where there is room") {
  const RunsOnSmallDisk disk({"model.width=8"});
  const fs::path run = disk.here() / "run";
  constexpr long kRoom = 2048 * kKilobyte;
  REQUIRE(bytes_below(disk.here() / "whole") > 2 * kRoom);
  disk.check_failure(disk.start(kRoom, {"train", "tiny.yaml", "--run-dir", "run"}));
  CHECK(bytes_below(run) <= kRoom);
  REQUIRE(fs::exists(run / "checkpoints/last"));
  for (const char* checkpoint : {"pretrain", "last"})
    disk.here().must({"eval", "run/checkpoints/" + std::string(checkpoint), "-q"});

  // Nobody has made room: the same end, and nothing is lost by it.
  const std::string last = text_of(run / "checkpoints/last/model.safetensors");
  disk.check_failure(disk.start(kRoom, {"train", "tiny.yaml", "--resume", "auto", "--run-dir", "run"}));
  CHECK((text_of(run / "checkpoints/last/model.safetensors") == last));
  disk.check_end();
}

TEST_CASE("a disk that is full at any moment of a run: error, status, earlier checkpoints and resuming are right") {
  const RunsOnSmallDisk disk;
  const fs::path run = disk.here() / "run";
  int failed = 0, without_report = 0;
  for (const long room : {8, 16, 24, 28, 36, 48, 60, 68, 76, 148, 168, 228, 328, 408, 508, 588, 620, 760}) {
    INFO("a disk of " << room << " KB");
    fs::remove_all(run);
    const Outcome outcome = disk.start(room * kKilobyte, {"train", "tiny.yaml", "--run-dir", "run"});
    if (outcome.exit_code == 0) {
      CHECK(status_of(run) == "done 0");
      CHECK_THAT(outcome.err, Catch::Contains("warning: run/report/") && Catch::Contains("No space left on device"));
      ++without_report;
    } else {
      disk.check_failure(outcome);
      ++failed;
    }
    disk.check_end();
  }
  CHECK(failed >= 12);
  CHECK(without_report >= 1);
}
