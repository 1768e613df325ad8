// Full disks, limits and missing permissions: a sentence that says which, and what had been saved stays good.
#include "tests/support/workspace.h"

#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <tuple>

using namespace bsq::test;

namespace {

/// A disk of its own size at a folder, seen by this process and its children only.
class TinyDisk {
 public:
  TinyDisk(const fs::path& folder, const std::string& size) : folder_(folder.string()) {
    fs::create_directories(folder);
    mounted_ = ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
               ::mount("bsq-test", folder_.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
  }
  ~TinyDisk() {
    if (mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
  }
  TinyDisk(const TinyDisk&) = delete;
  TinyDisk& operator=(const TinyDisk&) = delete;

  bool mounted() const { return mounted_; }
  void resize(const std::string& size) const {
    REQUIRE(::mount("bsq-test", folder_.c_str(), "tmpfs", MS_REMOUNT, ("size=" + size).c_str()) == 0);
  }

 private:
  std::string folder_;
  bool mounted_ = false;
};

/// What a run that could not write has to have kept: its last checkpoint, the news that it failed, no half files.
void check_kept(const fs::path& run) {
  CHECK(fs::exists(run / "checkpoints/last/DONE"));
  CHECK_FALSE(has_leftovers(run));
}

}  // namespace

TEST_CASE("a disk that fills up while checkpoints are written, then has room again") {
  const Workspace here;
  const TinyDisk disk(here / "disk", "1m");
  if (!disk.mounted()) {
    WARN("SKIPPED: only root may mount a small disk");
    return;
  }
  here.train("whole");
  // Room for the float stage, but not for all that the stages with bit planes keep.
  const Words words = {"train", "tiny.yaml", "--run-dir", "disk/run"};
  int sizes_that_failed = 0;
  for (const char* size : {"100k", "160k", "240k", "320k"}) {
    INFO("a disk of " << size);
    fs::remove_all(here / "disk/run");
    disk.resize(size);
    const Outcome outcome = here.run(words);
    INFO(describe(words, outcome));
    if (outcome.exit_code == 0) continue;
    ++sizes_that_failed;
    CHECK((outcome.exit_code == 4 || outcome.exit_code == 2));  // the checkpoint, or the run directory itself
    const std::string last_line = lines_of(outcome.err).back();
    CHECK_THAT(last_line, Catch::StartsWith("error: disk/run/") &&
                              Catch::EndsWith("No space left on device; free some space on that disk"));
    if (fs::is_symlink(here / "disk/run/checkpoints/last")) {
      check_kept(here / "disk/run");
      here.must({"eval", "disk/run"});
    }
    disk.resize("10m");
    here.must({"train", "tiny.yaml", "--run-dir", "disk/run", "--resume", "auto"});
    check_same_run(here / "whole", here / "disk/run");
  }
  CHECK(sizes_that_failed >= 2);
}

TEST_CASE("a limit on file sizes is a failed write with a message, and lifting it goes on") {
  const Workspace here;
  here.train("whole");
  Setup setup = here.setup();
  setup.file_size_limit_bytes = 40000;  // a float checkpoint fits, one of bit planes does not
  const Outcome outcome = run({"train", "tiny.yaml", "--run-dir", "run"}, setup);
  INFO(outcome.err);
  CHECK(outcome.exit_code == 4);
  CHECK_THAT(outcome.err, Catch::Contains("\nerror: run/checkpoints/convert") &&
                              Catch::EndsWith("/model.safetensors: cannot write: File too large; raise the limit on "
                                              "file sizes (ulimit -f)\n"));
  CHECK(status_of(here / "run") == "failed 4");
  check_kept(here / "run");
  CHECK_FALSE(fs::exists(here / "run/checkpoints/convert"));
  CHECK_THAT(text_of(here / "run/train.log"), Catch::Contains(" error: run/checkpoints/convert"));
  here.must({"train", "--resume", "run"});
  check_same_run(here / "whole", here / "run");

  put_text(here / "old.safetensors", "old");
  setup.file_size_limit_bytes = 1000;
  const Outcome converted = run({"convert", "run", "old.safetensors", "--force"}, setup);
  CHECK(converted.exit_code == 4);
  CHECK_THAT(converted.err, Catch::Contains("error: old.safetensors: cannot write: File too large"));
  CHECK(text_of(here / "old.safetensors") == "old");
  CHECK_FALSE(has_leftovers(here.path()));
}

TEST_CASE("a run that is complete stays so where its report cannot be written") {
  const Workspace here;
  here.train("run", {"stages=[pretrain]"});
  edit_text(here / "run/status.json", "done", "interrupted");
  fs::remove_all(here / "run/report");
  put_text(here / "run/report", "in the way");
  const Outcome outcome = here.must({"train", "--resume", "run"});
  CHECK_THAT(outcome.err, Catch::Contains("warning: run/report") &&
                              Catch::Contains("; then write the report of this run with: bsq report run\n"));
  CHECK_THAT(outcome.out, Catch::Contains("run       run  done\n") && !Catch::Contains("page:"));
  CHECK(status_of(here / "run") == "done 0");
  fs::remove(here / "run/report");
  here.must({"report", "run"});
  CHECK(fs::exists(here / "run/report/index.html"));
}

TEST_CASE("folders and files that may not be written or read") {
  const Workspace here;
  here.train("run", {"stages=[pretrain]"});
  edit_text(here / "run/status.json", "done", "interrupted");
  fs::create_directory(here / "closed");
  fs::permissions(here / "closed", fs::perms(0555));
  put_text(here / "secret.yaml", kTinyConfig);
  fs::permissions(here / "secret.yaml", fs::perms(0));
  fs::copy_file(here / "run/checkpoints/pretrain/model.safetensors", here / "secret.safetensors");
  fs::permissions(here / "secret.safetensors", fs::perms(0));
  Setup setup = here.setup();
  setup.as_nobody = true;  // as root: everything here belongs to somebody else
  if (::geteuid() != 0) fs::permissions(here / "run/.bsq-lock", fs::perms(0444));
  const std::string advice = "Permission denied; check the owner and the permissions of the file and its folder";
  const std::vector<std::tuple<Words, int, std::string>> cases = {
      {{"train", "tiny.yaml", "--run-dir", "closed/run"}, 2, "closed/run: cannot create the run directory: " + advice},
      {{"train", "tiny.yaml", "run.dir=closed"}, 2, "closed/tiny: cannot create the run directory: " + advice},
      {{"convert", "run", "closed/m.safetensors"}, 4, "closed/m.safetensors: cannot create: " + advice},
      {{"train", "secret.yaml"}, 2, "secret.yaml: cannot open: " + advice},
      {{"inspect", "secret.safetensors"}, 4, "secret.safetensors: cannot open: " + advice},
      {{"train", "--resume", "run"}, 2, "run/.bsq-lock: cannot open for writing: " + advice},
  };
  for (const auto& [words, exit_code, message] : cases) {
    const Outcome outcome = run(words, setup);
    INFO(describe(words, outcome));
    CHECK(outcome.exit_code == exit_code);
    CHECK_THAT(outcome.err, Catch::Contains("error: " + message));
  }
  CHECK(fs::is_empty(here / "closed"));
  CHECK(run({"eval", "run", "-q"}, setup).exit_code == 0);  // reading is enough for that
  fs::permissions(here / "closed", fs::perms(0755));
}
