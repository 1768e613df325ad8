// Ranks with a GPU each: the devices are emulated (tests/cuda_on_host), NCCL is a stand-in
// (tests/program/stand_ins/nccl.cpp) that computes, so that whole runs can be compared with those on CPUs.
#include "tests/ranks/launch.h"
#include "tests/support/emulated_gpu.h"

#include <cstdlib>

namespace bsq::test {
namespace {

const Words kTrain = {"train", "tiny.yaml", "--run-dir", "run", "device=cuda"};

/// Programs that find the emulated device, MPI and the stand-in for NCCL, under mpirun.
class EmulatedGpus {
 public:
  EmulatedGpus() {
    gpu_.tree()
        .with_file("lib", fs::path(BSQ_PROGRAM).parent_path().parent_path() / "lib" / "libbsq_mpi.so")
        .with_file("bin", fs::read_symlink("/proc/self/exe"));
  }

  fs::path bsq() { return gpu_.tree().program(); }
  fs::path tests() { return gpu_.tree().program(fs::read_symlink("/proc/self/exe").filename()); }

  /// Of mpirun. `nccl`: the folder where libnccl.so.2 is.
  Setup setup(const Workspace& here, const std::string& device = "count=2", const fs::path& nccl = stand_in("nccl")) {
    Setup setup = mpirun_setup(here.path());
    for (const auto& [name, value] : gpu_.setup(here, device).environment) setup.environment[name] = value;
    const char* others = std::getenv("LD_LIBRARY_PATH");
    setup.environment["LD_LIBRARY_PATH"] = nccl.string() + (others == nullptr ? "" : std::string(":") + others);
    return setup;
  }
  /// Runs bsq and requires the exit code.
  Outcome run(int ranks, const Words& words, const Setup& setup, int exit_code) {
    const Words all = ranks_of_bsq(ranks, words, bsq());
    Outcome outcome = test::run(all, setup);
    INFO(describe(all, outcome));
    REQUIRE(outcome.exit_code == exit_code);
    return outcome;
  }
  /// Two ranks, each with a variable of its own.
  Outcome run_two(const Words& words, const std::string& first, const std::string& second, const Setup& setup,
                  int exit_code) {
    Words all = {"-np", "1", "-x", first, bsq()};
    all.insert(all.end(), words.begin(), words.end());
    const Words other = {":", "-np", "1", "-x", second, bsq()};
    all.insert(all.end(), other.begin(), other.end());
    all.insert(all.end(), words.begin(), words.end());
    Outcome outcome = test::run(all, setup);
    INFO(describe(all, outcome));
    REQUIRE(outcome.exit_code == exit_code);
    return outcome;
  }

 private:
  EmulatedGpu gpu_;
};

bool is_missing() {
  if (EmulatedGpu::is_missing()) return true;
  if (fs::exists(stand_in("nccl") / "libnccl.so.2")) return false;
  WARN("SKIPPED: needs NCCL's header, for the stand-in");
  return true;
}

}  // namespace

TEST_CASE("on a GPU a rank, gradients and statistics are those of the whole batch, wherever a graph puts reductions") {
  BSQ_NEEDS_RANKS();
  if (is_missing()) return;
  const Workspace here;
  EmulatedGpus gpus;
  const std::string order = GENERATE("aside_first=0", "aside_first=1");
  INFO(order);
  Setup setup = gpus.setup(here, "count=4 " + order);
  setup.environment["BSQ_TEST_DEVICE"] = "cuda";
  check_on_ranks(2, "worker: reduced gradients", setup, gpus.tests());
  check_on_ranks(2, "worker: the same bits after training", setup, gpus.tests());
  check_on_ranks(2, "worker: synchronised batch norm", setup, gpus.tests());
}

TEST_CASE("two ranks on GPUs come to what two ranks on CPUs come to, and to the same bits every time", "[slow]") {
  BSQ_NEEDS_RANKS();
  if (is_missing()) return;
  const Workspace here;
  EmulatedGpus gpus;
  Setup setup = gpus.setup(here);
  setup.environment["NCCL_PROTO"] = "Simple";
  // A quantized activation that falls the other way on the other device would be a step, and training makes it larger.
  const Words train = {"train", "tiny.yaml", "device=auto", "quant.act_bits=0", "--run-dir", "gpus"};
  const Outcome outcome = gpus.run(2, train, setup, 0);
  CHECK_THAT(outcome.err, Catch::Contains("\ndevice: cuda, CUDA on host, ") &&
                              Catch::Contains("ranks: 2 processes (") &&
                              Catch::Contains(", NCCL 2.99.1; NCCL_PROTO=Simple); "));
  REQUIRE(run_ranks(2, {"train", "tiny.yaml", "device=cpu", "quant.act_bits=0", "--run-dir", "cpus"}, here.path())
              .exit_code == 0);
  check_similar_epochs(here / "cpus", here / "gpus");
  gpus.run(2, {"train", "tiny.yaml", "device=auto", "quant.act_bits=0", "--run-dir", "again"}, setup, 0);
  check_same_run(here / "gpus", here / "again");
}

TEST_CASE("two ranks on GPUs train in bf16, where filter gradients wait for their sums, as with the vendor's kernels",
          "[slow]") {
  BSQ_NEEDS_RANKS();
  if (is_missing()) return;
  const Workspace here;
  EmulatedGpus gpus;
  const auto train = [&](const std::string& name, const char* convolutions, const char* device = "count=2") {
    Setup setup = gpus.setup(here, device);
    setup.environment["BSQ_CONVOLUTION"] = convolutions;
    gpus.run(2,
             {"train", "tiny.yaml", "device=cuda", "precision=bf16", "model.width=16", "quant.act_bits=0",
              "stages=[pretrain]", "data.synthetic_train=32", "data.crop_padding=0", "--run-dir", name},
             setup, 0);
  };
  train("own", "own");                             // these leave sums for norms as well
  train("again", "own", "count=2 aside_first=1");  // reductions as early as they may come
  train("vendor", "vendor");
  check_same_run(here / "own", here / "again");
  constexpr double kOfBf16 = 1e-3;  // sums in another order move some activations to the next bf16
  check_similar_epochs(here / "vendor", here / "own", kOfBf16);
}

TEST_CASE("with `auto` all ranks take the CPU where one has no GPU, and it is said which") {
  BSQ_NEEDS_RANKS();
  if (is_missing()) return;
  const Workspace here;
  EmulatedGpus gpus;
  const Outcome outcome = gpus.run_two({"train", "tiny.yaml", "--dry-run"}, "BSQ_CUDA_ON_HOST_DEVICE=count=2",
                                       "BSQ_CUDA_ON_HOST_DEVICE=count=0", gpus.setup(here), 0);
  CHECK_THAT(outcome.err, Catch::Contains("\nno GPU is used: rank 1: device: cuda: cudaErrorNoDevice (") &&
                              Catch::Contains("\ndevice: cpu, "));
}

TEST_CASE("a GPU is one rank's: more ranks than GPUs are an error, ranks that see one each are none") {
  BSQ_NEEDS_RANKS();
  if (is_missing()) return;
  const Workspace here;
  EmulatedGpus gpus;
  const Outcome outcome = gpus.run(3, kTrain, gpus.setup(here, "count=2"), 5);
  CHECK_THAT(error_of(outcome),
             Catch::StartsWith("error: device: cuda: 3 ranks on ") &&
                 Catch::Contains(" see 2 GPUs, ranks 0 and 2 would share one; start one rank per GPU, make more GPUs "
                                 "visible to them (CUDA_VISIBLE_DEVICES, srun --gpus-per-task=1), or set device: cpu"));
  CHECK_FALSE(fs::exists(here / "run"));
  const Outcome each =
      gpus.run_two({"train", "tiny.yaml", "--dry-run", "device=cuda"}, "BSQ_CUDA_ON_HOST_DEVICE=count=1 first_uuid=5",
                   "BSQ_CUDA_ON_HOST_DEVICE=count=1 first_uuid=6", gpus.setup(here), 0);
  CHECK_THAT(each.err, Catch::Contains("\ndevice: cuda, CUDA on host, "));
}

TEST_CASE("without NCCL on one of them ranks on GPUs do not train, a single process and an evaluation do", "[slow]") {
  BSQ_NEEDS_RANKS();
  if (is_missing()) return;
  const Workspace here;
  EmulatedGpus gpus;
  const auto refuses = [&](const fs::path& folder, const std::string& why) {
    const std::string variable = "LD_LIBRARY_PATH=" + folder.string();
    const Outcome outcome = gpus.run_two(kTrain, "BSQ_CUDA_ON_HOST_DEVICE=count=2", variable, gpus.setup(here), 5);
    CHECK_THAT(error_of(outcome),
               Catch::StartsWith("error: device: cuda: 2 ranks on GPUs need NCCL, and rank 1 has none: ") &&
                   Catch::Contains(why) && Catch::EndsWith("start a single process, or set device: cpu"));
    CHECK_FALSE(fs::exists(here / "run"));
  };
  put_text(here / "broken/libnccl.so.2", "This is no library, whatever its name says. It has some text in it.\n");
  refuses(here / "broken", "broken/libnccl.so.2: ");
  refuses(stand_in("old_nccl"), "libnccl.so.2 is too old, it has no ncclGetVersion; ");

  const Setup without = gpus.setup(here, "count=2", here / "broken");
  gpus.run(1, kTrain, without, 0);
  CHECK_THAT(gpus.run(2, {"eval", "run", "device=cuda"}, without, 0).err, Catch::Contains("device: cuda, "));
  CHECK_THAT(gpus.run(1, {"info"}, without, 0).out,
             Catch::Contains("\n           no NCCL, which several ranks need: "));
  CHECK_THAT(gpus.run(1, {"info"}, gpus.setup(here), 0).out, Catch::Contains("\n           NCCL 2.99.1\n"));
}

TEST_CASE("what NCCL refuses ends the run with exit 5, its own words, and where to find more") {
  BSQ_NEEDS_RANKS();
  if (is_missing()) return;
  const Workspace here;
  EmulatedGpus gpus;
  Setup setup = gpus.setup(here);
  setup.environment["BSQ_STAND_IN_NCCL"] = "fails=ncclCommInitRank error=2";
  CHECK_THAT(error_of(gpus.run(2, kTrain, setup, 5)),
             Catch::StartsWith("error: NCCL: ncclCommInitRank: unhandled system error (the stand-in was told to); is "
                               "another rank gone, or the network between the machines down? NCCL_DEBUG=INFO in the "
                               "environment says more; "));
  setup.environment["BSQ_STAND_IN_NCCL"] = "fails=ncclAllReduce error=3";
  CHECK_THAT(error_of(gpus.run(2, kTrain, setup, 5)),
             Catch::StartsWith("error: NCCL: ncclAllReduce: another error (the stand-in was told to); NCCL_DEBUG=INFO "
                               "in the environment says more; `bsq train --resume RUN`"));
  CHECK(status_of(here / "run") == "failed 5");
}

TEST_CASE("a reduction that another GPU has left ends the run, though nothing but NCCL itself knows it") {
  BSQ_NEEDS_RANKS();
  if (is_missing()) return;
  const Workspace here;
  EmulatedGpus gpus;
  Setup setup = gpus.setup(here);
  setup.environment["BSQ_STAND_IN_NCCL"] = "good_sums=30";  // on both ranks, in the middle of an epoch
  CHECK_THAT(error_of(gpus.run(2, kTrain, setup, 5)),
             Catch::StartsWith("error: NCCL: a reduction under way: remote process exited or there was a network error "
                               "(the stand-in was told to); is another rank gone, or the network between the machines "
                               "down? NCCL_DEBUG=INFO in the environment says more; the run ends. "));
  CHECK(status_of(here / "run") == "failed 5");
}

}  // namespace bsq::test
