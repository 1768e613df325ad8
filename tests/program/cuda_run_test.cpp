// The program on `device: cuda`, the device being the emulation of tests/cuda_on_host: a run that goes well, and
// devices that are full, too old, or lost in the middle of it.
#include "tests/support/emulated_gpu.h"

using namespace bsq::test;

TEST_CASE("all stages on an emulated GPU come to what they come to on the CPU") {
  if (EmulatedGpu::is_missing()) return;
  const Workspace here;
  const EmulatedGpu gpu;
  const Outcome outcome = gpu.run(here, {"train", "tiny.yaml", "--run-dir", "gpu", "device=auto"}, 0);
  CHECK_THAT(outcome.err, Catch::Contains("\ndevice: cuda, CUDA on host, ") && !Catch::Contains("no GPU is used"));
  here.train("cpu", {"device=cpu"});
  check_similar_epochs(here / "cpu", here / "gpu");
  CHECK_THAT(gpu.run(here, {"info"}, 0).out,
             Catch::Contains("\ndevice     cuda, CUDA on host, ") && Catch::Contains("\ncuda       driver for CUDA ") &&
                 Catch::Contains("\n           0: CUDA on host, 16.0 GiB, compute capability 9.0\n"));
}

TEST_CASE("a GPU that is too old, missing or in other hands is said to be so, and auto takes the CPU") {
  if (EmulatedGpu::is_missing()) return;
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
  if (EmulatedGpu::is_missing()) return;
  const Workspace here;
  const EmulatedGpu gpu;
  const Outcome outcome = gpu.run(here, {"train", "tiny.yaml", "--run-dir", "run", "device=cuda"}, 5, "memory_mib=1");
  CHECK_THAT(error_of(outcome),
             Catch::Matches("error: out of device memory: wanted [0-9.]+ MiB, [0-9.]+ MiB are free of "
                            "1\\.0; try a smaller data\\.batch_size, .*"));
  CHECK(status_of(here / "run") == "failed 5");
}

TEST_CASE("a GPU lost in the middle of a run ends it with the first error, its checkpoint is as good as ever") {
  if (EmulatedGpu::is_missing()) return;
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
