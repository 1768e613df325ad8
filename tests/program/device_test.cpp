// Devices that are not there: a sentence and exit 5, never another device instead.
#include "tests/support/workspace.h"

namespace fs = std::filesystem;
using namespace bsq::test;

namespace {

const fs::path kPlugin = fs::path(BSQ_PROGRAM).parent_path().parent_path() / "lib" / "libbsq_cuda.so";

bool has_driver() {
  return fs::exists("/dev/nvidiactl");
}

Outcome run_forced(const Workspace& here, const Words& words) {
  return run(words, {.folder = here.path(), .environment = {{"BSQ_CUDA_FORCE_LOAD", "1"}}});
}

}  // namespace

TEST_CASE("without a driver or without CUDA in the build, device cuda says which, and writes nothing") {
  if (has_driver()) {
    WARN("SKIPPED: there is an NVIDIA driver");
    return;
  }
  const Workspace here;
  const Outcome outcome = here.run({"train", "tiny.yaml", "--run-dir", "run", "device=cuda"});
  CHECK(outcome.exit_code == 5);
  CHECK_THAT(outcome.err, Catch::Contains("error: device: cuda: ") && Catch::Contains("set device: cpu"));
  CHECK_THAT(outcome.err, Catch::Contains(fs::exists(kPlugin) ? "no NVIDIA driver" : "built without CUDA"));
  CHECK_FALSE(fs::exists(here.path() / "run"));
  CHECK_THAT(here.must({"info"}).out, Catch::Contains("\ncuda       device: cuda: "));
}

TEST_CASE("the CUDA library loads without a driver when forced, and reports the device that is missing") {
  if (!fs::exists(kPlugin) || has_driver()) {
    WARN("SKIPPED: needs a build with CUDA and a machine without an NVIDIA driver");
    return;
  }
  const Workspace here;
  const Outcome outcome = run_forced(here, {"train", "tiny.yaml", "--run-dir", "run", "device=cuda"});
  CHECK(outcome.exit_code == 5);
  CHECK_THAT(outcome.err, Catch::Contains("error: device: cuda: cudaError"));
  CHECK_THAT(outcome.err, Catch::Contains("set device: cpu"));
  CHECK_FALSE(fs::exists(here.path() / "run"));
  CHECK_THAT(run_forced(here, {"info"}).out, Catch::Contains("\ncuda       device: cuda: cudaError"));
}
