// Groups of runs: what tells them apart, and how figures call them.
#include "tools/report/comparison.h"

#include "tests/support/catch.h"
#include "tests/support/config.h"
#include "tools/report/comparison_figures.h"

namespace bsq {
namespace {

/// A finished run of the standard chain.
RunReport report_of(double alpha, int act_bits = 4) {
  RunReport report;
  report.path = "runs/one";
  report.config = test::default_config();
  report.config.part<BsqConfig>().alpha = alpha;
  report.config.quant.act_bits = act_bits;
  StageReport stage;
  stage.name = "bsq";
  stage.form = "planes";
  stage.result = StageResult{
      .test_top1 = 90 - alpha, .best_top1 = {}, .bits_per_parameter = 4, .stored_bits = 5, .compression = 8};
  report.stages = {stage};
  report.bit_summary = BitSummary{};
  TensorBits& tensor = report.bit_summary->tensors.emplace_back();
  tensor.name = "conv1.weight";
  tensor.bits = 4;
  return report;
}

std::vector<std::string> places_of(const Comparison& comparison) {
  std::vector<std::string> places;
  for (const RunGroup& group : comparison.groups) places.push_back(group.series + "|" + group.in_series);
  return places;
}

/// The figure of the bits of layers, where there are too many groups for bars.
std::string heat_map_of(const Comparison& comparison) {
  for (const ReportFigure& figure : comparison_figures(comparison))
    if (figure.svg.id() == "precision") return figure.svg.file();
  return {};
}

}  // namespace

TEST_CASE("runs that differ in alpha alone are ordered by it, which is the axis") {
  std::vector<RunReport> reports;
  for (const double alpha : {7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 0.5}) reports.push_back(report_of(alpha));
  const Comparison comparison = compare(reports);
  REQUIRE(comparison.axis.has_value());
  CHECK(comparison.axis->key == "bsq.alpha");
  CHECK(places_of(comparison).front() == "|alpha 0.5");
  CHECK(comparison.groups.front().label == "bsq.alpha=0.5");
  CHECK(places_of(comparison).back() == "|alpha 7");
  CHECK_THAT(heat_map_of(comparison), Catch::Contains(">bsq.alpha</text>"));
}

TEST_CASE("runs that differ in something else too are series over alpha") {
  const std::vector<RunReport> reports = {report_of(2, 3), report_of(1, 3), report_of(2, 4)};
  const Comparison comparison = compare(reports);
  CHECK_FALSE(comparison.axis.has_value());
  CHECK(places_of(comparison) ==
        std::vector<std::string>{"quant.act_bits=3|alpha 1", "quant.act_bits=3|alpha 2", "quant.act_bits=4|alpha 2"});
}

TEST_CASE("the front is that of stored bits, and a run without them is said to be left out") {
  std::vector<RunReport> reports = {report_of(1), report_of(2), report_of(3), report_of(4)};
  reports[0].stages[0].result->stored_bits = 6;
  reports[1].stages[0].result->stored_bits = 5;
  reports[2].stages[0].result->stored_bits = 5.5;  // as accurate as none before, and larger than the second
  reports[2].stages[0].result->compression = 100;
  reports[3].stages[0].result->stored_bits.reset();
  const Comparison comparison = compare(reports);
  std::vector<bool> on_front;
  for (const RunGroup& group : comparison.groups) on_front.push_back(group.on_front);
  CHECK(on_front == std::vector<bool>{true, true, false, false});
  CHECK(comparison.groups[1].stored_bits.mean == 5);
  REQUIRE(comparison.remarks.size() == 1);
  CHECK_THAT(comparison.remarks[0], Catch::Contains("Without a quantized model, and so not in the figures"));
}

TEST_CASE("runs that differ in no strength are called by what they differ in") {
  std::vector<RunReport> reports;
  for (const int bits : {2, 3, 4, 5, 6, 7, 8}) reports.push_back(report_of(2, bits));
  const Comparison comparison = compare(reports);
  CHECK_FALSE(comparison.axis.has_value());
  CHECK(places_of(comparison).front() == "|quant.act_bits=2");
  const std::string figure = heat_map_of(comparison);
  CHECK_THAT(figure, Catch::Contains(">setting</text>") && Catch::Contains(">quant.act_bits=8</text>"));
  CHECK_THAT(figure, !Catch::Contains("bsq.alpha"));
}

}  // namespace bsq
