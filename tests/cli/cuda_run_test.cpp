// The program on `device: cuda`, the device being the emulation of tests/cuda_on_host: a run that goes well, and
// devices that are full, too old, or lost in the middle of it.
#include "tests/cli/program_tree.h"

#include <sstream>

using namespace bsq::test;

namespace {

const fs::path kEmulated = stand_in("emulated") / "libbsq_cuda.so";

/// The program with the emulated device; `device` is for BSQ_CUDA_ON_HOST_DEVICE, see emulator/device.h.
class EmulatedGpu {
 public:
  EmulatedGpu() { tree_.with_plugin(kEmulated).with_variable("BSQ_CUDA_FORCE_LOAD", "1"); }

  Setup setup(const Workspace& here, const std::string& device = "") const {
    Setup setup = tree_.setup(here);
    setup.environment["BSQ_CUDA_ON_HOST_DEVICE"] = device;
    // LeakSanitizer's tracer stumbles now and then over a process that has switched stacks.
    setup.environment["ASAN_OPTIONS"] = "detect_leaks=0";
    return setup;
  }
  /// Runs and requires the exit code.
  Outcome run(const Workspace& here, const Words& words, int exit_code, const std::string& device = "") const {
    Outcome outcome = bsq::test::run(words, setup(here, device));
    INFO(describe(words, outcome));
    REQUIRE(outcome.exit_code == exit_code);
    return outcome;
  }

 private:
  ProgramTree tree_;
};

bool is_missing() {
  if (fs::exists(kEmulated)) return false;
  WARN("SKIPPED: needs CUDA's headers, for the emulation");
  return true;
}

/// The only line of an error.
std::string error_of(const Outcome& outcome) {
  std::vector<std::string> errors;
  for (const std::string& line : lines_of(outcome.err))
    if (line.starts_with("error: ")) errors.push_back(line);
  REQUIRE(errors.size() == 1);
  return errors[0];
}

struct Epoch {
  std::string stage;
  double loss = 0;
  double penalty = 0;
  double bits = 0;
};

std::vector<Epoch> epochs_of(const fs::path& run) {
  const std::vector<std::string> lines = lines_of(text_of(run / "metrics.csv"));
  REQUIRE(lines.at(0).starts_with(
      "stage,epoch,step,learning_rate,train_loss,train_penalty,train_top1,test_loss,test_top1,test_top5,"
      "bits_per_parameter,"));
  std::vector<Epoch> epochs;
  for (std::size_t i = 1; i < lines.size(); ++i) {
    std::vector<std::string> fields;
    std::istringstream line(lines[i]);
    for (std::string field; std::getline(line, field, ',');) fields.push_back(field);
    epochs.push_back({fields.at(0), std::stod(fields.at(4)), std::stod(fields.at(5)), std::stod(fields.at(10))});
  }
  return epochs;
}

}  // namespace

TEST_CASE("all stages on an emulated GPU come to what they come to on the CPU") {
  if (is_missing()) return;
  const Workspace here;
  const EmulatedGpu gpu;
  const Outcome outcome = gpu.run(here, {"train", "tiny.yaml", "--run-dir", "gpu", "device=auto"}, 0);
  CHECK_THAT(outcome.err, Catch::Contains("\ndevice: cuda, CUDA on host, ") && !Catch::Contains("no GPU is used"));
  here.train("cpu", {"device=cpu"});
  const auto found = epochs_of(here / "gpu");
  const auto expected = epochs_of(here / "cpu");
  REQUIRE(expected.size() == 7);
  REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    INFO("epoch " << i + 1);
    CHECK(found[i].stage == expected[i].stage);
    CHECK(found[i].loss == Approx(expected[i].loss).epsilon(i == 0 ? 1e-4 : 0.01));  // runs drift apart
    CHECK(found[i].penalty == Approx(expected[i].penalty).epsilon(0.05));
    CHECK(found[i].bits == Approx(expected[i].bits).epsilon(0.1));
  }
  CHECK_THAT(gpu.run(here, {"info"}, 0).out,
             Catch::Contains("\ndevice     cuda, CUDA on host, ") && Catch::Contains("\ncuda       driver for CUDA ") &&
                 Catch::Contains("\n           0: CUDA on host, 16.0 GiB, compute capability 9.0\n"));
}

TEST_CASE("a GPU that is too old, missing or in other hands is said to be so, and auto takes the CPU") {
  if (is_missing()) return;
  const Workspace here;
  const EmulatedGpu gpu;
  check_no_cuda(here, gpu.setup(here, "capability=75"),
                {"device: cuda: CUDA on host has compute capability 7.5, bsq needs 8.0; ", "or set device: cpu"});
  check_no_cuda(here, gpu.setup(here, "count=0"), {"device: cuda: cudaErrorNoDevice (no CUDA-capable device"});
  check_no_cuda(
      here, gpu.setup(here, "fails=cudaSetDevice error=46"),
      {"cudaErrorDevicesUnavailable", "; end the program that holds the GPU (nvidia-smi), or set device: cpu"});
}

TEST_CASE("a GPU whose memory is too small ends the run with what was wanted, what is free, and what to try") {
  if (is_missing()) return;
  const Workspace here;
  const EmulatedGpu gpu;
  const Outcome outcome = gpu.run(here, {"train", "tiny.yaml", "--run-dir", "run", "device=cuda"}, 5, "memory_mib=1");
  CHECK_THAT(error_of(outcome),
             Catch::Matches("error: out of device memory: wanted [0-9.]+ MiB, [0-9.]+ MiB are free of "
                            "1\\.0; try a smaller data\\.batch_size, .*"));
  CHECK(status_of(here / "run") == "failed 5");
}

TEST_CASE("a GPU lost in the middle of a run ends it with the first error, its checkpoint is as good as ever") {
  if (is_missing()) return;
  const Workspace here;
  const EmulatedGpu gpu;
  const Words train = {"train", "tiny.yaml", "device=cuda", "stages=[pretrain]", "pretrain.epochs=4", "--run-dir"};
  const auto into = [&](const char* run_dir) {
    Words words = train;
    words.push_back(run_dir);
    return words;
  };
  const Outcome outcome = gpu.run(here, into("lost"), 5, "good_grids=500");
  CHECK_THAT(
      error_of(outcome),
      Catch::StartsWith("error: kernels/cuda/cuda_backend.cpp:") &&
          Catch::Contains("cudaErrorIllegalAddress (an illegal memory access was encountered)") &&
          Catch::Contains("it is an earlier kernel that went wrong, compute-sanitizer says which; please report it"));
  CHECK(outcome.err.ends_with(error_of(outcome) + "\n"));
  CHECK(status_of(here / "lost") == "failed 5");
  CHECK_FALSE(has_leftovers(here / "lost"));
  CHECK_THAT(text_of(here / "lost" / "train.log"), Catch::Contains("cudaErrorIllegalAddress"));
  here.must({"eval", "lost/checkpoints/last", "device=cpu"});

  gpu.run(here, {"train", "--resume", "lost"}, 0);
  gpu.run(here, into("straight"), 0);
  check_same_run(here / "straight", here / "lost");
}
