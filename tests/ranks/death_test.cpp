// A rank that dies without a word: what the others make of it, each in a shell that writes down its exit code.
// (mpirun's own exit code is that of the dead one.)
#include "tests/ranks/launch.h"
#include "tests/support/workspace.h"

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <thread>

namespace bsq::test {
namespace {

constexpr auto kSeconds = std::chrono::seconds(10);

/// Ranks whose exit codes come to stand in code.<rank>; mpirun's SIGTERM is for bsq, not for the shells.
Words ranks_in_shells(int ranks, const std::string& words) {
  return {"-np", std::to_string(ranks), "sh", "-c",
          std::string("trap '' TERM; ") + BSQ_PROGRAM + " " + words + "; echo $? > code.$OMPI_COMM_WORLD_RANK"};
}

/// mpirun leaves its ranks more time than the second it usually does, and takes it whole itself.
Setup patient_setup(const Workspace& here) {
  Setup setup = mpirun_setup(here.path());
  setup.environment["OMPI_MCA_odls_base_sigkill_timeout"] = "3";
  return setup;
}

pid_t wait_until_found(const std::function<pid_t()>& find) {
  for (const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
       std::chrono::steady_clock::now() < end;) {
    if (const pid_t process = find(); process > 0) return process;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  FAIL("a rank does not run");
  return -1;
}

/// The process of bsq, once `line` has been printed.
pid_t process_of_bsq(Program& mpirun, int rank, const std::string& line) {
  mpirun.wait_for(line);
  const pid_t shell = wait_until_found([&] { return process_of_rank(mpirun, rank); });
  return wait_until_found([&] { return child_of(shell); });
}

fs::path code_file(const Workspace& here, int rank) {
  return here / ("code." + std::to_string(rank));
}

std::string code_of(const Workspace& here, int rank) {
  return text_of(code_file(here, rank));
}

std::size_t count_of_errors(const Outcome& outcome) {
  std::size_t count = 0;
  for (const std::string& line : lines_of(outcome.err)) count += line.starts_with("error: ") ? 1 : 0;
  return count;
}

}  // namespace

TEST_CASE("where a rank is killed the others end with exit 5 and its name, and resumed the run is as if never killed",
          "[slow]") {
  BSQ_NEEDS_RANKS();
  const int victim = GENERATE(0, 1);
  INFO("rank " << victim << " is killed");
  const Workspace here;
  const std::string train = "train tiny.yaml pretrain.epochs=40 --run-dir ";
  Program mpirun(ranks_in_shells(2, train + "run"), patient_setup(here));
  const pid_t process = process_of_bsq(mpirun, victim, "[T] pretrain  3/40");
  const auto start = std::chrono::steady_clock::now();
  REQUIRE(::kill(process, SIGKILL) == 0);
  while (!fs::exists(code_file(here, 1 - victim)) && std::chrono::steady_clock::now() - start < kSeconds)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  CHECK(std::chrono::steady_clock::now() - start < kSeconds);
  const Outcome outcome = mpirun.finish();
  INFO(outcome.err);
  CHECK(code_of(here, victim) == "137\n");
  CHECK(code_of(here, 1 - victim) == "5\n");
  const std::string sentence = "error: rank " + std::to_string(victim) + " (process " + std::to_string(process) +
                               ") has died; the run ends. The last checkpoint is run/checkpoints/last, go on with: bsq "
                               "train --resume run\n";
  CHECK_THAT(outcome.err, Catch::Contains(sentence));
  CHECK(count_of_errors(outcome) == 1);
  CHECK(status_of(here / "run") == "failed 5");
  CHECK_THAT(text_of(here / "run/train.log"), Catch::Contains("has died; the run ends."));

  REQUIRE(run_ranks(2, {"train", "--resume", "run"}, here.path()).exit_code == 0);
  REQUIRE(run(ranks_of_bsq(2, {"train", "tiny.yaml", "pretrain.epochs=40", "--run-dir", "whole"}),
              mpirun_setup(here.path()))
              .exit_code == 0);
  check_same_run(here / "whole", here / "run");
}

TEST_CASE("of several survivors one speaks, and a rank killed before any checkpoint leaves a run to begin again") {
  BSQ_NEEDS_RANKS();
  const Workspace here;
  const std::string train = "train tiny.yaml pretrain.epochs=100000 checkpoint.every_epochs=100000 --run-dir run";
  Program mpirun(ranks_in_shells(4, train), patient_setup(here));
  const pid_t process = process_of_bsq(mpirun, 2, "[T] pretrain      1/100000");
  REQUIRE(::kill(process, SIGKILL) == 0);
  const Outcome outcome = mpirun.finish();
  INFO(outcome.err);
  for (const int survivor : {0, 1, 3}) CHECK(code_of(here, survivor) == "5\n");
  CHECK(count_of_errors(outcome) == 1);
  CHECK_THAT(outcome.err, Catch::Contains("error: rank 2 (process " + std::to_string(process) +
                                          ") has died; the run ends. There is no checkpoint yet, begin again with: bsq "
                                          "train --resume run\n"));
  CHECK(status_of(here / "run") == "failed 5");
  Program resumed(ranks_of_bsq(2, {"train", "--resume", "run"}), mpirun_setup(here.path()));
  resumed.wait_for("[T] pretrain      1/100000");
  const pid_t first = wait_until_found([&] { return process_of_rank(resumed, 0); });
  REQUIRE(::kill(first, SIGTERM) == 0);
  CHECK(resumed.finish().exit_code == 143);
}

}  // namespace bsq::test
