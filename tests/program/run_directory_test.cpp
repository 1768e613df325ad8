// Where a run writes, what it never overwrites, and how a run that fails says so in its own files.
#include "tests/support/workspace.h"

using namespace bsq::test;

namespace {

const Words kShort = {"stages=[pretrain]", "pretrain.epochs=1", "pretrain.milestones=[]"};

Words words_of(Words start) {
  start.insert(start.end(), kShort.begin(), kShort.end());
  return start;
}

}  // namespace

TEST_CASE("a run gets a folder of its own by name, time and configuration, and a link to the newest") {
  const Workspace here;
  here.must(words_of({"train", "tiny.yaml"}));
  const std::string first = fs::read_symlink(here / "runs/tiny/latest").string();
  CHECK_THAT(first, Catch::Matches("[0-9]{8}-[0-9]{6}-[0-9a-f]{6}"));
  here.must(words_of({"train", "tiny.yaml"}));
  const std::string second = fs::read_symlink(here / "runs/tiny/latest").string();
  CHECK(first != second);  // even within a second
  here.must(words_of({"train", "tiny.yaml", "name=other", "run.dir=elsewhere"}));
  CHECK(fs::exists(here / "elsewhere/other/latest/config.yaml"));
  CHECK_THAT(here.must({"report", "runs/tiny"}).out, Catch::Contains("run       runs/tiny/latest  done\n"));
}

TEST_CASE("an existing run is not touched without --force, and nothing foreign with it") {
  const Workspace here;
  here.train("run", kShort);
  put_text(here / "run/notes.txt", "mine");
  const std::string log = text_of(here / "run/metrics.jsonl");
  check_error(here, words_of({"train", "tiny.yaml", "--run-dir", "run"}), 2,
              {"run exists and is not empty; use --resume, --force or another --run-dir"});
  CHECK(text_of(here / "run/metrics.jsonl") == log);
  here.train("run", words_of({"--force", "seed=2"}));
  CHECK(text_of(here / "run/metrics.jsonl") != log);
  CHECK(text_of(here / "run/notes.txt") == "mine");

  put_text(here / "precious/data.txt", "mine");
  check_error(here, words_of({"train", "tiny.yaml", "--run-dir", "precious", "--force"}), 2,
              {"precious is not a run of bsq, and --force clears runs only; use another --run-dir"});
  check_error(here, words_of({"train", "tiny.yaml", "--run-dir", "precious", "--resume", "auto"}), 2, {"precious"});
  CHECK(here.files("precious") == std::vector<std::string>{"data.txt"});
  check_error(here, words_of({"train", "tiny.yaml", "--run-dir", "tiny.yaml"}), 2,
              {"tiny.yaml: is a file; choose another --run-dir"});
  fs::create_directory(here / "empty");
  here.train("empty", kShort);
}

TEST_CASE("option --resume auto never clears a run that has checkpoints") {
  const Workspace here;
  here.train("run", kShort);
  fs::remove(here / "run/status.json");
  check_error(here, words_of({"train", "tiny.yaml", "--run-dir", "run", "--resume", "auto"}), 2,
              {"run exists and is not empty; use --resume, --force or another --run-dir"});
  CHECK(fs::exists(here / "run/checkpoints/pretrain/model.safetensors"));
}

TEST_CASE("a loss that is no number ends the run with exit 6, saying where") {
  const Workspace here;
  const Words words = {"train", "tiny.yaml", "--run-dir", "run", "pretrain.lr=1e30"};
  check_error(here, words, 6,
              {"loss is NaN in stage pretrain at epoch 1 step ", " (lr 1e+30, largest gradient ",
               "; lower pretrain.lr. "
               "There is no checkpoint before it"});
  CHECK(status_of(here / "run") == "failed 6");
  CHECK_THAT(text_of(here / "run/train.log"),
             Catch::Contains(" error: loss is NaN in stage pretrain at epoch 1 step "));
  CHECK_THAT(here.must({"report", "run"}).out, Catch::Contains("failed (exit 6)"));

  check_error(here, {"train", "tiny.yaml", "--run-dir", "late", "bsq.lr=1e38"}, 6, {" in stage bsq ", "lower bsq.lr"});
  CHECK(status_of(here / "late") == "failed 6");
  CHECK_FALSE(has_leftovers(here / "late"));
  here.must({"eval", "late"});  // what was good stays good
  here.must({"eval", "late/checkpoints/pretrain_best"});
}

TEST_CASE("everything pruned away ends the run with exit 6, saying when") {
  const Workspace here;
  check_error(
      here, {"train", "tiny.yaml", "--run-dir", "run", "bsq.alpha=1e6"}, 6,
      {"every layer is pruned to zero at the re-quantization after epoch ", " of stage bsq; lower bsq.alpha (1e+06)"});
  CHECK(status_of(here / "run") == "failed 6");
  here.must({"eval", "run"});
  // The same again on resuming, and a key that would help may not be changed there.
  check_error(here, {"train", "--resume", "run"}, 6, {"every layer is pruned to zero"});
  check_error(here, {"train", "--resume", "run", "bsq.alpha=1"}, 4, {"bsq.alpha 1000000 in the run, 1 now"});
}
