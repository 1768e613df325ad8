// `bsq report`: the tables of one run, or a comparison of several; writes report/ into every run, and the comparison
// into the folder that the runs have in common.
#include "kernels/base/error.h"
#include "tools/cli/arguments.h"
#include "tools/report/reports.h"
#include "tools/session/run_files.h"
#include "tools/sweep/sweep_plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

namespace bsq {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

struct ReportOptions {
  std::vector<std::string> runs;
  std::string folder;
  bool json = false;
};

bool parse(const Arguments& arguments, ReportOptions& options) {
  CommandLine app("Shows what a run has come to, or compares several. Runs may still be going on.", "bsq report");
  app.add_path("runs", options.runs, "run directories, folders of runs (their newest), folders of sweeps (all runs)")
      ->required()
      ->option_text("RUN...");
  app.add_flag("--json", options.json, "JSON to stdout instead of tables");
  app.add_path("--out", options.folder,
               "write here instead of report/ in the run, or in the folder that several have in common")
      ->option_text("DIR");
  app.footer("\nFiles: index.html, which opens offline; every table as CSV, every figure as SVG.");
  return parse_arguments(app, arguments);
}

/// The runs of a sweep that have begun, or the one run.
std::vector<fs::path> runs_at(const fs::path& word) {
  if (!is_sweep(word)) return {find_run(word)};
  std::vector<fs::path> runs;
  for (const SweepRun& run : read_sweep(word))
    if (is_run(word / run.name)) runs.push_back(word / run.name);
  if (runs.empty()) fail(ErrorKind::usage, "{}: no run of this sweep has begun", word.string());
  return runs;
}

/// What this command has written into the folder of runs, which `runs/NAME/*` names too.
bool is_comparison(const fs::path& word) {
  std::error_code code;
  return fs::is_regular_file(word / "comparison.csv", code) && fs::is_regular_file(word / "index.html", code) &&
         !is_run(word);
}

/// All runs, each once: a link such as `latest`, or a sweep's folder, may name one again, and it would count as two.
std::vector<fs::path> runs_of(const std::vector<std::string>& words) {
  std::vector<fs::path> runs;
  std::set<fs::path> known;
  for (const std::string& word : words) {
    if (words.size() > 1 && is_comparison(word)) continue;
    for (const fs::path& run : runs_at(word)) {
      std::error_code code;
      const fs::path place = fs::canonical(run, code);
      if (code || known.insert(place).second) runs.push_back(run);
    }
  }
  if (runs.empty()) fail(ErrorKind::usage, "{}: are reports, of no run; give runs", fmt::join(words, ", "));
  return runs;
}

}  // namespace

int report_command(const Arguments& arguments) {
  ReportOptions options;
  if (!parse(arguments, options)) return 0;
  std::vector<RunReport> reports;
  for (const fs::path& run : runs_of(options.runs)) reports.push_back(read_run_report(run));
  // Whoever may read a run, but not write into it, sees its tables.
  fs::path page;
  std::string unwritten;
  try {
    page = write_reports(reports, options.folder);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::checkpoint) throw;
    unwritten = error.what();
  }
  if (options.json) {
    ordered_json json = ordered_json::array();
    for (const RunReport& report : reports) json.push_back(report_json(report));
    const ordered_json& shown = reports.size() == 1 ? json.front() : json;
    fmt::print("{}\n", shown.dump(2, ' ', false, ordered_json::error_handler_t::replace));
  } else {
    fmt::print("{}", reports.size() == 1 ? report_text(reports.front()) : comparison_text(reports));
  }
  if (!unwritten.empty())
    fail(ErrorKind::checkpoint, "{}{}", unwritten, options.folder.empty() ? "; or write elsewhere: --out DIR" : "");
  if (!options.json) fmt::print("\npage: {}\n", page.string());
  return 0;
}

}  // namespace bsq
