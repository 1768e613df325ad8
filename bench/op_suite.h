// What a benchmark of operators needs: device memory filled with ordinary numbers, the measured peaks, and rows of
// Google Benchmark whose counters compare a call with them. See ops_bench.cpp for the definitions.
#pragma once

#include "engine/device_memory.h"
#include "kernels/backend.h"
#include "kernels/bf16.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <limits>
#include <list>
#include <random>
#include <string>
#include <vector>

namespace bsq::bench {

constexpr int kBatch = 128;

struct Cost {
  double bytes = 0;
  double flops = 0;
  double items = kBatch;
};

template <typename T>
double real(T count) {
  return static_cast<double>(count);
}

struct Peaks {
  double flops_per_s = 0;
  double bytes_per_s = 0;
};

/// Device memory of one benchmark, filled with what an operator may meet: no zeros, no denormals, no NaN.
class Arguments {
 public:
  explicit Arguments(Backend& backend) : backend_(backend) {}

  void* scratch(std::size_t size_bytes) { return buffers_.emplace_back(backend_, std::max(size_bytes, 64UL)).data(); }
  template <typename T>
  T* array(const std::vector<T>& values) {
    T* data = static_cast<T*>(scratch(values.size() * sizeof(T)));
    upload_array(backend_, data, values);
    return data;
  }
  float* uniform(std::int64_t count, float low = -1, float high = 1) { return array(host_uniform(count, low, high)); }
  void* uniform(DType dtype, const Shape& shape) {
    const std::vector<float> values = host_uniform(shape.numel(), -1, 1);
    if (dtype == DType::f32) return array(values);
    std::vector<bfloat16> rounded(values.size());
    std::ranges::transform(values, rounded.begin(), to_bfloat16);
    return array(rounded);
  }
  std::int32_t* below(int limit, int count) {
    std::vector<std::int32_t> values(static_cast<std::size_t>(count));
    for (auto& value : values) value = std::uniform_int_distribution(0, limit - 1)(random_);
    return array(values);
  }
  /// A learning rate of 0 costs the same and keeps every call alike.
  const StepInputs* step_inputs() { return array(std::vector<StepInputs>(1)); }
  StepMetrics* metrics() { return array(std::vector<StepMetrics>(1)); }

 private:
  std::vector<float> host_uniform(std::int64_t count, float low, float high) {
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) value = std::uniform_real_distribution(low, high)(random_);
    return values;
  }

  Backend& backend_;
  std::list<Buffer> buffers_;
  std::minstd_rand random_{1};
};

inline double seconds_of(Backend& backend, const std::function<void()>& call) {
  const auto start = std::chrono::steady_clock::now();
  call();
  backend.synchronize();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

inline double best_seconds(Backend& backend, int calls, const std::function<void()>& call) {
  call();
  double best = std::numeric_limits<double>::max();
  for (int i = 0; i < calls; ++i) best = std::min(best, seconds_of(backend, call));
  return best;
}

inline double peak_flops(Backend& backend, DType dtype) {
  const ConvGeometry product{4, 32, 32, 1024, 1024, 1, 1, 0, dtype};
  Arguments arguments(backend);
  const void* input = arguments.uniform(dtype, product.input_shape());
  const void* weight = arguments.uniform(dtype, product.weight_shape());
  void* output = arguments.uniform(dtype, product.output_shape());
  void* scratch = arguments.scratch(backend.conv2d_scratch_bytes(product));
  return product.flops() /
         best_seconds(backend, 20, [&] { backend.conv2d_forward(product, input, weight, output, scratch); });
}

inline double peak_bytes(Backend& backend) {
  constexpr std::int64_t numel = 16 << 20;
  Arguments arguments(backend);
  const StepInputs* inputs = arguments.step_inputs();
  const float* gradient = arguments.uniform(numel);
  float* parameter = arguments.uniform(numel);
  float* momentum = arguments.uniform(numel);
  const auto call = [&] { backend.sgd_step(numel, SgdRule{}, inputs, gradient, parameter, momentum); };
  return 20.0 * numel / best_seconds(backend, 20, call);
}

/// Registers one row a call of add(). Arguments are made when the row runs, so that only one row's memory is held.
class Suite {
 public:
  using Call = std::function<void()>;
  using Setup = std::function<Call(Arguments&)>;

  Suite(Backend& backend, bool cold) : backend_(backend), cold_(cold), bytes_per_s_(peak_bytes(backend)) {
    benchmark::AddCustomContext("backend", backend.describe());
    benchmark::AddCustomContext("batch", std::to_string(kBatch));
    benchmark::AddCustomContext("cache", cold ? "cold" : "warm");
    benchmark::AddCustomContext("peak GB/s", fmt::format("{:.1f}", bytes_per_s_ * 1e-9));
    for (const Precision precision : {Precision::fp32, Precision::bf16}) {
      std::string why;
      if (!backend.supports(precision, why)) continue;
      const DType dtype = dtype_of(precision);
      dtypes_.push_back(dtype);
      flops_per_s_[static_cast<std::size_t>(dtype)] = peak_flops(backend, dtype);
      benchmark::AddCustomContext(fmt::format("peak GFLOP/s {}", name_of(dtype)),
                                  fmt::format("{:.1f}", flops_per_s_[static_cast<std::size_t>(dtype)] * 1e-9));
    }
    if (cold) sweep_.resize(64 << 20);
  }

  Backend& backend() const { return backend_; }
  const std::vector<DType>& dtypes() const { return dtypes_; }

  void add(const std::string& operation, const std::string& name, DType dtype, int per_step, Cost cost, Setup setup) {
    const Peaks peaks{flops_per_s_[static_cast<std::size_t>(dtype)], bytes_per_s_};
    auto* row =
        benchmark::RegisterBenchmark(fmt::format("{}/{}/{}", operation, name, name_of(dtype)).c_str(),
                                     [=, this](benchmark::State& state) { run(state, per_step, cost, peaks, setup); });
    row->UseManualTime()->Unit(benchmark::kMicrosecond);
    if (cold_) row->Iterations(30);
  }

 private:
  void run(benchmark::State& state, int per_step, const Cost& cost, const Peaks& peaks, const Setup& setup) {
    Arguments arguments(backend_);
    const Call call = setup(arguments);
    call();  // whatever the backend prepares once
    std::vector<double> seconds;
    for ([[maybe_unused]] auto _ : state) {
      for (float& value : sweep_) value += 1;
      seconds.push_back(seconds_of(backend_, call));
      state.SetIterationTime(seconds.back());
    }
    std::ranges::sort(seconds);
    const double median = seconds[seconds.size() / 2];
    const double roof = std::max(cost.flops / peaks.flops_per_s, cost.bytes / peaks.bytes_per_s);
    state.counters["bytes/s"] = cost.bytes / median;
    state.counters["flop/s"] = cost.flops / median;
    state.counters["items/s"] = cost.items / median;
    state.counters["AI"] = cost.flops / cost.bytes;
    state.counters["pct_roof"] = 100 * roof / median;
    state.counters["noise_pct"] = 100 * (median - seconds.front()) / median;
    state.counters["per_step_ms"] = per_step * median * 1e3;
  }

  Backend& backend_;
  bool cold_;
  double bytes_per_s_;
  std::array<double, 6> flops_per_s_{};
  std::vector<DType> dtypes_;
  std::vector<float> sweep_;
};

}  // namespace bsq::bench
