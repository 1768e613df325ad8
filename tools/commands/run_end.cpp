// Reports whose failure is a warning (tools/commands/run_end.h).
#include "tools/commands/run_end.h"

#include "engine/files/atomic_file.h"
#include "kernels/base/error.h"
#include "tools/cli/failure.h"
#include "tools/cli/output.h"
#include "tools/report/deployed_accuracy.h"
#include "tools/report/reports.h"

#include <fmt/format.h>

namespace bsq {

namespace fs = std::filesystem;

namespace {

/// A line in train.log too, if there is room for it.
void warn(const std::string& line, Console& console) {
  try {
    console.warning(line);
  } catch (const Error&) {
  }
}

void measure_in_integers(RunReport& report, const Config& opened, Console& console) {
  try {
    measure_deployed_accuracy(report, opened, console);
    report.deployed = read_deployed_accuracy(report);
  } catch (...) {
    const std::string line =
        fmt::format("{}; so the report lacks the accuracy in integers, see it with: bsq eval {} --as deployed",
                    current_failure().message, report.path.string());
    if (report.config.quant.deployed)
      warn(line, console);
    else
      console.info(line);  // nobody has asked for it
  }
}

}  // namespace

void report_run(const fs::path& run, const Config& opened, bool quiet, Console& console) {
  std::string text;
  try {
    RunReport report = read_run_report(run);
    measure_in_integers(report, opened, console);
    text = fmt::format("\n{}\n", report_text(report));
    text += fmt::format("page: {}\n", write_reports({report}).string());
  } catch (...) {
    warn(fmt::format("{}; then write the report of this run with: bsq report {}", current_failure().message,
                     run.string()),
         console);
  }
  if (!quiet && !show_text(text))
    warn(fmt::format("the tables of the run could not be written to standard output; see them with: bsq report {}",
                     run.string()),
         console);
}

void finish_report(const RunDirectory& directory, const Config& opened, bool quiet, Console& console) {
  std::error_code ignored;
  if (!directory.writes() || fs::exists(directory.report() / "index.html", ignored)) return;
  if (fs::is_directory(directory.report(), ignored)) remove_leftovers(directory.report());
  report_run(directory.path(), opened, quiet, console);
}

}  // namespace bsq
