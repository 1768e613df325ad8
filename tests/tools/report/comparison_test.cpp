// Groups of runs: what tells them apart, and how figures call them.
#include "tools/report/comparison.h"

#include "tests/support/catch.h"
#include "tests/support/config.h"
#include "tests/support/files.h"
#include "tools/report/comparison_csv.h"
#include "tools/report/comparison_figures.h"
#include "tools/report/comparison_page.h"
#include "tools/report/comparison_tables.h"
#include "tools/report/pareto_figure.h"

#include <algorithm>

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

/// A finished run of these overrides, whose last stage that trains has this result.
RunReport run_of(const std::vector<std::string>& overrides, double top1, double stored_bits, int seed = 1) {
  RunReport report = report_of(1);
  report.config = load_config(test::schema(), {}, overrides);
  report.config.seed = static_cast<std::uint64_t>(seed);
  report.path = "runs/" + std::to_string(top1) + "-" + std::to_string(seed);
  report.stages[0].name = method_of_run(report.config).stage;
  report.stages[0].result->test_top1 = top1 - 1;
  report.stages[0].result->best_top1 = top1;
  report.stages[0].result->stored_bits = stored_bits;
  report.bit_summary->packed_bytes = 1000;
  return report;
}

const std::vector<std::string> kBudget = {"bsq.alpha=0", "bsq.budget_bits=4", "bsq.budget_alpha=1"};
const std::vector<std::string> kLsq = {"stages=[pretrain,lsq]", "quant.weight_bits=3"};
const std::vector<std::string> kCsq = {"stages=[csq,finetune]"};

std::vector<std::string> labels_of(const Comparison& comparison) {
  std::vector<std::string> labels;
  for (const RunGroup& group : comparison.groups) labels.push_back(group.label);
  std::sort(labels.begin(), labels.end());
  return labels;
}

const RunGroup& group_of(const Comparison& comparison, const std::string& label) {
  for (const RunGroup& group : comparison.groups)
    if (group.label == label) return group;
  FAIL("no group " << label);
  return comparison.groups.front();
}

/// The cells of a column, by its title.
std::vector<std::string> column_of(const Table& table, const std::string& title) {
  for (std::size_t i = 0; i < table.columns().size(); ++i) {
    if (table.columns()[i].title != title) continue;
    std::vector<std::string> cells;
    for (const std::vector<std::string>& row : table.rows()) cells.push_back(row[i]);
    return cells;
  }
  FAIL("no column " << title);
  return {};
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

TEST_CASE("a training that was repeated from the same seed is said to be counted twice, other seeds are not") {
  std::vector<RunReport> reports = {run_of(kLsq, 80, 3, 1), run_of(kLsq, 81, 3, 2), run_of(kLsq, 82, 3, 1)};
  const Comparison comparison = compare(reports);
  REQUIRE(comparison.groups.size() == 1);
  REQUIRE(comparison.remarks.size() == 1);
  CHECK_THAT(comparison.remarks[0], Catch::Contains(reports[2].path.string() + " (of " + reports[0].path.string()));
  CHECK_FALSE(comparison.remarks[0].find(reports[1].path.string()) != std::string::npos);
  reports.pop_back();
  CHECK(compare(reports).remarks.empty());
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

TEST_CASE("runs of several methods are called by them, and each method is a series") {
  const std::vector<RunReport> reports = {run_of({"bsq.alpha=1"}, 90, 5), run_of({"bsq.alpha=2"}, 89, 4),
                                          run_of(kBudget, 88, 4.1), run_of(kLsq, 89.5, 4.01), run_of(kCsq, 80, 4.2)};
  const Comparison comparison = compare(reports);
  CHECK(comparison.several_methods);
  CHECK_FALSE(comparison.axis.has_value());
  CHECK(labels_of(comparison) == std::vector<std::string>{"BSQ, alpha 1", "BSQ, alpha 2", "BSQ, budget_bits 4", "CSQ",
                                                          "LSQ, quant.weight_bits=3"});
  CHECK(group_of(comparison, "BSQ, alpha 1").series == "BSQ (alpha)");
  CHECK(group_of(comparison, "BSQ, alpha 1").in_series == "alpha 1");
  CHECK(group_of(comparison, "BSQ, budget_bits 4").series == "BSQ (budget_bits)");
  CHECK(group_of(comparison, "LSQ, quant.weight_bits=3").series == "LSQ");
  CHECK(group_of(comparison, "CSQ").in_series == "CSQ");
}

TEST_CASE("there is a front of all and one of every series") {
  const std::vector<RunReport> reports = {run_of({"bsq.alpha=1"}, 90, 5), run_of({"bsq.alpha=2"}, 89, 4),
                                          run_of({"bsq.alpha=3"}, 88, 4.5), run_of(kLsq, 91, 3.9)};
  const Comparison comparison = compare(reports);
  const auto fronts = [&](const std::string& label) {
    const RunGroup& group = group_of(comparison, label);
    return std::pair(group.on_front, group.on_series_front);
  };
  CHECK(fronts("BSQ, alpha 1") == std::pair(false, true));
  CHECK(fronts("BSQ, alpha 2") == std::pair(false, true));
  CHECK(fronts("BSQ, alpha 3") == std::pair(false, false));
  CHECK(fronts("LSQ, quant.weight_bits=3") == std::pair(true, true));
  CHECK(column_of(groups_table(comparison), "Pareto") ==
        std::vector<std::string>{"yes", "of its series", "of its series", ""});
  const std::string figure = comparison_figures(comparison).front().svg.file();
  CHECK_THAT(figure, Catch::Contains("Pareto line of one series") && Catch::Contains("stroke-dasharray"));
}

TEST_CASE("one column says what trades accuracy for bits where runs differ in what that is") {
  const std::vector<RunReport> reports = {run_of({"bsq.alpha=1"}, 90, 5), run_of(kBudget, 88, 4.1),
                                          run_of(kLsq, 89.5, 4.01),
                                          run_of({"stages=[convert,finetune]", "model.init=x"}, 80, 9)};
  const Table table = comparison_table(reports);
  CHECK(column_of(table, "method") == std::vector<std::string>{"BSQ", "BSQ", "LSQ", "finetuned"});
  CHECK(column_of(table, "strength") == std::vector<std::string>{"alpha 1", "budget_bits 4", "", ""});
  CHECK(column_of(table, "method %") == std::vector<std::string>{"90.00", "88.00", "89.50", "80.00"});
  CHECK(column_of(table, "last %") == std::vector<std::string>{"89.00", "87.00", "88.50", "79.00"});
  const std::string csv = comparison_csv(reports);
  CHECK_THAT(csv,
             Catch::StartsWith("run,state,method,alpha,budget_bits,act_bits,seed,top1_float,float_from,top1_bsq,"));
  const Table same = comparison_table({run_of({"bsq.alpha=1"}, 90, 5), run_of({"bsq.alpha=2"}, 89, 4)});
  CHECK(column_of(same, "alpha") == std::vector<std::string>{"1", "2"});
  CHECK(column_of(same, "bsq %") == std::vector<std::string>{"90.00", "89.00"});
}

TEST_CASE("runs from models that differ in their seed alone are one setting, with all their spread") {
  std::vector<RunReport> reports;
  for (const int seed : {1, 2, 3}) {
    std::vector<std::string> words = kLsq;
    words.insert(words.end(), {"stages=[lsq]", "model.init=runs/float" + std::to_string(seed)});
    reports.push_back(run_of(words, 90 + seed, 4, seed));
    reports.back().start = {.float_top1 = 92 + seed, .kind = "(best of a training)"};
  }
  reports.push_back(reports.back());
  reports.back().start.kind = "(best of another training)";
  const Comparison comparison = compare(reports);
  REQUIRE(comparison.groups.size() == 2);
  const RunGroup& group = comparison.groups[0];
  REQUIRE(group.finished.size() == 3);
  CHECK(group.top1.mean == Approx(92));
  CHECK(group.top1.spread == Approx(1));
  CHECK(group.top1.low == 91);
  CHECK(group.top1.high == 93);
  CHECK(group.last_top1.mean == Approx(91));
  REQUIRE(group.float_top1.has_value());
  CHECK(group.float_top1->mean == Approx(94));
  CHECK_FALSE(group.bops.has_value());
  CHECK(column_of(groups_table(comparison), "float %") == std::vector<std::string>{"94.00 ± 1.00", "95.00"});
}

TEST_CASE("accuracies in integers are a column where some run has one, and a mean where all runs of a setting do") {
  std::vector<RunReport> reports = {run_of({"bsq.alpha=1"}, 90, 5, 1), run_of({"bsq.alpha=1"}, 91, 5, 2),
                                    run_of({"bsq.alpha=2"}, 89, 4)};
  const auto titles = [](const Table& table) {
    const std::string text = table.text();
    return text.substr(0, text.find('\n'));
  };
  CHECK_THAT(titles(comparison_table(reports)), !Catch::Contains("integers"));
  CHECK_THAT(titles(groups_table(compare(reports))), !Catch::Contains("integers"));
  reports[0].deployed = {.top1 = 89.5};
  CHECK(column_of(comparison_table(reports), "integers %") == std::vector<std::string>{"89.50", "", ""});
  CHECK_THAT(titles(groups_table(compare(reports))), !Catch::Contains("integers"));
  reports[1].deployed = {.top1 = 90.5};
  const Comparison comparison = compare(reports);
  CHECK(column_of(groups_table(comparison), "integers %") == std::vector<std::string>{"90.00 ± 0.71", ""});
  CHECK(column_of(groups_table(comparison), "stored") == std::vector<std::string>{"5.00 ± 0.00", "4.00"});
  const std::string csv = comparison_csv(reports);
  CHECK_THAT(csv, Catch::Contains(",top1_deployed\n") && Catch::Contains(",89.5\n") && Catch::EndsWith(",\n"));
  CHECK_THAT(groups_csv(comparison), Catch::Contains(",top1_deployed_mean,"));
}

TEST_CASE("published results of the same network and images are a layer of the figure, and a table") {
  const auto run = [](std::vector<std::string> words, double top1, double stored) {
    words.insert(words.end(), {"data.kind=cifar10", "data.root=x"});
    return run_of(words, top1, stored);
  };
  std::vector<RunReport> reports = {run({"bsq.alpha=1", "quant.act_bits=3"}, 90, 5),
                                    run({"bsq.alpha=2", "quant.act_bits=3"}, 89, 4)};
  const Comparison comparison = compare(reports);
  const std::vector<PublishedRow> rows = published_rows_beside(comparison);
  const std::vector<PublishedRow> drawn = drawn_rows(rows, comparison);
  REQUIRE_FALSE(drawn.empty());
  CHECK(drawn.size() < rows.size());
  for (const PublishedRow& row : drawn) CHECK(row.act_bits == "3");
  const ReportFigure figure = pareto_figure(comparison);
  REQUIRE(figure.layer.has_value());
  CHECK_THAT(figure.layer->label, Catch::Contains("not ours"));
  CHECK_THAT(figure.layer->svg.file(), Catch::Contains("(not ours)") && Catch::Contains(">LSQ W3A3</text>") &&
                                           Catch::Contains("published by others, not checked"));
  CHECK_THAT(figure.svg.file(), !Catch::Contains("LSQ W3A3"));
  CHECK(published_table(rows).rows().size() == rows.size());

  const test::TemporaryFolder folder;
  write_comparison_files(reports, {"a", "b"}, folder.path());
  for (const char* file : {"pareto.svg", "pareto_published.svg", "published.csv"})
    CHECK(std::filesystem::exists(folder.path() / file));
  const std::string page = html_of(comparison_page(comparison, reports, {"a", "b"}));
  for (const char* part :
       {"type=\"checkbox\" id=\"with-pareto\"", "<label for=\"with-pareto\">with ", "Published by others (not ours)",
        "href=\"pareto_published.svg\"", "href=\"published.csv\""}) {
    INFO(part);
    CHECK_THAT(page, Catch::Contains(part));
  }

  reports[1] = run({"bsq.alpha=2", "quant.act_bits=3", "model.depth=14"}, 89, 4);
  CHECK(published_rows_beside(compare(reports)).empty());
  CHECK_FALSE(pareto_figure(compare(reports)).layer.has_value());
  CHECK_THAT(html_of(comparison_page(compare(reports), reports, {"a", "b"})), !Catch::Contains("checkbox"));
}

}  // namespace bsq
