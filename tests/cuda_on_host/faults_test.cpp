// What the CUDA backend makes of a device that is missing, too old, full, or lost in the middle of the work.
#include "kernels/base/error.h"
#include "kernels/cuda/check.h"
#include "kernels/cuda/plugin.h"
#include "tests/cuda_on_host/emulator/device.h"
#include "tests/cuda_on_host/emulator/runtime.h"
#include "tests/cuda_on_host/host_math.h"
#include "tests/cuda_on_host/message_of.h"
#include "tests/support/catch.h"

#include <vector>

extern "C" const bsq::cuda::Plugin* bsq_cuda_plugin();

namespace bsq::test {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

/// The device of a test; afterwards there is a good one again.
class DeviceOfTest {
 public:
  explicit DeviceOfTest(const cuda_on_host::Device& device) { set(device); }
  DeviceOfTest(const DeviceOfTest&) = delete;
  DeviceOfTest& operator=(const DeviceOfTest&) = delete;
  ~DeviceOfTest() {
    set({});
    cudaGetLastError();
  }
  static void set(const cuda_on_host::Device& device) { cuda_on_host::set_device(device); }
};

/// Eight floats of a backend, and a kernel that steps them.
struct Parameter {
  explicit Parameter(Backend& its_backend) : backend(its_backend) {
    for (float*& data : {std::ref(gradient), std::ref(values), std::ref(momentum)}) {
      data = static_cast<float*>(backend.allocate(kBytes));
      backend.fill_zero(data, kBytes);
    }
    inputs = static_cast<StepInputs*>(backend.allocate(sizeof(StepInputs)));
    backend.fill_zero(inputs, sizeof(StepInputs));
  }
  Parameter(const Parameter&) = delete;
  Parameter& operator=(const Parameter&) = delete;
  ~Parameter() { release(); }

  void step() const { backend.sgd_step({8, {.momentum = 0, .weight_decay = 0}, inputs, gradient, values, momentum}); }
  std::vector<float> get() const {
    std::vector<float> host(8, -1.0F);
    backend.download(host.data(), values, kBytes);
    return host;
  }
  void release() const {
    for (void* data : {static_cast<void*>(gradient), static_cast<void*>(values), static_cast<void*>(momentum),
                       static_cast<void*>(inputs)})
      backend.release(data);
  }

  static constexpr std::size_t kBytes = 8 * sizeof(float);
  Backend& backend;
  float* gradient = nullptr;
  float* values = nullptr;
  float* momentum = nullptr;
  StepInputs* inputs = nullptr;
};

TEST_CASE("the plug-in says which devices there are, and makes a backend on the first") {
  const DeviceOfTest two({.count = 2, .capability = 80, .memory_mib = 1536});
  const std::string text = bsq_cuda_plugin()->describe();
  CHECK_THAT(text, Catch::StartsWith("driver for CUDA " + std::to_string(CUDART_VERSION / 1000) + "." +
                                     std::to_string(CUDART_VERSION % 1000 / 10) + ", no libraries\n"));
  CHECK_THAT(text, Catch::Contains("\nNCCL 2.") || Catch::Contains("\nno NCCL, which several ranks need: "));
  CHECK_THAT(text, Catch::EndsWith("\n0: CUDA on host, 1.5 GiB, compute capability 8.0"
                                   "\n1: CUDA on host, 1.5 GiB, compute capability 8.0"));
  CHECK_THAT(bsq_cuda_plugin()->make_backend({})->describe(),
             Catch::StartsWith("cuda, CUDA on host, compute capability 8.0, "));
}

TEST_CASE("a device that cannot be used is an error that says why and what to do") {
  struct Case {
    cuda_on_host::Device device;
    const char* why;
    const char* what_to_do;
  };
  const auto failing = [](const char* call, cudaError_t error) {
    return cuda_on_host::Device{.fails = call, .error = error};
  };
  const Case cases[] = {
      {{.count = 0},
       "device: cuda: cudaErrorNoDevice (no CUDA-capable device is detected)",
       "; is a GPU visible to this process (nvidia-smi, CUDA_VISIBLE_DEVICES)? or set device: cpu"},
      {failing("cudaGetDeviceCount", cudaErrorInsufficientDriver),
       "device: cuda: the driver serves CUDA 12.4, bsq needs 13.", "; update the NVIDIA driver, or set device: cpu"},
      {failing("cudaGetDeviceCount", cudaErrorUnknown),
       "device: cuda: ", "see what nvidia-smi says, or set device: cpu"},
      {{.capability = 75},
       "device: cuda: CUDA on host has compute capability 7.5, bsq needs 8.0",
       "; choose another GPU with CUDA_VISIBLE_DEVICES, or set device: cpu"},
      {failing("cudaSetDevice", cudaErrorMemoryAllocation),
       ": cudaSetDevice(device): cudaErrorMemoryAllocation (out of memory)",
       "or end what else uses the GPU's memory (nvidia-smi)"},
      {failing("cudaStreamCreateWithFlags", cudaErrorDevicesUnavailable),
       ": cudaErrorDevicesUnavailable (CUDA-capable device(s) is/are busy or unavailable)",
       "; end the program that holds the GPU (nvidia-smi), or set device: cpu"}};
  for (const auto& [device, why, what_to_do] : cases) {
    INFO(why);
    const DeviceOfTest unusable(device);
    const std::string message = message_of([] { bsq_cuda_plugin()->make_backend({}); });
    CHECK_THAT(message, Catch::Contains(why) && Catch::EndsWith(what_to_do));
    CHECK(message.find('\n') == std::string::npos);
  }
}

TEST_CASE("a size that the driver takes for nonsense is one that does not fit") {
  const auto backend = make_cuda_backend_on_host();
  const DeviceOfTest refusing({.fails = "cudaMalloc", .error = cudaErrorInvalidValue});
  CHECK_THAT(message_of([&] { backend->allocate(kMiB); }),
             Catch::StartsWith("out of device memory: wanted 1.0 MiB, ") && Catch::Contains(" are free of "));
  CHECK(cudaGetLastError() == cudaSuccess);
}

TEST_CASE("a full device says what was wanted and what is free, and serves what still fits") {
  const auto backend = make_cuda_backend_on_host();
  const DeviceOfTest small({.memory_mib = 4});
  void* half = backend->allocate(2 * kMiB);
  CHECK(
      message_of([&] { backend->allocate(3 * kMiB); }) ==
      "out of device memory: wanted 3.0 MiB, 2.0 MiB are free of 4.0; try a smaller data.batch_size, or end what else "
      "uses the GPU's memory (nvidia-smi)");
  const Parameter parameter(*backend);  // the failure is not reported once more
  parameter.step();
  CHECK(parameter.get() == std::vector<float>(8, 0.0F));
  backend->release(half);
  backend->release(backend->allocate(3 * kMiB));
}

TEST_CASE("a refused launch is named with its place, and the device can be used on") {
  const auto backend = make_cuda_backend_on_host();
  const Parameter parameter(*backend);
  {
    const DeviceOfTest refusing({.fails = "cudaLaunchKernelExC", .error = cudaErrorNoKernelImageForDevice});
    CHECK_THAT(message_of([&] { parameter.step(); }),
               Catch::StartsWith("kernels/cuda/ops/sgd.cu:") && Catch::Contains(": launch of ") &&
                   Catch::EndsWith("cudaErrorNoKernelImageForDevice (no kernel image is available for execution on the "
                                   "device); build bsq for this GPU (CMAKE_CUDA_ARCHITECTURES), or set device: cpu"));
    // Also in a capture, which the stream must be out of afterwards.
    CHECK_THAT(message_of([&] { backend->capture([&] { parameter.step(); }); }), Catch::Contains(": launch of "));
  }
  parameter.step();
  CHECK(parameter.get() == std::vector<float>(8, 0.0F));
}

TEST_CASE("after an illegal access every call fails alike, and nothing that is given back makes it worse") {
  auto backend = make_cuda_backend_on_host();
  {
    const Parameter parameter(*backend);
    auto captured = backend->capture([&] { parameter.step(); });
    const DeviceOfTest lost({.good_grids = 0});
    captured->replay();  // goes wrong, but on the device: the next call is told
    const std::string first = message_of([&] { static_cast<void>(parameter.get()); });
    CHECK_THAT(
        first,
        Catch::StartsWith("kernels/cuda/cuda_backend.cpp:") &&
            Catch::Contains(": cudaErrorIllegalAddress (an illegal memory access was encountered); ") &&
            Catch::Contains("it is an earlier kernel that went wrong, compute-sanitizer says which; please report it"));
    const std::function<void()> calls[] = {
        [&] { parameter.step(); },
        [&] { captured->replay(); },
        [&] { backend->synchronize(); },
        [&] { backend->allocate(64); },
        [&] { backend->fill_zero(parameter.values, 4); },
        [&] { backend->capture([&] { parameter.step(); }); },
        [&] { make_cuda_backend_on_host(); },
    };
    for (const auto& call : calls) CHECK_THAT(message_of(call), Catch::Contains("cudaErrorIllegalAddress"));
    captured.reset();
    parameter.release();
  }  // with a good device again, the memory is really given back
  backend.reset();
}

TEST_CASE("a library's error names the error of CUDA beneath it, which came first") {
  const auto fail_memory = [](bool is_out_of_memory) {
    return message_of([&] {
      cuda::fail_library("CUDNN_STATUS_EXECUTION_FAILED", is_out_of_memory, "cudnnBackendExecute(handle)",
                         "/a/kernels/cuda/vendor/cudnn.cpp", 7);
    });
  };
  const std::string begin =
      "kernels/cuda/vendor/cudnn.cpp:7: cudnnBackendExecute(handle): CUDNN_STATUS_EXECUTION_FAILED";
  CHECK(fail_memory(false) == begin + "; " + cuda::kReportIt);
  CHECK_THAT(fail_memory(true), Catch::StartsWith(begin + "; try a smaller data.batch_size"));

  const auto backend = make_cuda_backend_on_host();
  const Parameter parameter(*backend);
  const DeviceOfTest lost({.good_grids = 0});
  parameter.step();
  CHECK_THAT(fail_memory(false), Catch::StartsWith(begin + ", after cudaErrorIllegalAddress (an illegal"));
}

}  // namespace
}  // namespace bsq::test
