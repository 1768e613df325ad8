// Run directories: what is made, what is refused, what --force removes, and the lock.
#include "engine/run/run_directory.h"

#include "tests/support/files.h"

#include <sys/wait.h>

#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace bsq;
using namespace bsq::test;

namespace {

RunDirectoryOptions options_in(const TemporaryFolder& folder) {
  RunDirectoryOptions options;
  options.name = "quickstart";
  options.root = folder / "runs";
  options.started = std::chrono::sys_days{std::chrono::year{2026} / 1 / 31} + std::chrono::hours(12);
  options.config_yaml = "bsq:\n  alpha: 0.005\n";
  options.command = "bsq train configs/quickstart.yaml bsq.alpha=0.005";
  options.overrides = {"bsq.alpha=0.005"};
  options.env = {{"host", "h"}, {"seed", 1}};
  return options;
}

RunDirectoryOptions explicit_options(const TemporaryFolder& folder) {
  RunDirectoryOptions options = options_in(folder);
  options.explicit_path = folder / "x";
  return options;
}

}  // namespace

TEST_CASE("a run directory carries time and configuration in its name and describes the run") {
  const TemporaryFolder folder;
  const RunDirectory run = RunDirectory::create(options_in(folder));
  CHECK(run.path().parent_path() == folder / "runs/quickstart");
  const std::string name = run.path().filename().string();
  CHECK_THAT(name, Catch::Matches("20260131-120000-[0-9a-f]{6}"));
  CHECK(text_of(run.config_file()) == "bsq:\n  alpha: 0.005\n");
  CHECK(text_of(run.path() / "command.txt") == "bsq train configs/quickstart.yaml bsq.alpha=0.005\n");
  CHECK(text_of(run.path() / "overrides.txt") == "bsq.alpha=0.005\n");
  CHECK(text_of(run.path() / "env.json") == "{\n  \"host\": \"h\",\n  \"seed\": 1\n}\n");
  CHECK(text_of(run.path() / "status.json") == R"({"state":"running","stage":"","epoch":0,"exit_code":0})"
                                               "\n");
  CHECK(fs::read_symlink(folder / "runs/quickstart/latest") == name);
}

TEST_CASE("what is learned of the machine later is added to env.json, and takes the place of what it held of that") {
  const TemporaryFolder folder;
  const RunDirectory run = RunDirectory::create(options_in(folder));
  run.add_to_environment("engines", {"a", "b"});
  run.add_to_environment("engines", {"c"});
  CHECK(text_of(run.path() / "env.json") ==
        "{\n  \"host\": \"h\",\n  \"seed\": 1,\n  \"engines\": [\n    \"c\"\n  ]\n}\n");
  RunDirectory::of_rank_0(run.path()).add_to_environment("engines", {"another rank's"});
  CHECK_THAT(text_of(run.path() / "env.json"), !Catch::Contains("another"));
  fs::remove(run.path() / "env.json");  // no run depends on it
  run.add_to_environment("engines", {"c"});
  CHECK(text_of(run.path() / "env.json") == "{\n  \"engines\": [\n    \"c\"\n  ]\n}\n");
}

TEST_CASE("runs that start in the same second get folders of their own, and latest follows") {
  const TemporaryFolder folder;
  const RunDirectory first = RunDirectory::create(options_in(folder));
  const RunDirectory second = RunDirectory::create(options_in(folder));
  const RunDirectory third = RunDirectory::create(options_in(folder));
  CHECK(second.path() == first.path().string() + "-2");
  CHECK(third.path() == first.path().string() + "-3");
  CHECK(fs::read_symlink(folder / "runs/quickstart/latest") == third.path().filename());
}

TEST_CASE("another configuration gives another hash") {
  const TemporaryFolder folder;
  RunDirectoryOptions options = options_in(folder);
  const RunDirectory first = RunDirectory::create(options);
  options.config_yaml += "# other\n";
  const RunDirectory second = RunDirectory::create(options);
  CHECK(first.path().filename().string().substr(16) != second.path().filename().string().substr(16));
  CHECK(first.path().filename().string().size() == second.path().filename().string().size());  // no -2
}

TEST_CASE("a name that would leave the folder of runs is refused") {
  const TemporaryFolder folder;
  for (const std::string name : {"", ".", "..", "a/b"}) {
    RunDirectoryOptions options = options_in(folder);
    options.name = name;
    CHECK_THAT(error_of(ErrorKind::usage, [&] { RunDirectory::create(options); }),
               Catch::Contains("run name '" + name + "'"));
  }
  CHECK(names_in(folder.path()).empty());
}

TEST_CASE("an explicit run directory may be new or empty, and gets no latest") {
  const TemporaryFolder folder;
  SECTION("new, with its parents") {}
  SECTION("empty") {
    fs::create_directories(folder / "deep/x");
  }
  RunDirectoryOptions options = options_in(folder);
  options.explicit_path = folder / "deep/x";
  const RunDirectory run = RunDirectory::create(options);
  CHECK(run.path() == folder / "deep/x");
  CHECK(names_in(folder / "deep") == std::vector<std::string>{"x"});
}

TEST_CASE("a run directory that is not empty is refused, and untouched") {
  const TemporaryFolder folder;
  fs::create_directory(folder / "x");
  put_text(folder / "x/config.yaml", "mine");
  RunDirectoryOptions options = explicit_options(folder);
  CHECK(error_of(ErrorKind::usage, [&] { RunDirectory::create(options); }) ==
        (folder / "x").string() + " exists and is not empty; use --resume, --force or another --run-dir");
  options.force = true;
  CHECK_THAT(error_of(ErrorKind::usage, [&] { RunDirectory::create(options); }),
             Catch::Contains("is not a run of bsq, and --force clears runs only"));
  CHECK(names_in(folder / "x") == std::vector<std::string>{"config.yaml"});
  CHECK(text_of(folder / "x/config.yaml") == "mine");
}

TEST_CASE("force clears a run of what bsq wrote and of nothing else") {
  const TemporaryFolder folder;
  RunDirectoryOptions options = explicit_options(folder);
  {
    const RunDirectory run = RunDirectory::create(options);
    fs::create_directories(run.checkpoints() / "last");
    fs::create_directories(run.report());
    put_text(run.train_log(), "old");
    put_text(run.path() / "metrics.jsonl", "old");
    put_text(run.path() / "config.yaml.tmp-99", "left by a crash");
    put_text(run.path() / "notes.txt", "mine");
  }
  options.force = true;
  options.config_yaml = "new\n";
  const RunDirectory run = RunDirectory::create(options);
  CHECK(names_in(run.path()) == std::vector<std::string>{".bsq-lock", "command.txt", "config.yaml", "env.json",
                                                         "notes.txt", "overrides.txt", "status.json"});
  CHECK(text_of(run.config_file()) == "new\n");
  CHECK(text_of(run.path() / "notes.txt") == "mine");
}

TEST_CASE("a file or a forbidden place as run directory is refused") {
  const TemporaryFolder folder;
  RunDirectoryOptions options = explicit_options(folder);
  put_text(folder / "x", "text");
  CHECK_THAT(error_of(ErrorKind::usage, [&] { RunDirectory::create(options); }),
             Catch::Contains("x: is a file; choose another --run-dir"));
  options.explicit_path = folder / "x/y";
  CHECK_THAT(error_of(ErrorKind::usage, [&] { RunDirectory::create(options); }),
             Catch::Contains("cannot create the run directory: Not a directory; check the path"));
  options = options_in(folder);
  fs::permissions(folder.path(), fs::perms(0555));
  BSQ_DROP_PRIVILEGES();
  CHECK_THAT(error_of(ErrorKind::usage, [&] { RunDirectory::create(options); }),
             Catch::Contains("cannot create the run directory: Permission denied"));
}

TEST_CASE("two cannot write one run, and the lock ends with its holder") {
  const TemporaryFolder folder;
  RunDirectoryOptions options = explicit_options(folder);
  std::optional<RunDirectory> run = RunDirectory::create(options);
  const std::string expected =
      (folder / "x").string() + ": another bsq is writing this run; wait for its end or choose another --run-dir";
  CHECK(error_of(ErrorKind::usage, [&] { RunDirectory::resume(folder / "x", "bsq"); }) == expected);
  options.force = true;
  CHECK(error_of(ErrorKind::usage, [&] { RunDirectory::create(options); }) == expected);
  CHECK(text_of(folder / "x/config.yaml") == options.config_yaml);  // force removed nothing of a run that is going on

  run.reset();
  CHECK_NOTHROW(RunDirectory::resume(folder / "x", "bsq"));
}

TEST_CASE("a process that is dying is waited for") {
  const TemporaryFolder folder;
  std::optional<RunDirectory> run = RunDirectory::create(explicit_options(folder));
  std::thread dying([&] {
    std::this_thread::sleep_for(PosixFile::kDyingTime / 5);
    run.reset();
  });
  CHECK_NOTHROW(RunDirectory::resume(folder / "x", "bsq"));
  dying.join();
}

TEST_CASE("the lock of a process that was killed does not stay") {
  const TemporaryFolder folder;
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const RunDirectory run = RunDirectory::create(explicit_options(folder));
    if (::write(ready[1], "r", 1) == 1) ::pause();
    ::_exit(1);
  }
  char byte = 0;
  REQUIRE(::read(ready[0], &byte, 1) == 1);
  CHECK_THAT(error_of(ErrorKind::usage, [&] { RunDirectory::resume(folder / "x", "bsq"); }),
             Catch::Contains("another bsq is writing this run"));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK_NOTHROW(RunDirectory::resume(folder / "x", "bsq"));
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_CASE("resuming notes the command, sweeps up and keeps the rest") {
  const TemporaryFolder folder;
  const RunDirectoryOptions options = options_in(folder);
  fs::path path;
  {
    const RunDirectory run = RunDirectory::create(options);
    path = run.path();
    run.write_status({RunState::interrupted, "bsq", 12, 143});
    put_text(path / "status.json.tmp-99", "half");
  }
  const RunDirectory run = RunDirectory::resume(folder / "runs/quickstart/latest", "bsq train --resume latest");
  CHECK(fs::equivalent(run.path(), path));
  CHECK_FALSE(fs::is_symlink(run.path()));  // a later `latest` must not move this run
  CHECK(lines_of(path / "command.txt") == std::vector<std::string>{options.command, "bsq train --resume latest"});
  CHECK(text_of(run.config_file()) == options.config_yaml);
  CHECK_FALSE(fs::exists(path / "status.json.tmp-99"));
  const RunStatus status = run.read_status();
  CHECK(status.state == RunState::interrupted);
  CHECK(status.stage == "bsq");
  CHECK(status.epoch == 12);
  CHECK(status.exit_code == 143);
}

TEST_CASE("resuming what is no run is refused") {
  const TemporaryFolder folder;
  for (const char* name : {"", "missing"}) {
    CHECK_THAT(error_of(ErrorKind::usage, [&] { RunDirectory::resume(folder / name, "bsq"); }),
               Catch::Contains("is not a run directory (no config.yaml of a run in it); check the path"));
  }
  CHECK(names_in(folder.path()).empty());
}

TEST_CASE("a damaged status is refused") {
  const TemporaryFolder folder;
  const RunDirectory run = RunDirectory::create(options_in(folder));
  for (const char* text : {"", "[]", R"({"state":"running"})", R"({"state":1,"stage":"","epoch":0,"exit_code":0})",
                           R"({"state":"lost","stage":"","epoch":0,"exit_code":0})"}) {
    put_text(run.path() / "status.json", text);
    CHECK_THAT(error_of(ErrorKind::checkpoint, [&] { run.read_status(); }),
               Catch::Contains("status.json: ") && Catch::Contains("the run directory is damaged"));
  }
}
