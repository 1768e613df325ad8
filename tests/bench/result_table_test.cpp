// What `bsq bench` shows: numbers of three digits, tables that fit the terminal, changes since an earlier file.
#include "bench/op_cases.h"
#include "bench/result_table.h"
#include "bench/roofline_model.h"
#include "kernels/base/error.h"
#include "models/resnet.h"
#include "tests/support/catch.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

namespace bsq::bench {
namespace {

Timing timing(double median_s) {
  return {median_s, 0.02, median_s * 0.9, 20};
}

Report report() {
  Report report;
  report.version = "0.1.0";
  report.date = "2026-01-31T12:00:00.000Z";
  report.backend = "cpu, 2 threads, oneDNN 2.6.3";
  report.place = "cpu, 2 threads, AMD EPYC";
  report.batch = 128;
  report.peaks.bandwidths = {{4e6, 2e11}, {256e6, 5e10}};
  report.peaks.flops_per_s = {{"fp32", 2e11}};
  report.peaks.call_s = 1e-6;
  for (const char* type : {"fp32", "bf16"}) {
    Result result;
    result.operation = "conv2d_backward_weight";
    result.shape = "stage2 3x3 strided";
    result.type = type;
    result.calls_per_step = 6;
    result.cost = {1e7, 6e8, 128};
    result.warm = timing(6e-3);
    result.cold = timing(8e-3);
    report.results.push_back(result);
  }
  return report;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::istringstream all(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(all, line);) lines.push_back(line);
  return lines;
}

std::size_t width_of(const std::string& text) {
  std::size_t widest = 0;
  for (const std::string& line : lines_of(text)) widest = std::max(widest, line.size());
  return widest;
}

/// A file with the text, gone at the end.
struct TextFile {
  explicit TextFile(const std::string& text) { std::ofstream(path) << text; }
  ~TextFile() { std::filesystem::remove(path); }
  std::filesystem::path path = std::filesystem::temp_directory_path() / "bsq-result-table-test.json";
};

TEST_CASE("numbers have three digits and a prefix") {
  const std::map<double, std::string> times = {{1.234e-9, "1.23 ns"}, {99.96e-6, "100 us"},  {0.0123, "12.3 ms"},
                                               {0.9994, "999 ms"},    {0.9996, "1.00 s"},    {12.34, "12.3 s"},
                                               {9.996e-6, "10.0 us"}, {999.6e-6, "1.00 ms"}, {0, "0.00 ns"}};
  for (const auto& [seconds, text] : times) CHECK(time_text(seconds) == text);
  CHECK(rate_text(64.1e9) == "64.1 G");
  CHECK(rate_text(3.02e12) == "3.02 T");
}

TEST_CASE("a table shows time, spread, share and bound of warm and of cold calls") {
  const Report shown = report();
  const std::vector<std::string> lines = lines_of(table_of(shown, shown.results, {.columns = 100}));
  REQUIRE(lines.size() == 4);
  CHECK(lines[0] == "conv2d_backward_weight    type     warm  +-  peak     cold  +-  peak     B/s  FLOP/s  bound by");
  CHECK(lines[2] == "  stage2 3x3 strided      fp32  6.00 ms  2%   50%  8.00 ms  2%   38%  1.67 G   100 G  arithmetic");
  // no product of bf16 was measured
  CHECK(lines[3] == "  stage2 3x3 strided      bf16  6.00 ms  2%     -  8.00 ms  2%     -  1.67 G   100 G  -");
}

TEST_CASE("a narrow terminal gets fewer columns, the names last") {
  const Report shown = report();
  std::size_t before = 1000;
  for (const int columns : {100, 90, 80, 70, 60, 50, 40}) {
    const std::string table = table_of(shown, shown.results, {.columns = columns});
    INFO(table);
    CHECK(width_of(table) <= static_cast<std::size_t>(columns));
    CHECK(width_of(table) <= before);
    before = width_of(table);
    CHECK_THAT(table, Catch::Contains("stage2 3x3 strided"));
  }
  CHECK_THAT(table_of(shown, shown.results, {.columns = 90}), !Catch::Contains("FLOP/s") && Catch::Contains("cold"));
  CHECK_THAT(table_of(shown, shown.results, {.columns = 60}), Catch::Contains("warm") && !Catch::Contains("cold"));
  CHECK_THAT(table_of(shown, shown.results, {.columns = 10}), Catch::Contains("fp32"));
}

TEST_CASE("a row that failed says why, and without peaks there are no shares") {
  Report shown = report();
  shown.peaks = {};
  shown.results[1].warm = shown.results[1].cold = std::nullopt;
  shown.results[1].failure = "no engine";
  const std::string table = table_of(shown, shown.results, {});
  CHECK_THAT(table, !Catch::Contains("peak") && !Catch::Contains("bound by"));
  CHECK_THAT(table, Catch::Contains("  conv2d_backward_weight/stage2 3x3 strided/bf16: no engine\n"));
  CHECK_THAT(heading(shown), Catch::Contains("peaks: not measured"));
}

TEST_CASE("what a file holds is compared row by row") {
  const TextFile file(to_json(report()));
  const Report before = read_report(file.path);
  Report now = report();
  now.results[0].warm = timing(9e-3);
  now.results[0].cold = timing(8.1e-3);
  now.results[1].shape = "another";
  CHECK_NOTHROW(check_comparable(file.path, before, now));
  const std::string table = table_of(now, now.results, {.columns = 120, .before = &before});
  CHECK_THAT(table, Catch::Contains("9.00 ms  2%    +50%") && Catch::Contains("8.10 ms  2%   (+1%)"));
  CHECK_THAT(lines_of(table)[3], Catch::Contains("new"));
  CHECK(changes_text(before, now) ==
        "since 2026-01-31T12:00:00.000Z (0.1.0): 1 slower, 0 faster, 1 within noise (in brackets), 2 new\n");
}

TEST_CASE("a file of another device, batch or kind is refused") {
  const TextFile file(to_json(report()));
  const Report before = read_report(file.path);
  Report now = report();
  now.place = "cuda, NVIDIA H100";
  CHECK_THROWS_WITH(check_comparable(file.path, before, now), Catch::Contains("was measured on cpu, 2 threads"));
  now = report();
  now.batch = 64;
  CHECK_THROWS_WITH(check_comparable(file.path, before, now), Catch::Contains("was measured with --batch 128"));
  for (const char* text : {"", "[]", "{\"schema\": \"bsq-bench 1\"}", "{\"schema\": 3}"}) {
    const TextFile other(text);
    CHECK_THROWS_WITH(read_report(other.path), Catch::Contains("is no file of `bsq bench --json`"));
  }
  const TextFile newer("{\"schema\": \"bsq-bench 2\"}");
  CHECK_THROWS_WITH(read_report(newer.path), Catch::Contains("its schema is 'bsq-bench 2', not 'bsq-bench 1'"));
}

TEST_CASE("gradients that are added to others are as many as in a step") {
  const int batch = 2;  // of the cases
  std::map<ConvGeometry, int> in_cases;
  for (const cases::ConvCase& c : cases::conv_cases())
    if (c.added_gradients > 0) in_cases[c.geometry(DType::bf16)] += c.added_gradients;
  std::map<ConvGeometry, int> in_step;
  for (const Operation& operation : training_step(make_resnet({}), {.batch = batch}))
    if (operation.name.find(" backward data +=") != std::string::npos) ++in_step[operation.convolution.value()];
  CHECK(in_cases == in_step);
}

}  // namespace
}  // namespace bsq::bench
