// The loop around the children: start, listen, pass signals on, count.
#include "tools/sweep/sweep_runner.h"

#include "engine/run/run_directory.h"
#include "kernels/base/error.h"
#include "kernels/base/thread_count.h"
#include "tools/cli/signals.h"
#include "tools/session/run_files.h"
#include "tools/sweep/child_process.h"

#include <poll.h>

#include <algorithm>
#include <cstdio>
#include <memory>

namespace bsq {
namespace {

namespace fs = std::filesystem;

constexpr int kPollMilliseconds = 200;  // for a signal that came just before the poll

/// A damaged run counts as not done: resuming it says what is wrong with it.
bool is_done(const fs::path& run) {
  try {
    return is_run(run) && read_run_status(run).state == RunState::done;
  } catch (const Error&) {
    return false;
  }
}

class SweepRunner {
 public:
  SweepRunner(const fs::path& folder, const std::vector<SweepRun>& runs, const SweepOptions& options)
      : folder_(folder), runs_(runs), options_(options), console_(options.console.console()), results_(runs.size()) {}

  std::vector<SweepResult> run() {
    std::vector<std::size_t> waiting;
    for (std::size_t i = runs_.size(); i-- > 0;) {
      if (is_done(folder_ / runs_[i].name))
        results_[i].state = SweepState::done;
      else
        waiting.push_back(i);
    }
    if (const std::size_t done = runs_.size() - waiting.size(); done > 0)
      console_.info(fmt::format("{} of {} runs are done already", done, runs_.size()));
    finished_ = runs_.size() - waiting.size();
    while (!waiting.empty() || !active_.empty()) {
      if (take_request() == Request::stop) {
        stop();
        waiting.clear();
      }
      while (!waiting.empty() && active_.size() < static_cast<std::size_t>(options_.jobs)) {
        start(waiting.back());
        waiting.pop_back();
      }
      listen();
    }
    return results_;
  }

 private:
  struct Active {
    std::size_t run;
    std::unique_ptr<ChildProcess> process;
  };

  void start(std::size_t index) {
    const SweepRun& run = runs_[index];
    const fs::path folder = options_.start_folder.empty() ? folder_ : fs::absolute(folder_);
    std::vector<std::string> words = {"train",     sweep_config_file(folder, run).string(),
                                      "--run-dir", (folder / run.name).string(),
                                      "--resume",  "auto",
                                      "--color",   "never"};
    if (options_.jobs > 1 && run.config.threads == 0)
      words.push_back(fmt::format("threads={}", std::max(1, default_threads().threads / options_.jobs)));
    if (options_.console.quiet) words.emplace_back("--quiet");
    if (options_.console.verbose) words.emplace_back("--verbose");
    console_.info(fmt::format("run {}: {}", run.name, (folder_ / run.name).string()));
    active_.push_back({index, std::make_unique<ChildProcess>(words, options_.start_folder.string())});
  }

  /// Sends the signal once: a second one would end the runs without checkpoints.
  void stop() {
    if (stopping_) return;
    stopping_ = true;
    for (const Active& active : active_) active.process->send(stop_exit_code() - kSignalExit);
  }

  void listen() {
    std::vector<pollfd> places;
    for (const Active& active : active_) places.push_back({active.process->output(), POLLIN, 0});
    ::poll(places.data(), places.size(), kPollMilliseconds);
    for (Active& active : active_) relay(active);
    std::erase_if(active_, [&](Active& active) {
      const auto end = active.process->end();
      if (end) note_end(active.run, *end);
      return end.has_value();
    });
  }

  void relay(const Active& active) {
    for (const std::string& line : active.process->take_lines()) {
      std::string& error = results_[active.run].error;
      constexpr std::string_view kError = "error: ";
      if (error.empty() && line.starts_with(kError)) error = line.substr(kError.size());
      std::fputs(fmt::format("{} | {}\n", runs_[active.run].name, line).c_str(), stderr);
    }
  }

  void note_end(std::size_t index, const ChildProcess::End& end) {
    SweepResult& result = results_[index];
    result.exit_code = end.exit_code;
    const bool was_stopped = stopping_ && (end.signal != 0 || end.exit_code == stop_exit_code());
    result.state = was_stopped                             ? SweepState::stopped
                   : end.signal == 0 && end.exit_code == 0 ? SweepState::done
                                                           : SweepState::failed;
    if (end.signal != 0) result.error = fmt::format("ended by signal {}", end.signal);
    if (result.state == SweepState::failed && result.error.empty()) result.error = "see its train.log";
    ++finished_;
    const char* word = result.state == SweepState::done ? "done" : was_stopped ? "stopped" : "failed";
    console_.info(fmt::format("run {}: {} ({} of {})", runs_[index].name, word, finished_, runs_.size()));
  }

  const fs::path& folder_;
  const std::vector<SweepRun>& runs_;
  const SweepOptions& options_;
  Console console_;
  std::vector<SweepResult> results_;
  std::vector<Active> active_;
  std::size_t finished_ = 0;
  bool stopping_ = false;
};

}  // namespace

std::vector<SweepResult> run_sweep(const fs::path& folder, const std::vector<SweepRun>& runs,
                                   const SweepOptions& options) {
  return SweepRunner(folder, runs, options).run();
}

}  // namespace bsq
