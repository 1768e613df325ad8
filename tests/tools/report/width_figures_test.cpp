// Widths of layers in runs of the same size, and shares of layers in operations and bytes.
#include "tools/report/width_figures.h"

#include "tests/support/catch.h"
#include "tests/support/config.h"
#include "tools/report/comparison_csv.h"

namespace bsq {
namespace {

/// Two layers, of which the first reads float images.
RunReport sized_run(double alpha, int seed, double stored_bits, int first_bits, int second_bits) {
  RunReport report;
  report.path = "runs/" + std::to_string(seed);
  report.config = test::default_config();
  report.config.part<BsqConfig>().alpha = alpha;
  report.config.seed = static_cast<std::uint64_t>(seed);
  StageReport stage;
  stage.name = "bsq";
  stage.form = "planes";
  stage.result = StageResult{.test_top1 = 90, .best_top1 = {}, .bits_per_parameter = 4, .stored_bits = stored_bits};
  report.stages = {stage};
  report.bit_summary = BitSummary{};
  for (const auto& [name, bits] : {std::pair("conv1.weight", first_bits), std::pair("fc.weight", second_bits)}) {
    TensorBits& tensor = report.bit_summary->tensors.emplace_back();
    tensor.name = name;
    tensor.bits = bits;
  }
  report.bit_summary->packed_bytes = 200;
  report.bit_summary->float_bytes = 1600;
  report.layer_costs = {{.name = "conv1", .numbers = 100, .macs = 900, .input_bits = 32, .bits = first_bits},
                        {.name = "fc", .numbers = 200, .macs = 100, .input_bits = 4, .bits = second_bits}};
  report.layer_costs[0].stored_bits = 8 * 50;
  report.layer_costs[1].stored_bits = 8 * 100;
  return report;
}

}  // namespace

TEST_CASE("runs whose stored bits differ by a tenth at most stand side by side, by setting and seed") {
  const std::vector<RunReport> reports = {sized_run(1, 1, 5, 6, 4), sized_run(1, 2, 3.2, 5, 3),
                                          sized_run(2, 1, 3.0, 4, 2), sized_run(2, 2, 3.31, 4, 3)};
  const Comparison comparison = compare(reports);
  const std::vector<BudgetPanel> panels = panels_of(comparison);
  REQUIRE(panels.size() == 3);
  REQUIRE(panels[0].size() == 2);
  CHECK(panels[0][0].run == &reports[1]);  // its setting comes first, though it is larger
  CHECK(panels[0][1].run == &reports[2]);
  CHECK(panels[1].at(0).run == &reports[3]);  // 3.31 is more than a tenth above 3.0
  CHECK(panels[2].at(0).run == &reports[0]);
  const std::string figure = widths_figure(panels).svg.file();
  for (const char* part : {">3.0-3.2</text>", ">3.3</text>", ">bsq.alpha=1, seed 2</text>", ">conv1</text>"}) {
    INFO(part);
    CHECK_THAT(figure, Catch::Contains(part));
  }
  CHECK_THAT(widths_csv(panels), Catch::Contains("\n1,runs/2,bsq.alpha=1,2,3.2,conv1,5\n") &&
                                     Catch::Contains("\n3,runs/1,bsq.alpha=1,1,5,fc,4\n"));
}

TEST_CASE("shares are means over the runs of a setting, in percent of all operations and of all bytes") {
  const std::vector<RunReport> reports = {sized_run(1, 1, 5, 3, 1), sized_run(1, 2, 5, 0, 1)};
  const Comparison comparison = compare(reports);
  const ShareComparison shares = compare_shares(comparison);
  REQUIRE(shares.groups.size() == 1);
  CHECK(shares.layers == std::vector<std::string>{"conv1", "fc"});
  CHECK(shares.in_float[0].bops_percent == Approx(90));
  CHECK(shares.in_float[1].bytes_percent == Approx(100.0 * 800 / 1600));
  // The first run: 900 x 4 x 32 and 100 x 2 x 4; the second: 0, since all its weights are zero, and the same.
  const double first = 900.0 * 4 * 32, second = 100.0 * 2 * 4;
  CHECK(shares.shares[0][0].bops == Approx(first / 2));
  CHECK(shares.shares[0][0].bops_percent == Approx(100 * first / (first + second) / 2));
  CHECK(shares.shares[0][1].bops_percent == Approx((100 * second / (first + second) + 100) / 2));
  CHECK(shares.shares[0][1].bytes_percent == Approx(50));
  REQUIRE(share_figures(shares).size() == 2);
  CHECK_THAT(share_figures(shares)[1].svg.file(), Catch::Contains(">50.0</text>") && Catch::Contains(">25.0</text>"));
  CHECK_THAT(shares_csv(shares), Catch::Contains(",fc,100,800,"));
}

TEST_CASE("networks that differ have no widths and no shares side by side") {
  std::vector<RunReport> reports = {sized_run(1, 1, 5, 3, 1), sized_run(2, 1, 5, 3, 1)};
  reports[1].config = load_config(test::schema(), {}, std::vector<std::string>{"model.depth=8"});
  const Comparison comparison = compare(reports);
  CHECK(panels_of(comparison).empty());
  CHECK(compare_shares(comparison).groups.empty());
}

}  // namespace bsq
