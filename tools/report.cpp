// `bsq report`: the tables of one run, or a comparison of several; writes report/ into every run.
#include "kernels/error.h"
#include "tools/arguments.h"
#include "tools/run_files.h"
#include "tools/run_report.h"

#include <fmt/format.h>

namespace bsq {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

struct ReportOptions {
  std::vector<std::string> runs;
  std::string csv_folder;
  bool json = false;
};

bool parse(const Arguments& arguments, ReportOptions& options) {
  CLI::App app("Shows what a run has come to, or compares several. Runs may still be going on.", "bsq report");
  app.add_option("runs", options.runs, "run directories, or folders of runs (their newest)")
      ->required()
      ->option_text("RUN...");
  app.add_flag("--json", options.json, "JSON to stdout instead of tables");
  app.add_option("--csv", options.csv_folder, "write the files here instead of <run>/report/")->option_text("DIR");
  return parse_arguments(app, arguments);
}

/// Where the files of a report go; with --csv and several runs, one folder each.
fs::path folder_of(const RunReport& report, const ReportOptions& options, std::size_t number) {
  if (options.csv_folder.empty()) return report.path / "report";
  if (options.runs.size() == 1) return options.csv_folder;
  return fs::path(options.csv_folder) / fmt::format("{:02}-{}", number + 1, report.config.name);
}

}  // namespace

int report_command(const Arguments& arguments) {
  ReportOptions options;
  if (!parse(arguments, options)) return 0;
  std::vector<RunReport> reports;
  for (const std::string& run : options.runs) reports.push_back(read_run_report(find_run(run)));
  if (options.json) {
    ordered_json json = ordered_json::array();
    for (const RunReport& report : reports) json.push_back(report_json(report));
    const ordered_json& shown = reports.size() == 1 ? json.front() : json;
    fmt::print("{}\n", shown.dump(2, ' ', false, ordered_json::error_handler_t::replace));
  } else {
    fmt::print("{}", reports.size() == 1 ? report_text(reports.front()) : comparison_text(reports));
  }
  for (std::size_t i = 0; i < reports.size(); ++i) write_report_files(reports[i], folder_of(reports[i], options, i));
  return 0;
}

}  // namespace bsq
