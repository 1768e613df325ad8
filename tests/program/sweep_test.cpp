// `bsq sweep`: combinations, folders, the comparison at the end, failures, signals, going on.
#include "tests/support/trace.h"
#include "tests/support/workspace.h"

#include <chrono>
#include <csignal>
#include <thread>

using namespace bsq::test;
using nlohmann::json;

namespace {

/// The runs of a sweep: `name state exit`, in the order of its plan.
std::vector<std::string> states(const fs::path& sweep) {
  std::vector<std::string> result;
  const json plan = json_of(sweep / "sweep.json");
  for (const json& run : plan.at("runs")) {
    const std::string name = run.at("name");
    result.push_back(name + (fs::exists(sweep / name / "status.json") ? " " + status_of(sweep / name) : " missing"));
  }
  return result;
}

/// The only folder whose name begins so.
fs::path only_folder(const fs::path& parent, const std::string& stem) {
  fs::path found;
  for (const auto& entry : fs::directory_iterator(parent)) {
    if (!entry.path().filename().string().starts_with(stem)) continue;
    CHECK(found.empty());
    found = entry.path();
  }
  REQUIRE_FALSE(found.empty());
  return found;
}

const Words kFloat = {"stages=[pretrain]"};

Words sweep(Words words, const Words& more = {}) {
  words.insert(words.begin(), {"sweep", "tiny.yaml"});
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

}  // namespace

TEST_CASE("a sweep of three alphas and two seeds ends with their Pareto figure") {
  const Workspace here;
  const Outcome outcome = here.must(sweep({"bsq.alpha=0.1,2,6", "seed=1,2", "--jobs", "2"}));
  const fs::path folder = only_folder(here / "runs/tiny", "sweep-");
  CHECK(states(folder) == std::vector<std::string>{"alpha-0.1_seed-1 done 0", "alpha-0.1_seed-2 done 0",
                                                   "alpha-2_seed-1 done 0", "alpha-2_seed-2 done 0",
                                                   "alpha-6_seed-1 done 0", "alpha-6_seed-2 done 0"});
  CHECK_THAT(outcome.out, Catch::Contains("alpha-6_seed-2") && Catch::EndsWith("/report/index.html\n"));
  CHECK_THAT(outcome.err, Catch::Contains("alpha-2_seed-1 | [T] bsq") && Catch::Contains(" (6 of 6)"));
  CHECK(contains(text_of(folder / "report/pareto.svg"), "alpha 6</text>"));
  CHECK(lines_of(text_of(folder / "report/groups.csv")).size() == 4);
  for (const char* file : {"report/precision.svg", "report/index.html", "alpha-2_seed-2/report/index.html"})
    CHECK(fs::exists(folder / file));

  // Each is the run that bsq train would make.
  here.train("alone", {"bsq.alpha=2", "seed=2"});
  check_same_run(here / "alone", folder / "alpha-2_seed-2");
  // And the sweep can be reported again as a whole.
  fs::remove_all(folder / "report");
  here.must({"report", fs::relative(folder, here.path()).string()});
  CHECK(fs::exists(folder / "report/pareto.svg"));
}

TEST_CASE("option --dry-run of a sweep lists the runs, and a list in brackets is one value") {
  const Workspace here;
  const Outcome outcome =
      here.must(sweep({"pretrain.lr=0.1,0.2", "bsq.lr=1", "finetune.lr=.1,.2", "bsq.milestones=[1,2]", "--dry-run"}));
  CHECK(outcome.out ==
        "pretrain.lr-0.1_finetune.lr-.1: pretrain.lr=0.1 bsq.lr=1 finetune.lr=.1 bsq.milestones=[1,2]\n"
        "pretrain.lr-0.1_finetune.lr-.2: pretrain.lr=0.1 bsq.lr=1 finetune.lr=.2 bsq.milestones=[1,2]\n"
        "pretrain.lr-0.2_finetune.lr-.1: pretrain.lr=0.2 bsq.lr=1 finetune.lr=.1 bsq.milestones=[1,2]\n"
        "pretrain.lr-0.2_finetune.lr-.2: pretrain.lr=0.2 bsq.lr=1 finetune.lr=.2 bsq.milestones=[1,2]\n");
  CHECK(here.must(sweep({"data.root=a,'b,c'", "--dry-run"})).out == "root-a: data.root=a\nroot-b-c: data.root='b,c'\n");
  CHECK(here.must(sweep({"bsq.milestones=[1],[1,2]", "--dry-run"})).out ==
        "milestones-1: bsq.milestones=[1]\nmilestones-1-2: bsq.milestones=[1,2]\n");
  CHECK(here.must(sweep({"model.init=a/b,a_b", "--dry-run"})).out ==
        "init-a-b: model.init=a/b\ninit-a-b-2: model.init=a_b\n");
  CHECK(here.files() == std::vector<std::string>{"tiny.yaml"});
}

TEST_CASE("all configurations of a sweep are checked before anything is written") {
  const Workspace here;
  check_errors(here, sweep({"bsq.alhpa=1,2", "seed=1,-1"}), 2,
               {"override 1: unknown key 'bsq.alhpa'; did you mean 'bsq.alpha'?",
                "override 2: seed = -1; must not be negative", "2 errors; nothing was written"});
  check_errors(here, sweep({"bsq.alpha=1"}), 2,
               {"nothing varies; give a key several values, such as bsq.alpha=3e-3,5e-3 (or use bsq train)"});
  check_errors(here, sweep({"seed=1,,2"}), 2, {"seed=1,,2: a value between the commas is missing"});
  check_errors(here, sweep({"bsq.alpha=1,1.0"}), 2, {"alpha-1 and alpha-1.0 are the same run; give each value once"});
  check_errors(here, {"sweep"}, 2, {"bsq sweep: which configuration? usage: bsq sweep CFG key=value,value..."});
  check_errors(here, {"sweep", "--resume", "nowhere"}, 2,
               {"nowhere: is not the folder of a sweep (no sweep.json in it); check the path"});
  check_errors(here, {"sweep", "--resume", "x", "seed=1,2"}, 2,
               {"--resume x: a sweep has its own configurations and folder; leave out all else"});
  CHECK(here.files() == std::vector<std::string>{"tiny.yaml"});
  put_text(here / "full/file", "mine\n");
  check_errors(here, sweep({"seed=1,2", "--sweep-dir", "full"}), 2,
               {"full exists and is not empty; use --resume or another --sweep-dir"});
  Setup ranks = here.setup();
  ranks.environment = {
      {"OMPI_COMM_WORLD_SIZE", "2"}, {"OMPI_COMM_WORLD_RANK", "0"}, {"OMPI_COMM_WORLD_LOCAL_RANK", "0"}};
  const Outcome refused = run(sweep({"seed=1,2"}), ranks);
  CHECK(refused.exit_code == 2);
  CHECK_THAT(refused.err, Catch::StartsWith("error: bsq sweep is for one process (OMPI_COMM_WORLD_SIZE = 2)"));
}

TEST_CASE("a run that fails does not keep the others, and its code is the sweep's") {
  const Workspace here;
  const Outcome outcome = here.run(sweep({"pretrain.lr=1e30,0.1", "--sweep-dir", "s", "-q"}, kFloat));
  INFO(outcome.err);
  CHECK(outcome.exit_code == 6);
  CHECK(states(here / "s") == std::vector<std::string>{"lr-1e30 failed 6", "lr-0.1 done 0"});
  CHECK_THAT(outcome.err, Catch::Contains("lr-1e30 | error: ") &&
                              Catch::Contains("\nerror: run lr-1e30 failed (exit 6): ") &&
                              Catch::EndsWith("not all runs are done; go on with: bsq sweep --resume s\n"));
  CHECK(outcome.out.empty());
  CHECK(fs::exists(here / "s/report/index.html"));
}

TEST_CASE("a sweep goes on: what is done is left, what was interrupted goes on, what is missing starts", "[slow]") {
  if (!can_trace()) {
    WARN("SKIPPED: this system does not let a process trace its children");
    return;
  }
  const Workspace here;
  here.must(sweep({"seed=1,2,3", "--sweep-dir", "whole"}));
  here.must(sweep({"seed=1,2,3", "--sweep-dir", "s"}));
  const auto untouched = fs::last_write_time(here / "s/seed-1/metrics.jsonl");
  fs::remove_all(here / "s/seed-3");
  // The second one as it was in the middle of BSQ.
  fs::remove_all(here / "s/seed-2");
  const Words train = {"train", "s/configs/seed-2.yaml", "--run-dir", "s/seed-2"};
  fs::remove_all(here / "s/seed-2");
  REQUIRE(signal_after("[T] bsq 2/3", SIGTERM, train, here.setup()).exit_code == 143);
  put_text(here / "tiny.yaml", "nonsense: 1\n");  // the sweep has its own
  const Outcome outcome = here.must({"sweep", "--resume", "s", "--jobs", "2"});
  CHECK_THAT(outcome.err,
             Catch::Contains("1 of 3 runs are done already\n") && Catch::Contains("seed-2 | resuming after "));
  CHECK(fs::last_write_time(here / "s/seed-1/metrics.jsonl") == untouched);
  for (const char* run : {"seed-1", "seed-2", "seed-3"}) check_same_run(here / "whole" / run, here / "s" / run);
  CHECK(here.must({"sweep", "--resume", "s", "-q"}).err.empty());
}

TEST_CASE("a signal stops every run of a sweep with a checkpoint, a second one at once") {
  const Workspace here;
  const Words words = sweep({"seed=1,2,3", "pretrain.epochs=100000", "--jobs", "2", "--sweep-dir", "s"});
  Program program(words, here.setup());
  program.wait_for("seed-1 | [T] pretrain      2/100000");
  program.wait_for("seed-2 | [T] pretrain      2/100000");
  check_error(here, {"sweep", "--resume", "s"}, 2, {"s: another bsq is running this sweep; wait for its end"});
  program.send(SIGTERM);
  const Outcome outcome = program.finish();
  INFO(outcome.err);
  CHECK(outcome.exit_code == 143);
  CHECK(outcome.out.empty());
  CHECK_THAT(outcome.err, Catch::EndsWith("not all runs are done; go on with: bsq sweep --resume s\n"));
  CHECK(states(here / "s") ==
        std::vector<std::string>{"seed-1 interrupted 143", "seed-2 interrupted 143", "seed-3 missing"});
  CHECK(fs::exists(here / "s/seed-1/checkpoints/last/DONE"));

  Program again({"sweep", "--resume", "s"}, here.setup());
  again.wait_for("seed-1 | resuming after");
  again.send(SIGINT);
  again.send(SIGINT);
  const int exit_code = again.finish().exit_code;
  CHECK(exit_code == 130);
  // Its child has gone as well: the run can be written by another.
  for (int attempt = 0; attempt < 1000; ++attempt) {
    if (here.run({"train", "--resume", "s/seed-1", "--dry-run"}).exit_code == 0) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  FAIL("the run is still being written");
}

TEST_CASE("a file with lines of runs is swept with one command, and a line may have any keys") {
  const Workspace here;
  put_text(here / "methods.yaml",
           "_base_: tiny.yaml\n"
           "sweep:\n"
           "  every: seed=1,2 quant.weight_bits=4\n"
           "  bsq: stages=[pretrain, bsq] bsq.alpha=2,6\n"
           "  uniform: >\n"
           "    stages=[pretrain,lsq]\n"
           "    lsq.epochs=1 quant.weight_bits=2,3\n");
  CHECK(here.must({"sweep", "methods.yaml", "--dry-run", "seed=1"}).out ==
        "bsq_alpha-2: seed=1 quant.weight_bits=4 stages=[pretrain, bsq] bsq.alpha=2\n"
        "bsq_alpha-6: seed=1 quant.weight_bits=4 stages=[pretrain, bsq] bsq.alpha=6\n"
        "uniform_weight-bits-2: seed=1 quant.weight_bits=2 stages=[pretrain,lsq] lsq.epochs=1\n"
        "uniform_weight-bits-3: seed=1 quant.weight_bits=3 stages=[pretrain,lsq] lsq.epochs=1\n");
  CHECK_THAT(here.must({"sweep", "methods.yaml", "--dry-run", "seed=1", "seed=3"}).out,
             Catch::StartsWith("bsq_alpha-2: seed=3 quant"));
  here.must({"sweep", "methods.yaml", "--sweep-dir", "s", "-q", "bsq.alpha=6"});
  CHECK(states(here / "s") ==
        std::vector<std::string>{"bsq_seed-1 done 0", "bsq_seed-2 done 0", "uniform_seed-1_weight-bits-2 done 0",
                                 "uniform_seed-1_weight-bits-3 done 0", "uniform_seed-2_weight-bits-2 done 0",
                                 "uniform_seed-2_weight-bits-3 done 0"});
  here.train("alone", {"bsq.alpha=6", "quant.weight_bits=3", "stages=[pretrain,lsq]", "lsq.epochs=1", "seed=2"});
  check_same_run(here / "alone", here / "s/uniform_seed-2_weight-bits-3");
  here.must({"sweep", "--resume", "s", "-q"});

  check_errors(here, {"train", "methods.yaml"}, 2,
               {"methods.yaml:2:1: sweep: makes several runs of this file; give it to bsq sweep (--dry-run lists them)",
                "1 error; nothing was written"});
  put_text(here / "above.yaml", "_base_: methods.yaml\n");
  check_errors(
      here, {"sweep", "above.yaml", "seed=1,2"}, 2,
      {"methods.yaml:2:1: sweep: belongs in the file that is given to bsq sweep", "1 error; nothing was written"});
}

TEST_CASE("lines of runs that are none are refused with their places") {
  const Workspace here;
  const auto refused = [&](const std::string& lines, const std::vector<std::string>& errors) {
    put_text(here / "x.yaml", "_base_: tiny.yaml\n" + lines);
    check_errors(here, {"sweep", "x.yaml"}, 2, errors);
  };
  refused("sweep: 3\n",
          {"x.yaml:2:1: sweep: expected lines such as `bsq: stages=[pretrain,bsq] bsq.budget_bits=4,3` below it",
           "1 error; nothing was written"});
  refused("sweep:\n  every: seed=1,2\n",
          {"x.yaml:2:1: sweep: has no runs; add a line, such as `bsq: seed=1,2`", "1 error; nothing was written"});
  refused("sweep:\n  a: [seed=1]\n  b: seed\n",
          {"x.yaml:3:3: sweep.a = [seed=1]; expected key=value words, as behind bsq sweep",
           "x.yaml:4:3: sweep.b: 'seed'; expected key=value", "2 errors; nothing was written"});
  refused("sweep:\n  a: seed=1,2 sede=3\n",
          {"sweep.a: override 2: unknown key 'sede'; did you mean 'seed'?", "1 error; nothing was written"});
  refused("sweep:\n  a: seed=1\n  b: seed=1\n", {"a and b are the same run; give each value once"});
  refused("sweep:\n  a: run.dir=/o'neil seed=1,2\n",
          {"x.yaml:3:3: sweep.a: a bracket or a quote is open to the end; close it, or put the whole word in quotes",
           "1 error; nothing was written"});
  refused("sweep:\n  a: seed=1\n",
          {"nothing varies; give a key several values, such as bsq.alpha=3e-3,5e-3 (or use bsq train)"});
}
