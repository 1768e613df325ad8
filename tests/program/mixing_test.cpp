// Batches whose images are mixed with each other, typed as users do.
#include "tests/support/trace.h"
#include "tests/support/workspace.h"

#include <csignal>

using namespace bsq::test;

TEST_CASE("a run with mixup and CutMix is killed, resumed, verified, and refuses to go on with other alphas") {
  const Workspace here;
  const Words mixing = {"data.mixup=0.2", "data.cutmix=1", "data.random_erasing=0.25"};
  here.train("whole", mixing);
  here.must({"verify", "whole"});
  check_error(here, {"train", "--resume", "whole", "data.mixup=0.4"}, 4, {"data.mixup 0.2 in the run, 0.4 now"});
  check_errors(here, {"train", "tiny.yaml", "data.batch_size=1", "data.cutmix=1"}, 2,
               {"override 2: data.cutmix = 1; mixes images of a batch with each other, and data.batch_size is 1",
                "1 error; nothing was written"});
  if (!can_trace()) {
    WARN("SKIPPED: this system does not let a process trace its children");
    return;
  }
  Words train = {"train", "tiny.yaml", "--run-dir", "run"};
  train.insert(train.end(), mixing.begin(), mixing.end());
  REQUIRE(signal_after("[T] bsq 2/3", SIGKILL, train, here.setup()).signal == SIGKILL);
  train.insert(train.end(), {"--resume", "auto"});
  here.must(train);
  check_same_run(here / "whole", here / "run");
}
