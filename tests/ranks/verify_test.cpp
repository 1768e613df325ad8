// A run of several ranks is verified by as many.
#include "tests/ranks/launch.h"
#include "tests/support/workspace.h"

namespace bsq::test {

TEST_CASE("a run of two ranks is verified by two, and refuted where a bit is another one") {
  BSQ_NEEDS_RANKS();
  const Workspace here;
  REQUIRE(run_ranks(2, {"train", "tiny.yaml", "--run-dir", "run", "checkpoint.keep_last=2"}, here.path()).exit_code ==
          0);
  const Words verify = {"verify", "run", "--epochs", "all", "-q"};
  const Outcome same = run_ranks(2, verify, here.path());
  INFO(describe(verify, same));
  CHECK(same.exit_code == 0);
  CHECK_THAT(same.out, Catch::Contains("\nverified: 7 of the 7 epochs of run ") &&
                           Catch::Contains("checkpoints/epoch_0010") &&
                           Catch::Contains("ranks are those of the run\n"));

  const std::string events = text_of(here / "run/metrics.jsonl");
  const std::string place = R"("stage":"finetune","epoch":1,"state_hash":")";
  const std::size_t at = events.find(place) + place.size();
  edit_text(here / "run/metrics.jsonl", events.substr(at, 16), "0123456789abcdef");
  const Outcome other = run_ranks(2, verify, here.path());
  INFO(describe(verify, other));
  CHECK(other.exit_code == 7);
  CHECK_THAT(other.err, Catch::Contains("error: run: epoch 1 of finetune: repeated from checkpoints/bsq: the hash of "
                                        "its state is 0123456789abcdef in the log, "));
  CHECK_THAT(other.out, Catch::Contains("\nNOT verified: 5 of the 7 epochs of run "));
}

TEST_CASE("one process says that a run of two ranks had two") {
  BSQ_NEEDS_RANKS();
  const Workspace here;
  REQUIRE(run_ranks(2, {"train", "tiny.yaml", "--run-dir", "run", "stages=[pretrain]"}, here.path()).exit_code == 0);
  const Outcome alone = here.run({"verify", "run", "-q"});
  INFO(alone.err);
  CHECK(alone.exit_code == 7);
  CHECK_THAT(alone.err, Catch::StartsWith(
                            "warning: bits may be others than those of the run: world_size: 2 of the run, 1 here\n"));
}

}  // namespace bsq::test
