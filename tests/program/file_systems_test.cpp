// File systems of clusters and of memory sticks: without locks, without symlinks, without a sync of folders.
#include "tests/support/program_tree.h"

#include <cerrno>
#include <csignal>

using namespace bsq::test;

namespace {

/// A disk on which each call in `wish` is answered so, see stand_ins/other_disk.cpp.
Outcome on_disk(const Workspace& here, const std::string& wish, const Words& words) {
  const Outcome outcome = run(words, with_disk(here, "other_disk", wish));
  INFO(wish << "\n" << describe(words, outcome));
  REQUIRE(outcome.exit_code == 0);
  return outcome;
}

std::vector<std::string> warnings_of(const Outcome& outcome) {
  std::vector<std::string> warnings;
  for (const std::string& line : lines_of(outcome.err))
    if (contains(line, "warning: ")) warnings.push_back(line);
  return warnings;
}

std::string model_of(const fs::path& run) {
  return text_of(run / "checkpoints/pretrain/model.safetensors");
}

/// Makes a run that is over look as if it had been killed after its last checkpoint.
void reopen(const fs::path& run) {
  edit_text(run / "status.json", "done", "running");
}

const Words kTrainFloat = {"train", "tiny.yaml", "stages=[pretrain]", "--run-dir", "run"};

}  // namespace

TEST_CASE("locks over NFS, which want a file opened for writing, are locks as any") {
  const Workspace here;
  const std::string nfs = "nfs_locks";
  CHECK(warnings_of(on_disk(here, nfs, kTrainFloat)).empty());
  CHECK(status_of(here / "run") == "done 0");
  CHECK(fs::exists(here / "run/report/index.html"));
  CHECK_THAT(on_disk(here, nfs, {"report", "run"}).out, Catch::Contains("run       run  done\n"));
  reopen(here / "run");
  CHECK(warnings_of(on_disk(here, nfs, {"train", "--resume", "run"})).empty());
  on_disk(here, nfs, {"sweep", "tiny.yaml", "stages=[pretrain]", "seed=1,2", "--sweep-dir", "sweep"});
  CHECK(status_of(here / "sweep/seed-1") == "done 0");
  CHECK(status_of(here / "sweep/seed-2") == "done 0");

  Program program({"train", "tiny.yaml", "--run-dir", "long", "pretrain.epochs=100000"},
                  with_disk(here, "other_disk", nfs));
  program.wait_for("[T] pretrain      1/100000");
  CHECK_THAT(on_disk(here, nfs, {"report", "long"}).out, Catch::Contains("run       long  running\n"));
  const Outcome second = run({"train", "--resume", "long"}, with_disk(here, "other_disk", nfs));
  CHECK(second.exit_code == 2);
  CHECK_THAT(second.err, Catch::Contains("error: long: another bsq is writing this run"));
}

TEST_CASE("a file system without locks trains, and says once what is not protected") {
  const int refusal = GENERATE(ENOSYS, EOPNOTSUPP, ENOLCK);
  const Workspace here;
  here.must({"train", "tiny.yaml", "stages=[pretrain]", "--run-dir", "whole"});
  const std::string wish = "flock=" + std::to_string(refusal);
  const std::string warning =
      "warning: run: the file system there has no locks, so that nothing keeps a second bsq from writing there as well";
  CHECK(warnings_of(on_disk(here, wish, kTrainFloat)) == std::vector<std::string>{warning});
  CHECK_THAT(text_of(here / "run/train.log"), Catch::Contains(warning));
  check_same_run(here / "whole", here / "run");
  reopen(here / "run");
  CHECK_THAT(on_disk(here, wish, {"report", "run"}).out, Catch::Contains("run       run  running\n"));  // nobody knows
  CHECK(warnings_of(on_disk(here, wish, {"train", "--resume", "run"})) == std::vector<std::string>{warning});
  const Outcome sweep =
      on_disk(here, wish, {"sweep", "tiny.yaml", "stages=[pretrain]", "seed=1,2", "--sweep-dir", "sweep"});
  CHECK_THAT(sweep.err, Catch::Contains("warning: sweep: the file system there has no locks"));
}

TEST_CASE("a file system without symbolic links has text files in their place", "[slow]") {
  const int refusal = GENERATE(EPERM, ENOSYS, EOPNOTSUPP);
  const Workspace here;
  here.must({"train", "tiny.yaml", "stages=[pretrain]", "--run-dir", "whole"});
  const std::string wish = "symlink=" + std::to_string(refusal);
  const Outcome trained = on_disk(here, wish, {"train", "tiny.yaml", "stages=[pretrain]"});
  REQUIRE(warnings_of(trained).size() == 1);
  CHECK_THAT(warnings_of(trained).front(),
             Catch::Contains(": the file system there has no symbolic links, for which small text files stand in"));
  const std::string latest = text_of(here / "runs/tiny/latest");
  REQUIRE(latest.starts_with("-> "));
  const std::string name = latest.substr(3, latest.size() - 4);
  const fs::path run = here / "runs/tiny" / name;
  CHECK(text_of(run / "checkpoints/last") == "-> epoch_0003\n");
  CHECK(model_of(run) == model_of(here / "whole"));
  CHECK_FALSE(has_leftovers(here / "runs"));

  const std::string shown = on_disk(here, wish, {"eval", "runs/tiny/" + name}).out;
  for (const char* word : {"runs/tiny", "runs/tiny/latest", "runs/tiny/latest/checkpoints/last"})
    CHECK(on_disk(here, wish, {"eval", word}).out == shown);
  for (const char* word : {"runs/tiny/latest/checkpoints/best", "runs/tiny/latest/checkpoints/best/model.safetensors"})
    for (const char* command : {"eval", "inspect"}) on_disk(here, wish, {command, word});
  for (const char* word : {"runs/tiny", "runs/tiny/latest"})
    CHECK_THAT(on_disk(here, wish, {"report", word}).out, Catch::Contains("run       runs/tiny/" + name + "  done\n"));
  reopen(run);
  on_disk(here, wish, {"train", "--resume", "runs/tiny/latest"});
  CHECK(status_of(run) == "done 0");
  reopen(run);
  CHECK_THAT(on_disk(here, wish, {"train", "tiny.yaml", "stages=[pretrain]", "--resume", "auto"}).err,
             Catch::Contains("\nresuming after 2 epochs, 6 steps\n"));
  CHECK(model_of(run) == model_of(here / "whole"));
  on_disk(here, wish, {"sweep", "tiny.yaml", "stages=[pretrain]", "seed=1,2", "--sweep-dir", "sweep"});
  CHECK(status_of(here / "sweep/seed-2") == "done 0");

  put_text(here / "runs/tiny/latest", "my notes\n");  // a file of somebody's is none of them
  const Outcome refused =
      bsq::test::run({"train", "tiny.yaml", "stages=[pretrain]"}, with_disk(here, "other_disk", wish));
  CHECK(refused.exit_code == 2);
  CHECK_THAT(refused.err, Catch::Contains("error: runs/tiny/latest: is not a link, and bsq keeps a link there"));
  CHECK(text_of(here / "runs/tiny/latest") == "my notes\n");
}

TEST_CASE("a run of a file system without symbolic links goes on where there are some, and the other way round") {
  const Workspace here;
  here.must({"train", "tiny.yaml", "stages=[pretrain]", "--run-dir", "whole"});
  const Setup with_links = here.setup(), without = with_disk(here, "other_disk", "symlink=" + std::to_string(EPERM));
  const auto go_there = [&](const Setup& from, const Setup& to) {
    fs::remove_all(here / "run");
    Program program(kTrainFloat, from);
    program.wait_for("[T] pretrain 1/2");
    program.send(SIGTERM);
    program.finish();
    const Outcome resumed = run({"train", "--resume", "run"}, to);
    INFO(resumed.err);
    CHECK(resumed.exit_code == 0);
    CHECK(model_of(here / "run") == model_of(here / "whole"));
    here.must({"eval", "run", "-q"});
  };
  go_there(without, with_links);
  go_there(with_links, without);
  CHECK(text_of(here / "run/checkpoints/last") == "-> epoch_0003\n");
}

TEST_CASE("a file system that does not sync folders trains, and says once what is not protected") {
  const int refusal = GENERATE(EINVAL, EOPNOTSUPP);
  const Workspace here;
  here.must({"train", "tiny.yaml", "stages=[pretrain]", "--run-dir", "whole"});
  const Outcome outcome = on_disk(here, "sync_folder=" + std::to_string(refusal), kTrainFloat);
  CHECK(warnings_of(outcome) ==
        std::vector<std::string>{"warning: run: the file system there has no sync of folders, so that the newest "
                                 "checkpoint may be lost with the power"});
  check_same_run(here / "whole", here / "run");
}

TEST_CASE("a file system that has none of them trains, with one warning") {
  const Workspace here;
  const Outcome outcome = on_disk(here, "flock=38 symlink=1 sync_folder=22", kTrainFloat);
  REQUIRE(warnings_of(outcome).size() == 1);
  for (const char* part : {"no locks, ", "; no symbolic links, ", "; no sync of folders, "})
    CHECK_THAT(warnings_of(outcome).front(), Catch::Contains(part));
}
