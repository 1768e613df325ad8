// What a benchmark of operators needs: device memory filled with ordinary numbers, the measured peaks, and rows of
// Google Benchmark whose counters compare a call with them. See ops_bench.cpp for the definitions.
#pragma once

#include "engine/device_memory.h"
#include "kernels/backend.h"
#include "kernels/bf16.h"
#include "kernels/error.h"

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <list>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace bsq::bench {

struct SuiteOptions {
  int batch = 128;
  bool cold = false;
  bool tf32 = false;   // rows of float32, under another name
  bool quick = false;  // to see that everything runs: the figures mean nothing
};

struct Cost {
  double bytes = 0;
  double flops = 0;
  double items = 0;  // 0: images of the batch
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
  float* uniform(std::int64_t count, float low = -1, float high = 1) {
    return repeated(host_uniform(std::min(count, kPeriod), low, high), count);
  }
  void* uniform(DType dtype, const Shape& shape) {
    if (dtype == DType::f32) return uniform(shape.numel());
    const std::vector<float> values = host_uniform(std::min(shape.numel(), kPeriod), -1, 1);
    std::vector<bfloat16> rounded(values.size());
    std::ranges::transform(values, rounded.begin(), to_bfloat16);
    return repeated(rounded, shape.numel());
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
  static constexpr std::int64_t kPeriod = 1'048'573;  // a prime: no row of a tensor is like another

  /// `values` again and again, `count` in all.
  template <typename T>
  T* repeated(const std::vector<T>& values, std::int64_t count) {
    T* data = static_cast<T*>(scratch(static_cast<std::size_t>(count) * sizeof(T)));
    const std::int64_t period = std::ssize(values);
    for (std::int64_t at = 0; at < count; at += period)
      backend_.upload(data + at, values.data(), static_cast<std::size_t>(std::min(period, count - at)) * sizeof(T));
    backend_.synchronize();  // `values` ends here
    return data;
  }
  std::vector<float> host_uniform(std::int64_t count, float low, float high) {
    std::vector<float> values(static_cast<std::size_t>(count));
    for (float& value : values) value = std::uniform_real_distribution(low, high)(random_);
    return values;
  }

  Backend& backend_;
  std::list<Buffer> buffers_;
  std::minstd_rand random_{1};
};

inline bool is_gpu(const Backend& backend) {
  return backend.name() == "cuda";
}

inline double best_seconds(Backend& backend, int calls, const std::function<void()>& call) {
  call();
  double best = std::numeric_limits<double>::max();
  for (int i = 0; i < calls; ++i) best = std::min(best, backend.device_seconds(call));
  return best;
}

inline double peak_flops(Backend& backend, DType dtype, bool quick) {
  ConvGeometry product{is_gpu(backend) ? 64 : 4, 32, 32, 1024, 1024, 1, 1, 0, dtype};
  if (quick) product.batch = product.in_channels = product.out_channels = 1;
  Arguments arguments(backend);
  const void* input = arguments.uniform(dtype, product.input_shape());
  const void* weight = arguments.uniform(dtype, product.weight_shape());
  void* output = arguments.uniform(dtype, product.output_shape());
  void* scratch = arguments.scratch(backend.conv2d_scratch_bytes(product, kForwardPass));
  return product.flops() /
         best_seconds(backend, 20, [&] { backend.conv2d_forward(product, input, weight, output, scratch); });
}

inline double peak_bytes(Backend& backend, bool quick) {
  const std::int64_t numel = quick ? 1024 : 16 << 20;
  Arguments arguments(backend);
  const StepInputs* inputs = arguments.step_inputs();
  const float* gradient = arguments.uniform(numel);
  float* parameter = arguments.uniform(numel);
  float* momentum = arguments.uniform(numel);
  const auto call = [&] { backend.sgd_step(numel, SgdRule{}, inputs, gradient, parameter, momentum); };
  return 20.0 * real(numel) / best_seconds(backend, 20, call);
}

/// Registers one row a call of add(). Arguments are made when the row runs, so that only one row's memory is held.
class Suite {
 public:
  using Call = std::function<void()>;
  using Setup = std::function<Call(Arguments&)>;

  Suite(Backend& backend, const SuiteOptions& options)
      : backend_(backend), options_(options), bytes_per_s_(peak_bytes(backend, options.quick)) {
    benchmark::AddCustomContext("backend", backend.describe());
    benchmark::AddCustomContext("batch", std::to_string(options.batch));
    benchmark::AddCustomContext("cache", options.cold ? "cold" : "warm");
    benchmark::AddCustomContext("peak GB/s", fmt::format("{:.1f}", bytes_per_s_ * 1e-9));
    for (const Precision precision : {Precision::fp32, Precision::bf16}) {
      std::string why;
      if (!backend.supports(precision, why) || (options.tf32 && precision == Precision::bf16)) continue;
      const DType dtype = dtype_of(precision);
      dtypes_.push_back(dtype);
      flops_per_s_[static_cast<std::size_t>(dtype)] = peak_flops(backend, dtype, options.quick);
      benchmark::AddCustomContext(fmt::format("peak GFLOP/s {}", name_in_rows(dtype)),
                                  fmt::format("{:.1f}", flops_per_s_[static_cast<std::size_t>(dtype)] * 1e-9));
    }
    if (options.cold) {
      swept_ = std::make_unique<Buffer>(backend, kSweptBytes);
      backend.fill_zero(swept_->data(), kSweptBytes);
    }
  }

  Backend& backend() const { return backend_; }
  const std::vector<DType>& dtypes() const { return dtypes_; }
  int batch() const { return options_.batch; }
  bool failed() const { return failed_; }

  void add(const std::string& operation, const std::string& name, DType dtype, int per_step, Cost cost, Setup setup) {
    const Peaks peaks{flops_per_s_[static_cast<std::size_t>(dtype)], bytes_per_s_};
    auto* row =
        benchmark::RegisterBenchmark(fmt::format("{}/{}/{}", operation, name, name_in_rows(dtype)).c_str(),
                                     [=, this](benchmark::State& state) { run(state, per_step, cost, peaks, setup); });
    row->UseManualTime()->Unit(benchmark::kMicrosecond);
    if (options_.cold || options_.quick || is_gpu(backend_)) row->Iterations(options_.quick ? 2 : kIterations);
  }

 private:
  static constexpr std::size_t kSweptBytes = std::size_t{256} << 20;
  static constexpr int kIterations = 30;

  const char* name_in_rows(DType dtype) const {
    return options_.tf32 && dtype == DType::f32 ? name_of(Precision::tf32) : name_of(dtype);
  }

  void sweep() {
    if (is_gpu(backend_)) return backend_.fill_zero(swept_->data(), kSweptBytes);
    for (std::size_t i = 0; i < kSweptBytes / sizeof(float); ++i)  // a host's memset passes by its caches
      swept_->as<float>()[i] += 1;
  }

  /// Seconds of one call, measured once a call of what is returned.
  std::function<double()> stopwatch(const Call& call) {
    if (options_.cold)
      return [this, call] {
        sweep();
        return backend_.device_seconds(call);
      };
    if (!is_gpu(backend_)) return [this, call] { return backend_.device_seconds(call); };
    constexpr double replay_seconds = 2e-3;
    constexpr double most_calls = 200;
    const int calls = static_cast<int>(std::clamp(replay_seconds / backend_.device_seconds(call), 1.0, most_calls));
    std::shared_ptr<CapturedWork> work = backend_.capture([=] {
      for (int i = 0; i < calls; ++i) call();
    });
    work->replay();
    return [this, work, calls] { return backend_.device_seconds([&] { work->replay(); }) / calls; };
  }

  /// A row that fails does not keep the others from running.
  void run(benchmark::State& state, int per_step, const Cost& cost, const Peaks& peaks, const Setup& setup) try {
    measure(state, per_step, cost, peaks, setup);
  } catch (const Error& error) {
    failed_ = true;
    state.SkipWithError(error.what());
  }

  void measure(benchmark::State& state, int per_step, const Cost& cost, const Peaks& peaks, const Setup& setup) {
    Arguments arguments(backend_);
    const Call call = setup(arguments);
    call();  // whatever the backend prepares once
    const std::function<double()> seconds_of_call = stopwatch(call);
    std::vector<double> seconds;
    for ([[maybe_unused]] auto _ : state) {
      seconds.push_back(seconds_of_call());
      state.SetIterationTime(seconds.back());
    }
    std::ranges::sort(seconds);
    const double median = seconds[seconds.size() / 2];
    const double flop_seconds = cost.flops / peaks.flops_per_s;
    const double byte_seconds = cost.bytes / peaks.bytes_per_s;
    state.counters["bytes/s"] = cost.bytes / median;
    state.counters["flop/s"] = cost.flops / median;
    state.counters["items/s"] = (cost.items > 0 ? cost.items : real(options_.batch)) / median;
    state.counters["AI"] = cost.flops / cost.bytes;
    state.counters["pct_flops"] = 100 * flop_seconds / median;
    state.counters["pct_bytes"] = 100 * byte_seconds / median;
    state.counters["pct_roof"] = 100 * std::max(flop_seconds, byte_seconds) / median;
    state.counters["noise_pct"] = 100 * (median - seconds.front()) / median;
    state.counters["per_step_ms"] = per_step * median * 1e3;
  }

  Backend& backend_;
  SuiteOptions options_;
  bool failed_ = false;
  double bytes_per_s_;
  std::array<double, 6> flops_per_s_{};
  std::vector<DType> dtypes_;
  std::unique_ptr<Buffer> swept_;
};

}  // namespace bsq::bench
