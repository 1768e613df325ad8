#include "bench/peaks.h"

#include "bench/arguments.h"

#include <limits>

namespace bsq::bench {
namespace {

constexpr double kSgdBytes = 20;  // per parameter: gradient, parameter and momentum in, the last two out
constexpr double kSgdFootprint = 12;

double best_update(Backend& backend, Stopwatch& stopwatch, std::int64_t numel) {
  Arguments arguments(backend);
  const StepInputs* inputs = arguments.step_inputs();
  const float* gradient = arguments.uniform(numel);
  float* parameter = arguments.uniform(numel);
  float* momentum = arguments.uniform(numel);
  return stopwatch.warm([&] { backend.sgd_step({numel, SgdRule{}, inputs, gradient, parameter, momentum}); }).fastest_s;
}

double best_product(const Type& type, Stopwatch& stopwatch) {
  Backend& backend = *type.backend;
  const DType dtype = dtype_of(type.precision);
  const ConvGeometry product{is_gpu(backend) ? 64 : 4, 32, 32, 1024, 1024, 1, 1, 0, dtype};
  Arguments arguments(backend);
  const void* input = arguments.uniform(dtype, product.input_shape());
  const void* weight = arguments.uniform(dtype, product.weight_shape());
  void* output = arguments.uniform(dtype, product.output_shape());
  void* scratch = arguments.scratch(backend.conv2d_scratch_bytes({product, kForwardPass}));
  return stopwatch.warm([&] {
                    backend.conv2d_forward({product, input, weight, output, scratch});
                  })
             .fastest_s /
         product.flops();
}

}  // namespace

Peaks measure_peaks(const std::vector<Type>& types, double seconds) {
  Peaks peaks;
  Backend& backend = *types.front().backend;
  Stopwatch stopwatch(backend, seconds);
  for (const double footprint : {1.0, 8.0, 32.0, 256.0}) {
    const double bytes = footprint * (1 << 20);
    const auto numel = static_cast<std::int64_t>(bytes / kSgdFootprint);
    peaks.bandwidths.push_back(
        {bytes, kSgdBytes * static_cast<double>(numel) / best_update(backend, stopwatch, numel)});
  }
  constexpr std::int64_t next_to_nothing = 16;
  peaks.call_s = best_update(backend, stopwatch, next_to_nothing);
  for (const Type& type : types) {
    Stopwatch own(*type.backend, seconds);
    peaks.flops_per_s[name_of(type.precision)] = 1 / best_product(type, own);
  }
  return peaks;
}

}  // namespace bsq::bench
