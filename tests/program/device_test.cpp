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

TEST_CASE("OMP_NUM_THREADS is the number of threads where the configuration does not set one") {
  const Workspace here;
  edit_text(here / "tiny.yaml", "threads: 1\n", "device: cpu\nstages: [pretrain]\n");
  const auto device_line = [&](const Words& more, const std::string& variable) {
    Setup setup = here.setup();
    setup.environment["OMP_NUM_THREADS"] = variable;
    Words words = {"train", "tiny.yaml", "--run-dir", "run", "--force"};
    words.insert(words.end(), more.begin(), more.end());
    const Outcome outcome = run(words, setup);
    INFO(describe(words, outcome));
    REQUIRE(outcome.exit_code == 0);
    for (const std::string& line : lines_of(outcome.err))
      if (line.starts_with("device: ")) return line;
    return std::string();
  };
  const std::string one = device_line({}, "1");
  CHECK_THAT(one, Catch::StartsWith("device: cpu, 1 thread, "));
  if (contains(device_line({}, ""), " threads, "))  // more than one core is there
    CHECK_THAT(one, Catch::Contains("; 1 of ") && Catch::EndsWith(" cores because of OMP_NUM_THREADS"));
  CHECK_THAT(device_line({"threads=2"}, "1"),
             Catch::StartsWith("device: cpu, 2 threads, ") && !Catch::Contains("because"));
  CHECK(device_line({}, "none") == device_line({}, ""));
  CHECK(device_line({}, "100000") == device_line({}, ""));
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
