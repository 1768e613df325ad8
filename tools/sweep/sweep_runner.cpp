// The loop around the children: start, listen, pass signals on, count.
#include "tools/sweep/sweep_runner.h"

#include "engine/files/links.h"
#include "engine/run/run_directory.h"
#include "kernels/base/error.h"
#include "kernels/base/thread_count.h"
#include "tools/cli/signals.h"
#include "tools/session/fork.h"
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

/// Where a run takes over the past of another one.
struct Donor {
  std::size_t run = 0;
  std::size_t stages = 0;  // so many of its stages; 0: nothing can be taken over
};

class SweepRunner {
 public:
  SweepRunner(const fs::path& folder, const std::vector<SweepRun>& runs, const SweepOptions& options)
      : folder_(folder), runs_(runs), options_(options), console_(options.console.console()), results_(runs.size()) {}

  std::vector<SweepResult> run() {
    for (std::size_t i = 0; i < runs_.size(); ++i) {
      if (is_done(folder_ / runs_[i].name))
        results_[i].state = SweepState::done;
      else
        waiting_.push_back(i);
    }
    if (const std::size_t done = runs_.size() - waiting_.size(); done > 0)
      console_.info(fmt::format("{} of {} runs are done already", done, runs_.size()));
    finished_ = runs_.size() - waiting_.size();
    while (!waiting_.empty() || !active_.empty()) {
      if (take_request() == Request::stop) {
        stop();
        waiting_.clear();
      }
      start_what_can_start();
      listen();
    }
    return results_;
  }

 private:
  struct Active {
    std::size_t run;
    std::unique_ptr<ChildProcess> process;
  };

  fs::path checkpoints_of(std::size_t run) const { return folder_ / runs_[run].name / "checkpoints"; }

  /// The run that has the most of this one's past behind it.
  Donor find_donor(std::size_t index) const {
    Donor best;
    for (std::size_t other = 0; other < runs_.size(); ++other) {
      if (other == index) continue;
      const std::vector<std::string>& stages = runs_[other].config.stages;
      std::size_t shared = shared_stages(runs_[index].config, runs_[other].config);
      while (shared > best.stages && !can_be_forked(checkpoints_of(other) / stages[shared - 1])) --shared;
      if (shared > best.stages) best = {other, shared};
    }
    return best;
  }

  /// Whether another run is on its way to more of this one's past than a donor has: it runs, or is to be started
  /// before.
  bool has_better_to_come(std::size_t index, const Donor& donor) const {
    const auto is_better = [&](std::size_t other) {
      return shared_stages(runs_[index].config, runs_[other].config) > donor.stages;
    };
    return std::any_of(active_.begin(), active_.end(), [&](const Active& active) { return is_better(active.run); }) ||
           std::any_of(waiting_.begin(), std::find(waiting_.begin(), waiting_.end(), index), is_better);
  }

  /// Runs in their order; a run whose past another one trains waits for that.
  void start_what_can_start() {
    for (std::size_t i = 0; i < waiting_.size() && active_.size() < static_cast<std::size_t>(options_.jobs);) {
      const std::size_t run = waiting_[i];
      const bool has_begun = is_link(checkpoints_of(run) / "last");
      const Donor donor = has_begun ? Donor{} : find_donor(run);
      if (!has_begun && has_better_to_come(run, donor)) {
        ++i;
        continue;
      }
      start(run, donor);
      waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(i));
      i = 0;
    }
  }

  void start(std::size_t index, const Donor& donor) {
    const SweepRun& run = runs_[index];
    const fs::path folder = options_.start_folder.empty() ? folder_ : fs::absolute(folder_);
    std::vector<std::string> words = {"train",     sweep_config_file(folder, run).string(),
                                      "--color",   "never",
                                      "--run-dir", (folder / run.name).string()};
    const auto add = [&](std::initializer_list<std::string> more) { words.insert(words.end(), more); };
    if (donor.stages == 0) {
      add({"--resume", "auto"});
    } else {  // what is there has been begun and has come to nothing
      const SweepRun& other = runs_[donor.run];
      add({"--fork", fmt::format("{}@{}", (folder / other.name).string(), other.config.stages[donor.stages - 1]),
           "--force"});
    }
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
  std::vector<std::size_t> waiting_;  // to be started, in their order
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
