// Plans of the real cuDNN for devices that are described to it, and what must be true of them.
#pragma once

#include "kernels/cuda/vendor/convolution_plans.h"
#include "kernels/planned_passes.h"
#include "tests/support/catch.h"

#include <fmt/format.h>

#include <string>
#include <vector>

namespace bsq::test {

using cuda::ConvolutionPlanner;
using cuda::CudnnTarget;
using cuda::PlannedPass;

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

inline const std::vector<Gpu> kGpus = {
    {"NVIDIA H100 80GB HBM3", 900, 132, 232448, 85017493504, 52428800, 1980000, 2619000},
    {"NVIDIA A100-SXM4-80GB", 800, 108, 166912, 84974239744, 41943040, 1410000, 1593000},
};

inline std::size_t bytes_of(const Shape& shape, DType dtype) {
  return static_cast<std::size_t>(shape.numel()) * size_of(dtype);
}

inline ConvolutionPlanner planner_for(const Gpu& gpu, bool allow_tf32 = false) {
  return {CudnnTarget(gpu.json()), allow_tf32};
}

inline void plan(ConvolutionPlanner& planner, const ConvGeometry& geometry, const ConvPasses& passes = kAllPasses) {
  const ConvRequest request{geometry, passes};
  planner.plan({&request, 1});
}

inline void check_plans(const Gpu& gpu, const ConvGeometry& geometry, bool allow_tf32) {
  INFO(describe(geometry) << (allow_tf32 ? ", tf32" : ""));
  ConvolutionPlanner planner = planner_for(gpu, allow_tf32);
  plan(planner, geometry);
  CHECK(planner.notes() == std::vector<std::string>{});
  CHECK(planner.engines().size() == 3);
  for (const ConvPass pass : kEveryPass) {
    INFO(name_of(pass));
    const PlannedPass& planned = planner.find(geometry, pass);
    REQUIRE(planned.plan.has_value());
    const std::size_t workspace = planned.plan->workspace_bytes();
    CHECK(workspace <= planned.scratch_bytes);
    CHECK(planned.scratch_bytes <= planner.scratch_bytes(geometry, kAllPasses));
    // Behind the workspace: room for a gradient as large as the input, or for both operands in float32.
    if (pass == ConvPass::backward_data) {
      CHECK(workspace <= planned.result_offset);
      CHECK(planned.result_offset + bytes_of(geometry.input_shape(), geometry.dtype) <= planned.scratch_bytes);
    }
    if (!planned.widens_operands) continue;
    CHECK(pass == ConvPass::backward_weight);
    CHECK(geometry.dtype == DType::bf16);
    CHECK(workspace <= planned.result_offset);
    CHECK(planned.result_offset + bytes_of(geometry.input_shape(), DType::f32) <= planned.second_offset);
    CHECK(planned.second_offset + bytes_of(geometry.output_shape(), DType::f32) <= planned.scratch_bytes);
  }
}

}  // namespace bsq::test
