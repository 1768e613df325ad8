// `mpirun -np N bsq ...` as a person uses it: runs, stops, resumes, and ranks that die.
#include "tests/ranks/launch.h"
#include "tests/support/event_file.h"
#include "tests/support/pictures.h"
#include "tests/support/program_tree.h"
#include "tests/support/workspace.h"

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

namespace bsq::test {
namespace {

using nlohmann::json;

const Words kTrain = {"train", "tiny.yaml", "--run-dir", "run"};

Words with(Words words, const Words& more) {
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// Runs to the end and requires exit 0.
Outcome must(int ranks, const Words& words, const Workspace& here) {
  Outcome outcome = run_ranks(ranks, words, here.path());
  INFO(describe(words, outcome));
  REQUIRE(outcome.exit_code == 0);
  return outcome;
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

std::vector<json> events_of(const fs::path& run, const std::string& name) {
  std::vector<json> events;
  for (const std::string& line : lines_of(text_of(run / "metrics.jsonl"))) {
    json event = json::parse(line);
    if (event.at("event") == name) events.push_back(std::move(event));
  }
  return events;
}

pid_t wait_for_rank(const Program& mpirun, int rank) {
  for (const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
       std::chrono::steady_clock::now() < end;) {
    if (const pid_t process = process_of_rank(mpirun, rank); process > 0) return process;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  FAIL("no rank " << rank << " runs");
  return -1;
}

/// Trains on two ranks, the second of which works in the folder `elsewhere`.
Outcome run_in_two_folders(const Workspace& here, const Words& more) {
  fs::create_directories(here / "elsewhere");
  fs::copy(here / "tiny.yaml", here / "elsewhere/tiny.yaml");
  const Words train = with({BSQ_PROGRAM, "train", "tiny.yaml"}, more);
  const Words second = with({":", "-np", "1", "-wdir", "elsewhere"}, train);
  return run(with(with({"-np", "1"}, train), second), mpirun_setup(here.path()));
}

constexpr auto kSeconds = std::chrono::seconds(60);  // "within seconds", on a loaded machine

/// Ends a long run of two ranks by a signal to rank 1 after an epoch; returns how mpirun ended.
Outcome end_by_signal_to_rank_1(int signal, const Workspace& here) {
  Program mpirun(ranks_of_bsq(2, with(kTrain, {"pretrain.epochs=100000"})), mpirun_setup(here.path()));
  mpirun.wait_for("[T] pretrain      3/100000");
  const auto start = std::chrono::steady_clock::now();
  REQUIRE(::kill(wait_for_rank(mpirun, 1), signal) == 0);
  Outcome outcome = mpirun.finish();
  CHECK(std::chrono::steady_clock::now() - start < kSeconds);
  return outcome;
}

}  // namespace

TEST_CASE("one rank is a plain run, two and four train the same batches, and the same bits every time", "[slow]") {
  BSQ_NEEDS_RANKS();
  const Workspace here;
  const Words uneven = {"data.synthetic_train=50"};  // the last batch is of 2 images: two of four ranks have none
  here.train("plain", uneven);
  const int ranks = GENERATE(1, 2, 4);
  INFO(ranks << " ranks");
  const Outcome outcome = must(ranks, with(kTrain, uneven), here);
  CHECK(count_of(outcome.err, "\n[T] finetune 2/2 ") == 1);  // rank 0 alone speaks
  CHECK(count_of(outcome.out, "\nresult: ") == 1);
  CHECK(status_of(here / "run") == "done 0");
  if (ranks == 1) {
    check_same_run(here / "plain", here / "run");
    return;
  }
  CHECK_THAT(outcome.err, Catch::Contains("ranks: " + std::to_string(ranks) + " processes (") &&
                              Catch::Contains("; a batch of 16 images is " + std::to_string(16 / ranks) + " a rank; "));
  must(ranks, with({"train", "tiny.yaml", "--run-dir", "again"}, uneven), here);
  check_same_run(here / "run", here / "again");
  CHECK(lines_of(text_of(here / "run/metrics.csv")).size() == lines_of(text_of(here / "plain/metrics.csv")).size());
  CHECK(json_of(here / "run/env.json").at("world_size") == ranks);
}

TEST_CASE("ranks that train under the arithmetic of deployment find the same ranges, every time", "[slow]") {
  BSQ_NEEDS_RANKS();
  const Workspace here;
  const Words deployed = {"quant.deployed=true", "quant.act_scale=calibrated", "quant.weight_bits=7",
                          "quant.max_bits=7", "quant.calibration_batches=3"};
  here.train("plain", deployed);
  const int ranks = GENERATE(1, 2);
  INFO(ranks << " ranks");
  must(ranks, with(kTrain, deployed), here);  // which checks that all ranks have the same model
  if (ranks == 1) {
    check_same_run(here / "plain", here / "run");
    return;
  }
  must(ranks, with({"train", "tiny.yaml", "--run-dir", "again"}, deployed), here);
  check_same_run(here / "run", here / "again");
}

TEST_CASE("the log counts what a rank hands over in a step: four bytes per weight, whatever the bits") {
  BSQ_NEEDS_RANKS();
  const Workspace here;
  const Outcome outcome = must(2, with(kTrain, {"log.every_steps=1"}), here);
  const std::vector<json> stages = events_of(here / "run", "stage_start");
  REQUIRE(stages.size() == 4);
  for (const json& stage : stages) {
    INFO(stage.dump());
    CHECK(stage.at("ranks") == 2);
    const std::size_t bytes = stage.at("gradient_bytes_per_step");
    if (stage.at("stage") == "convert") {
      CHECK(bytes == 0);
      continue;
    }
    const std::size_t weights = stage.at("parameters");
    CHECK(bytes >= 4 * weights);
    CHECK(bytes < 5 * weights + 4096);  // padded to cache lines
    CHECK(bytes == stages[0].at("gradient_bytes_per_step"));
  }
  CHECK(count_of(outcome.err, "bytes of gradients and") == 3);
  CHECK(events_of(here / "run", "step").size() == 7 * 3);  // of 48 images in steps of 16, not of a rank's 24
}

TEST_CASE("accuracy over several ranks is that of a single process, printed once") {
  BSQ_NEEDS_RANKS();
  const Workspace here;
  here.train("run", {"data.synthetic_test=230"});
  const Words words = {"eval", "run", "--json"};
  const std::string single = here.must(words).out;
  CHECK(must(2, words, here).out == single);
  CHECK(must(4, words, here).out == single);
}

TEST_CASE("a signal to one rank stops all at the same step, resumed on as many, the same as never stopped", "[slow]") {
  BSQ_NEEDS_RANKS();
  const Workspace here;
  const Words long_run = {"pretrain.epochs=40"};
  must(2, with({"train", "tiny.yaml", "--run-dir", "whole"}, long_run), here);
  {
    Program mpirun(ranks_of_bsq(2, with(kTrain, long_run)), mpirun_setup(here.path()));
    mpirun.wait_for("[T] pretrain  2/40");
    REQUIRE(::kill(wait_for_rank(mpirun, 1), SIGTERM) == 0);
    const Outcome outcome = mpirun.finish();
    INFO(outcome.err);
    CHECK(outcome.exit_code == 143);
    CHECK_THAT(outcome.err, Catch::Contains("stopped after a checkpoint; go on with: bsq train --resume run\n"));
    CHECK(status_of(here / "run") == "interrupted 143");
  }
  const Outcome resumed = must(2, {"train", "--resume", "run"}, here);
  CHECK_THAT(resumed.err, !Catch::Contains("had begun"));
  check_same_run(here / "whole", here / "run");
}

TEST_CASE("a run is resumed on another number of ranks, and says so") {
  BSQ_NEEDS_RANKS();
  const Workspace here;
  const Outcome stopped = end_by_signal_to_rank_1(SIGINT, here);
  INFO(stopped.err);
  CHECK(stopped.exit_code == 130);
  // The epochs are the run's own; a new stop lets the next one go on.
  const auto resume = [&](int ranks, const std::string& line) {
    const Words words = {"train", "--resume", "run"};
    Program program(ranks == 1 ? words : ranks_of_bsq(ranks, words),
                    ranks == 1 ? here.setup() : mpirun_setup(here.path()));
    program.wait_for(line);
    program.wait_for("[T] pretrain ");
    if (ranks == 1)
      program.send(SIGTERM);
    else
      REQUIRE(::kill(wait_for_rank(program, 0), SIGTERM) == 0);
    const Outcome outcome = program.finish();
    INFO(outcome.err);
    CHECK(outcome.exit_code == 143);
    CHECK(status_of(here / "run") == "interrupted 143");
  };
  resume(4, "resuming on 4 ranks what 2 had begun: ");
  resume(1, "resuming on 1 rank what 4 had begun: ");
}

TEST_CASE("a rank that dies ends all within seconds, the last checkpoint stays good") {
  BSQ_NEEDS_RANKS();
  const int signal = GENERATE(SIGKILL, SIGABRT);
  const Workspace here;
  const Outcome outcome = end_by_signal_to_rank_1(signal, here);
  INFO(outcome.err);
  CHECK(outcome.exit_code != 0);
  // mpirun sees it, or where a dying process takes long to write its stack, rank 0 before it.
  CHECK_THAT(outcome.err,
             (Catch::Contains("process rank 1 ") && Catch::Contains("exited on signal")) ||
                 (Catch::Contains("error: rank 1 (process ") && Catch::Contains(") has died; the run ends.")));
  CHECK(fs::exists(here / "run/checkpoints/last/DONE"));
  Program resumed(ranks_of_bsq(2, {"train", "--resume", "run"}), mpirun_setup(here.path()));
  resumed.wait_for("resuming after ");
  resumed.wait_for("[T] pretrain ");
  REQUIRE(::kill(wait_for_rank(resumed, 0), SIGTERM) == 0);
  CHECK(resumed.finish().exit_code == 143);
}

TEST_CASE("a rank that fails ends all with exit 5 and is named, with its reason") {
  BSQ_NEEDS_RANKS();
  const Workspace here;
  here.train("start");
  const auto start = std::chrono::steady_clock::now();
  const Outcome outcome = run_in_two_folders(here, {"--run-dir", "run", "model.init=start", "stages=[convert,bsq]"});
  INFO(outcome.err);
  CHECK(outcome.exit_code == 5);
  CHECK_THAT(outcome.err, Catch::Contains("error: rank 1: start: no such checkpoint"));
  CHECK(std::chrono::steady_clock::now() - start < kSeconds);
}

TEST_CASE("ranks that start from different models stop with exit 5 and the name of a tensor") {
  BSQ_NEEDS_RANKS();
  const Workspace here;
  here.train("start");
  here.train("elsewhere/start", {"seed=2"});
  const Outcome outcome =
      run_in_two_folders(here, {"--run-dir", "run", "model.init=start", "stages=[bsq]", "log.tensorboard=true"});
  INFO(outcome.err);
  CHECK(outcome.exit_code == 5);
  CHECK(event_files(here / "run").size() == 1);  // of rank 0
  CHECK_FALSE(fs::exists(here / "elsewhere/run"));
  CHECK(count_of(outcome.err,
                 "error: rank 1 and rank 0 do not hold the same bits after a re-quantization (stage bsq, "
                 "epoch 1, step 0): conv1.pweight differs, and ") == 1);
  CHECK(status_of(here / "run") == "failed 5");
}

TEST_CASE("what is wrong on every rank is said once, with the exit code a single process has") {
  BSQ_NEEDS_RANKS();
  const Workspace here;
  const Outcome config = run_ranks(2, with(kTrain, {"bsq.alhpa=1"}), here.path());
  INFO(config.err);
  CHECK(config.exit_code == 2);
  CHECK(count_of(config.err, "unknown key 'bsq.alhpa'") == 1);
  CHECK_FALSE(fs::exists(here / "run"));

  const Outcome diverged = run_ranks(2, with(kTrain, {"pretrain.lr=1e30"}), here.path());
  INFO(diverged.err);
  CHECK(diverged.exit_code == 6);
  CHECK(count_of(diverged.err, "error: loss is ") == 1);
  CHECK(status_of(here / "run") == "failed 6");
}

TEST_CASE("ranks with different configurations do not train together") {
  BSQ_NEEDS_RANKS();
  const Workspace here;
  const std::string bsq = BSQ_PROGRAM;
  const Outcome outcome =
      run({"-np", "1", bsq, "train", "tiny.yaml", ":", "-np", "1", bsq, "train", "tiny.yaml", "seed=2"},
          mpirun_setup(here.path()));
  INFO(outcome.err);
  CHECK(outcome.exit_code == 2);
  CHECK(count_of(outcome.err, "another configuration") == 1);
}

TEST_CASE("ranks that read different images do not train together") {
  BSQ_NEEDS_RANKS();
  const Workspace here;
  put_pictures(here / "here/pictures");
  put_pictures(here / "there/pictures");
  put_png(here / "there/pictures/train/dog/0.png", 1000);
  const std::string bsq = BSQ_PROGRAM, folder = here.path().string();
  const Words train = {
      bsq, "train", folder + "/tiny.yaml", "data.kind=image_folder", "data.root=pictures", "data.batch_size=4"};
  const Words words = with(
      with(with({"-np", "1", "-wdir", folder + "/here"}, train), {":", "-np", "1", "-wdir", folder + "/there"}), train);
  const Outcome outcome = run(words, mpirun_setup(here.path()));
  INFO(outcome.err);
  CHECK(outcome.exit_code == 3);
  CHECK(count_of(outcome.err, "rank 1 reads other images than rank 0; its files are not the same") == 1);
  CHECK_FALSE(fs::exists(here / "here/runs"));
}

TEST_CASE("a command for one process does not run several times") {
  BSQ_NEEDS_RANKS();
  const Workspace here;
  here.train("run");
  const Outcome outcome = run_ranks(2, {"convert", "run", "out.safetensors", "--to", "float"}, here.path());
  INFO(outcome.err);
  CHECK(outcome.exit_code == 2);
  CHECK(count_of(outcome.err, "error: bsq convert is for one process (OMPI_COMM_WORLD_SIZE = 2); ") == 1);
  CHECK_FALSE(fs::exists(here / "out.safetensors"));
}

TEST_CASE("Ctrl-C at mpirun leaves a checkpoint to go on from") {
  BSQ_NEEDS_RANKS();
  const Workspace here;
  Setup setup = mpirun_setup(here.path());
  setup.environment["OMPI_MCA_odls_base_sigkill_timeout"] = "4";  // mpirun's patience with its ranks, 1 by default
  Program mpirun(ranks_of_bsq(2, with(kTrain, {"pretrain.epochs=100000", "checkpoint.every_epochs=100000"})), setup);
  mpirun.wait_for("[T] pretrain      2/100000");
  REQUIRE_FALSE(fs::exists(here / "run/checkpoints/last"));
  mpirun.send(SIGINT);
  const Outcome outcome = mpirun.finish();
  INFO(outcome.err);
  CHECK(outcome.exit_code != 0);
  CHECK(fs::exists(here / "run/checkpoints/last/DONE"));
  CHECK(status_of(here / "run") == "interrupted 143");  // mpirun turns it into SIGTERM
}

TEST_CASE("several processes without MPI between them are an error, not as many runs") {
  const Workspace here;
  const auto refuses = [&](Setup setup, const std::string& why) {
    setup.environment["RANK"] = "0";
    setup.environment["WORLD_SIZE"] = "2";
    const Outcome outcome = run(kTrain, setup);
    INFO(describe(kTrain, outcome));
    CHECK(outcome.exit_code == 5);
    CHECK_THAT(outcome.err, Catch::Contains("error: WORLD_SIZE = 2") && Catch::Contains(why));
    CHECK_FALSE(fs::exists(here / "run"));
  };
  if (why_no_ranks().empty()) {
    Setup by_hand = mpirun_setup(here.path());
    by_hand.program = BSQ_PROGRAM;
    refuses(by_hand, "but MPI knows of 1 process: ");
  }
  const ProgramTree without_mpi;
  refuses(without_mpi.setup(here), "this bsq is built without MPI (install libopenmpi-dev and build it anew)");
  CHECK(without_mpi.run(here, kTrain).exit_code == 0);  // by itself it trains
  CHECK_THAT(without_mpi.run(here, {"info"}).out, Catch::Contains("\nmpi        this bsq is built without MPI"));
}

}  // namespace bsq::test
