#include "bench/steps.h"

#include "bench/roofline_model.h"
#include "bench/trainee.h"
#include "kernels/base/error.h"

#include <fmt/format.h>

#include <chrono>
#include <memory>

namespace bsq::bench {
namespace {

constexpr int kWarmup = 2;
constexpr std::size_t kLeastBursts = 7;
constexpr std::size_t kMostBursts = 200;
constexpr int kBurstOnGpu = 20;

Cost cost_of(const std::string& mode, Precision precision, const Options& options) {
  const StepOptions step{options.batch, precision, mode == "bsq" ? options.weight_bits : 0};
  const Network network = make_resnet({.depth = options.depth, .act_bits = options.act_bits});
  const Totals totals = totals_of(training_step(network, step), precision, Machine());
  return {totals.bytes, totals.flops, static_cast<double>(options.batch), static_cast<double>(totals.nodes)};
}

/// One row's step, and what its bursts took.
struct Runner {
  StepRow& row;
  std::unique_ptr<Trainee> trainee;
  std::vector<double> seconds = {}, enqueue_seconds = {};

  void run(bool counts) {
    const BurstTimes times = trainee->run_burst();
    if (!counts) return;
    seconds.push_back(times.seconds);
    enqueue_seconds.push_back(times.enqueue_seconds);
  }
};

}  // namespace

std::vector<StepRow> step_rows(const std::vector<Type>& types, const Options& options) {
  std::vector<StepRow> rows;
  for (const Type& type : types) {
    for (const std::string& mode : step_modes()) {
      Result result;
      result.operation = "step";
      result.shape = fmt::format("{}, ResNet-{}", mode, options.depth);
      if (mode != "float") result.shape += fmt::format(", {} bits", options.weight_bits);
      result.type = name_of(type.precision);
      result.calls_per_step = 1;
      result.cost = cost_of(mode, type.precision, options);
      rows.push_back({mode, type, result});
    }
  }
  return rows;
}

void measure_steps(std::vector<StepRow>& rows, const Options& options) {
  const int burst = options.burst > 0 ? options.burst : is_gpu(*rows.front().type.backend) ? kBurstOnGpu : 1;
  std::vector<Runner> runners;
  for (StepRow& row : rows) {
    const TraineeOptions trainee{
        row.mode, row.type.precision, options.batch, options.depth, options.weight_bits, options.act_bits, burst};
    runners.push_back({row, std::make_unique<Trainee>(*row.type.backend, trainee)});
  }
  const std::size_t least = options.seconds > 0 ? kLeastBursts : 2;
  for (int i = 0; i < kWarmup; ++i)
    for (Runner& runner : runners) runner.run(false);
  const auto start = std::chrono::steady_clock::now();
  const auto is_over = [&] {
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    return elapsed.count() >= options.seconds * static_cast<double>(runners.size());
  };
  for (std::size_t count = 0; count < least || (count < kMostBursts && !is_over()); ++count)
    for (Runner& runner : runners) runner.run(true);
  for (Runner& runner : runners) {
    if (const double loss = runner.trainee->loss(); !(loss < 1e9))
      fail(ErrorKind::diverged, "{}: the loss is {}", runner.row.result.name(), loss);
    runner.row.result.warm = timing_of(runner.seconds);
    if (is_gpu(*runner.row.type.backend))  // a CPU works while it enqueues
      runner.row.result.enqueue_s = timing_of(runner.enqueue_seconds).median_s;
  }
}

}  // namespace bsq::bench
