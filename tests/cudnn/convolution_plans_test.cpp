// What cuDNN would run on a GPU, asked without one: it plans for a device that is described to it.
//
// Engines that are compiled when they are first used drop out where there is no driver, so that a machine with a GPU
// may find more than is found here, never less.
#include "bench/large_cases.h"
#include "kernels/cuda/convolution_plans.h"
#include "tests/support/catch.h"

#include <fmt/format.h>

namespace bsq::cuda {
namespace {

using cases::ConvCase;

struct Gpu {
  std::string name;
  int compute_capability;  // times 100
  int multiprocessors;
  int shared_bytes_at_most;  // of a block that asks for it
  std::int64_t memory_bytes;
  int l2_bytes;
  int clock_khz;
  int memory_clock_khz;

  /// As cuDNN describes devices.
  std::string json() const {
    return fmt::format(
        R"({{"cudaDeviceId":0,"deviceVer":{},"driverVer":13000,"totalGlobalMem":{},"maxGridSize":[2147483647,65535,65535],)"
        R"("maxBlockSize":[1024,1024,64],"regsPerBlock":65536,"multiProcessorCount":{},"warpSize":32,)"
        R"("maxSharedMemoryPerBlock":49152,"maxSharedMemoryPerBlockOptin":{},"reservedSharedMemoryPerBlock":1024,)"
        R"("maxRegistersPerSM":65536,"maxCtasPerSM":32,"maxThreadsPerBlock":1024,"maxThreadsPerSM":2048,"pciDeviceId":0,)"
        R"("isTccDriver":0,"supportCoopLaunch":1,"smClockRateKHz":{},"memClockRateKHz":{},"l2CacheSize":{},"deviceName":"{}"}})",
        compute_capability, memory_bytes, multiprocessors, shared_bytes_at_most, clock_khz, memory_clock_khz, l2_bytes,
        name);
  }
};

const std::vector<Gpu> kGpus = {
    {"NVIDIA H100 80GB HBM3", 900, 132, 232448, 85017493504, 52428800, 1980000, 2619000},
    {"NVIDIA A100-SXM4-80GB", 800, 108, 166912, 84974239744, 41943040, 1410000, 1593000},
};

/// A batch and a precision in which a case is planned.
struct Setting {
  int batch;
  DType dtype;
  bool allow_tf32;
};

constexpr Setting kSettings[] = {
    {128, DType::f32, false}, {128, DType::f32, true}, {128, DType::bf16, false}, {512, DType::bf16, false}};

std::vector<ConvCase> layers_of_networks() {
  std::vector<ConvCase> layers;
  for (const ConvCase& c : cases::conv_cases())
    if (c.layers > 0) layers.push_back(c);
  for (const ConvCase& c : cases::large_conv_cases()) layers.push_back(c);
  return layers;
}

void check_plans(const CudnnTarget& target, const ConvGeometry& geometry, bool allow_tf32) {
  INFO(geometry.batch << "x" << geometry.height << "x" << geometry.width << ", " << geometry.in_channels << " to "
                      << geometry.out_channels << " channels, kernel " << geometry.kernel << ", stride "
                      << geometry.stride << ", " << bsq::name_of(geometry.dtype) << (allow_tf32 ? ", tf32" : ""));
  const ConvolutionPlans plans = plan_convolution(target, geometry, allow_tf32);
  CHECK(plans.forward.has_value());
  CHECK(plans.backward_data.has_value());
  CHECK(plans.backward_weight.has_value());
  CHECK(plans.without_engine.empty());
  // Room for the workspace, and behind it for a gradient as large as the input, or for both operands in float32.
  const auto input = static_cast<std::size_t>(geometry.input_shape().numel());
  const auto output = static_cast<std::size_t>(geometry.output_shape().numel());
  for (const auto* plan : {&plans.forward, &plans.backward_data, &plans.backward_weight})
    if (plan->has_value()) CHECK((*plan)->workspace_bytes() <= plans.result_offset);
  CHECK(plans.result_offset + input * size_of(geometry.dtype) <= plans.scratch_bytes);
  if (!plans.widens_operands) return;
  CHECK(geometry.dtype == DType::bf16);
  CHECK(plans.result_offset + input * sizeof(float) <= plans.second_offset);
  CHECK(plans.second_offset + output * sizeof(float) <= plans.scratch_bytes);
}

}  // namespace

TEST_CASE("cuDNN has an engine for every pass of every layer, in every precision") {
  for (const Gpu& gpu : kGpus) {
    INFO(gpu.name);
    const CudnnTarget target(gpu.json());
    for (const ConvCase& c : layers_of_networks()) {
      for (const Setting& setting : kSettings) {
        ConvGeometry geometry = c.geometry(setting.dtype);
        geometry.batch = setting.batch;
        check_plans(target, geometry, setting.allow_tf32);
      }
    }
  }
}

TEST_CASE("cuDNN has an engine for every small convolution that the operators are tested with") {
  const CudnnTarget target(kGpus.front().json());
  for (const ConvCase& c : cases::conv_cases())
    for (const DType dtype : {DType::f32, DType::bf16}) check_plans(target, c.geometry(dtype), /*allow_tf32=*/false);
}

TEST_CASE("the filter gradient of bf16 tensors is computed in float32, from widened ones if need be") {
  const CudnnTarget target(kGpus.front().json());
  const ConvGeometry geometry = cases::conv_cases().front().geometry(DType::bf16);
  const std::optional<ConvolutionPlan> direct =
      ConvolutionPlan::find(target, geometry, ConvPass::backward_weight, {false, std::size_t{1} << 28});
  const ConvolutionPlans plans = plan_convolution(target, geometry, false);
  CHECK(plans.widens_operands == !direct.has_value());
}

TEST_CASE("a device that cuDNN cannot read is an error") {
  CHECK_THROWS(CudnnTarget("{}"));
}

}  // namespace bsq::cuda
