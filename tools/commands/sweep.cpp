// `bsq sweep`: every combination of several values of some keys, each an ordinary run in the folder of the sweep, and
// their comparison at the end. All configurations are checked before anything is written.
#include "engine/base/utc_time.h"
#include "engine/files/folder_lock.h"
#include "kernels/base/error.h"
#include "tools/cli/arguments.h"
#include "tools/cli/failure.h"
#include "tools/cli/output.h"
#include "tools/cli/signals.h"
#include "tools/report/report_tables.h"
#include "tools/report/reports.h"
#include "tools/session/config_schema.h"
#include "tools/session/run_files.h"
#include "tools/sweep/sweep_runner.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace bsq {
namespace {

namespace fs = std::filesystem;

struct SweepWords {
  ConfigWords words;
  SweepOptions options;
  std::string command;
  std::string resume;
  fs::path sweep_dir;
  bool dry_run = false;
};

bool parse(const Arguments& arguments, SweepWords& words) {
  CommandLine app("Runs an experiment with every combination of several values of some keys, and compares the runs.",
                  "bsq sweep");
  std::vector<std::string> given;
  app.add_option("words", given, "configuration file, and overrides with one value or several: bsq.alpha=3e-3,5e-3")
      ->option_text("CFG key=value,value...");
  app.add_option("--jobs", words.options.jobs, "runs at a time; where threads is not set, cores are divided among them")
      ->between(1, 1000)
      ->option_text("N");
  app.add_path("--resume", words.resume, "go on with a sweep: finished runs are left, all others go on or start")
      ->option_text("SWEEP");
  app.add_path("--sweep-dir", words.sweep_dir, "write here instead of <run.dir>/<name>/sweep-<time>-<hash>")
      ->option_text("DIR");
  app.add_flag("--dry-run", words.dry_run, "list the runs, write nothing");
  add_console_flags(app, words.options.console);
  app.footer(
      "\nExit code: 0 where all runs are done; else that of the first that failed; 128 + signal if stopped by one.");
  if (!parse_arguments(app, arguments)) return false;
  words.words = split_config_words(given, is_config_key);
  words.command = fmt::format("bsq sweep {}", fmt::join(arguments.words, " "));
  return true;
}

std::vector<SweepRun> runs_of(const SweepWords& words) {
  if (words.resume.empty()) {
    if (words.words.file.empty())
      fail(ErrorKind::usage, "bsq sweep: which configuration? usage: bsq sweep CFG key=value,value...");
    return plan_sweep(words.words.file, words.words.overrides);
  }
  if (!words.words.file.empty() || !words.words.overrides.empty() || !words.sweep_dir.empty())
    fail(ErrorKind::usage, "--resume {}: a sweep has its own configurations and folder; leave out all else",
         words.resume);
  return read_sweep(words.resume);
}

/// A new folder; create_directory decides between two processes that start in the same second.
fs::path make_folder(const SweepWords& words, const std::vector<SweepRun>& runs) {
  std::error_code code;
  if (!words.sweep_dir.empty()) {
    fs::create_directories(words.sweep_dir, code);
    check_file(code, ErrorKind::usage, words.sweep_dir, "cannot create the folder of the sweep");
    if (!fs::is_empty(words.sweep_dir, code))
      fail(ErrorKind::usage, "{} exists and is not empty; use --resume or another --sweep-dir",
           words.sweep_dir.string());
    return words.sweep_dir;
  }
  const Config& config = runs.front().config;
  const fs::path parent = fs::path(config.run.dir) / config.name;
  fs::create_directories(parent, code);
  check_file(code, ErrorKind::usage, parent, "cannot create the folder of the sweep");
  const std::string stem =
      fmt::format("sweep-{}-{}", utc_folder_stamp(std::chrono::system_clock::now()), sweep_hash(runs));
  for (int attempt = 1;; ++attempt) {
    const fs::path folder = parent / (attempt == 1 ? stem : fmt::format("{}-{}", stem, attempt));
    if (fs::create_directory(folder, code)) return folder;
    check_file(code, ErrorKind::usage, folder, "cannot create the folder of the sweep");
  }
}

FolderLock lock_sweep(const fs::path& folder) {
  if (auto lock = FolderLock::take(folder, ErrorKind::usage)) return std::move(*lock);
  fail(ErrorKind::usage, "{}: another bsq is running this sweep; wait for its end", folder.string());
}

/// The comparison of all runs that have something to show.
void report(const fs::path& folder, const std::vector<SweepRun>& runs, bool quiet, Console& console) {
  std::vector<RunReport> reports;
  for (const SweepRun& run : runs)
    if (is_run(folder / run.name)) reports.push_back(read_run_report(folder / run.name));
  if (reports.empty()) return;
  const fs::path page = write_reports(reports);
  if (!quiet && !show_text(fmt::format("\n{}\npage: {}\n", comparison_text(reports), page.string())))
    console.warning(fmt::format("the comparison could not be written to standard output; see it with: bsq report {}",
                                folder.string()));
}

/// Says what became of the runs; returns the exit code of the sweep.
int conclude(const fs::path& folder, const std::vector<SweepRun>& runs, const std::vector<SweepResult>& results) {
  int exit_code = stop_exit_code();
  std::string failures;
  for (std::size_t i = 0; i < runs.size(); ++i) {
    if (results[i].state != SweepState::failed) continue;
    if (exit_code == 0) exit_code = results[i].exit_code;
    failures += fmt::format("run {} failed (exit {}): {}\n", runs[i].name, results[i].exit_code, results[i].error);
  }
  if (!failures.empty()) print_failure({failures, exit_code});
  if (exit_code != 0)
    std::fputs(fmt::format("not all runs are done; go on with: bsq sweep --resume {}\n", folder.string()).c_str(),
               stderr);
  return exit_code;
}

}  // namespace

int sweep_command(const Arguments& arguments) {
  SweepWords words;
  if (!parse(arguments, words)) return 0;
  const std::vector<SweepRun> runs = runs_of(words);
  if (words.dry_run) {
    for (const SweepRun& run : runs) fmt::print("{}: {}\n", run.name, fmt::join(run.overrides, " "));
    return 0;
  }
  outlive_readers();
  const fs::path folder = words.resume.empty() ? make_folder(words, runs) : fs::path(words.resume);
  const FolderLock lock = lock_sweep(folder);
  if (words.resume.empty())
    write_sweep(folder, runs, words.command);
  else
    words.options.start_folder = start_folder_of_sweep(folder);
  Console console = words.options.console.console();
  console.info(fmt::format("sweep: {} runs in {}", runs.size(), folder.string()));
  if (!lock.unprotected().empty()) console.warning(lock.unprotected());
  catch_signals();
  const std::vector<SweepResult> results = run_sweep(folder, runs, words.options);
  if (stop_exit_code() == 0) report(folder, runs, words.options.console.quiet, console);
  return conclude(folder, runs, results);
}

}  // namespace bsq
