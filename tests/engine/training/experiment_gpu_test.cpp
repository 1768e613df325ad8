// A whole experiment on a GPU: the same bits from run to run, stopped, killed and resumed, in every precision; and the
// losses of the CPU.
#include "tests/engine/training/experiment_support.h"

namespace bsq::test {
namespace {

using Traces = std::map<std::string, std::string>;

Config config_in(Precision precision) {
  Config config = tiny_config();
  config.precision = name_of(precision);
  return config;
}

Traces straight_run(const Config& config) {
  ExperimentRuns runs(config, "cuda");
  REQUIRE(runs.run() == StageOutcome::done);
  return traces_of(runs);
}

/// A column of metrics.csv.
std::vector<double> column_of(const Traces& traces, const std::string& column) {
  std::vector<double> values;
  std::istringstream lines(traces.at("metrics.csv"));
  std::size_t place = 0;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream cells(line);
    std::vector<std::string> row;
    for (std::string cell; std::getline(cells, cell, ',');) row.push_back(cell);
    const auto named = std::find(row.begin(), row.end(), column);
    if (named != row.end())
      place = static_cast<std::size_t>(named - row.begin());
    else
      values.push_back(std::stod(row.at(place)));
  }
  return values;
}

}  // namespace

TEST_CASE("an experiment on a GPU gives the same bits again, stopped or killed and resumed too", "[gpu]") {
  if (make_gpu() == nullptr) return;
  for (const Precision precision : {Precision::fp32, Precision::tf32, Precision::bf16}) {
    INFO(name_of(precision));
    const Config config = config_in(precision);
    const Traces expected = straight_run(config);
    CHECK(differences_of(straight_run(config), expected) == std::vector<std::string>{});
    ExperimentRuns stopped(config, "cuda");
    REQUIRE(stopped.run([](int step) { return step == 8 ? Request::stop : Request::none; }) == StageOutcome::stopped);
    REQUIRE(stopped.run() == StageOutcome::done);
    CHECK(differences_of(traces_of(stopped), expected) == std::vector<std::string>{});
    ExperimentRuns killed(config, "cuda");
    CHECK_THROWS_AS(killed.run([](int step) -> Request {
      if (step == 14) throw Killed{};
      return Request::none;
    }),
                    Killed);
    REQUIRE(killed.run() == StageOutcome::done);
    CHECK(differences_of(traces_of(killed), expected) == std::vector<std::string>{});
  }
}

TEST_CASE("an experiment on a GPU has the losses of the CPU while runs have not drifted apart", "[gpu]") {
  if (make_gpu() == nullptr) return;
  Config config = tiny_config();
  config.quant.act_bits = 0;  // a level that falls the other way is a step, and training makes it a larger one
  config.stages = {"pretrain"};
  config.stage("pretrain").lr = 0.01;
  ExperimentRuns on_cpu(config);
  REQUIRE(on_cpu.run() == StageOutcome::done);
  const std::map<std::string, double> tolerances = {{"fp32", 1e-4}, {"tf32", 1e-2}, {"bf16", 5e-2}};
  for (const auto& [precision, tolerance] : tolerances) {
    config.precision = precision;
    const Traces on_gpu = straight_run(config);
    for (const char* column : {"train_loss", "test_loss"}) {
      INFO(precision << ", " << column);
      const std::vector<double> expected = column_of(traces_of(on_cpu), column);
      const Comparison comparison = compare(column_of(on_gpu, column), expected, {tolerance, 0});
      INFO(comparison.report());
      CHECK(comparison.count == 2);
      CHECK(comparison.ok());
    }
  }
}

}  // namespace bsq::test
