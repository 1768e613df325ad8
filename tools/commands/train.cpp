// `bsq train`: an experiment from its configuration, or a run resumed. Everything that can be checked is checked before
// the run directory is made: configuration, start model, data, device.
#include "engine/files/links.h"
#include "engine/ranks/ranks.h"
#include "engine/training/experiment.h"
#include "kernels/base/error.h"
#include "tools/cli/arguments.h"
#include "tools/cli/build_info.h"
#include "tools/cli/signals.h"
#include "tools/commands/run_end.h"
#include "tools/session/config_schema.h"
#include "tools/session/deployment_forecast.h"
#include "tools/session/fork.h"
#include "tools/session/network_checks.h"
#include "tools/session/open_experiment.h"
#include "tools/session/open_teacher.h"
#include "tools/session/rank_watch.h"
#include "tools/session/ranks.h"
#include "tools/session/run_files.h"
#include "tools/session/run_notes.h"

#include <fmt/ranges.h>

#include <cstdio>
#include <iostream>
#include <sstream>

namespace bsq {
namespace {

namespace fs = std::filesystem;

struct TrainOptions {
  ConfigWords words;
  ConsoleFlags console;
  std::string command;
  std::string resume;  // empty, "auto" or a run directory
  std::string fork;    // empty, or where another run is left
  fs::path run_dir;
  bool force = false;
  bool other_data = false;
  bool dry_run = false;
  bool print_config = false;
  bool help_keys = false;
};

bool parse(const Arguments& arguments, TrainOptions& options) {
  CommandLine app(
      "Runs the stages of an experiment: by default float training, conversion to bit planes, BSQ, finetuning.",
      "bsq train");
  std::vector<std::string> words;
  app.add_option("words", words, "configuration file, and overrides such as bsq.alpha=0.01")
      ->option_text("CFG [key=value ...]");
  app.add_path("--resume", options.resume,
               "go on with a run; auto: with the newest of this configuration's name, or start it")
      ->option_text("RUN|auto");
  app.add_path("--fork", options.fork, "a new run that takes over the past of another one, up to there")
      ->option_text("RUN[@STAGE|@EPOCH]");
  app.add_path("--run-dir", options.run_dir, "write here instead of <run.dir>/<name>/<time>-<hash>")
      ->option_text("DIR");
  app.add_flag("--force", options.force, "clear the run that is in --run-dir");
  app.add_flag("--other-data", options.other_data, "with --resume: go on although the images have changed");
  app.add_flag("--dry-run", options.dry_run, "open data, plan memory, take one step, write nothing");
  app.add_flag("--print-config", options.print_config, "print the configuration with every default and stop");
  app.add_flag("--help-keys", options.help_keys, "print every key of a configuration and stop");
  add_console_flags(app, options.console);
  app.footer("\nKeys that the published scripts have as flags are listed by --help-keys.");
  if (!parse_arguments(app, arguments)) return false;
  options.words = split_config_words(words, is_config_key);
  options.command = fmt::format("bsq train {}", fmt::join(arguments.words, " "));
  return true;
}

/// The run to go on with, or nothing for a fresh start.
std::optional<fs::path> run_to_resume(const TrainOptions& options, const Config& config) {
  if (options.resume.empty()) return std::nullopt;
  if (options.resume != "auto") return find_run(options.resume);
  const fs::path newest =
      follow_stand_ins(options.run_dir.empty() ? fs::path(config.run.dir) / config.name / "latest" : options.run_dir);
  if (is_run(newest)) return newest;
  return std::nullopt;
}

/// The answer of rank 0, on every rank: another rank may look after rank 0 has made a run.
std::optional<fs::path> agreed_run_to_resume(const TrainOptions& options, const Config& config, Communicator& ranks) {
  std::optional<fs::path> run;
  if (ranks.rank() == 0) run = run_to_resume(options, config);
  const std::string path = broadcast_text(ranks, run ? run->string() : "");
  if (path.empty()) return std::nullopt;
  return fs::path(path);
}

/// The run that rank 0 has made or locked, on every rank.
RunDirectory join(std::optional<RunDirectory> of_rank_0, Communicator& ranks) {
  const fs::path path = broadcast_text(ranks, of_rank_0 ? of_rank_0->path().string() : "");
  if (of_rank_0) return std::move(*of_rank_0);
  return RunDirectory::of_rank_0(path);
}

/// The given configuration, or with the overrides that of the run that is resumed or whose past is taken.
Config read_config(const TrainOptions& options, const std::optional<ForkPoint>& fork) {
  if (options.other_data && options.resume.empty() && options.fork.empty())
    fail(ErrorKind::usage, "--other-data: for runs that go on; use it with --resume or --fork");
  if (!options.fork.empty() && !options.resume.empty())
    fail(ErrorKind::usage, "--fork {}: begins a new run, --resume goes on with one; give one of them", options.fork);
  const bool resumes_named_run = !options.resume.empty() && options.resume != "auto";
  if (!resumes_named_run && !(fork && options.words.file.empty())) {
    if (options.words.file.empty())
      fail(ErrorKind::usage, "bsq train: which configuration? usage: bsq train CFG [key=value ...]");
    return load_config(config_schema(), options.words.file, options.words.overrides,
                       options.dry_run ? ConfigUse::plan : ConfigUse::run);
  }
  if (fork) return load_config(config_schema(), fork->run / "config.yaml", options.words.overrides);
  if (!options.words.file.empty())
    fail(ErrorKind::usage, "--resume {}: a run has its own configuration; leave out {}", options.resume,
         options.words.file);
  if (!options.run_dir.empty()) fail(ErrorKind::usage, "--resume {}: leave out --run-dir", options.resume);
  return load_config(config_schema(), find_run(options.resume) / "config.yaml", options.words.overrides);
}

/// Throws Error(checkpoint) with a line for every key that a resumed run must not change.
void check_same_experiment(const fs::path& run, const Config& now) {
  std::string message;
  for (const std::string& line :
       differences(load_config(config_schema(), run / "config.yaml"), now, CompareKeys::fixed_on_resume))
    message += fmt::format("{}--resume: {}; start a new run, or drop the override", message.empty() ? "" : "\n", line);
  if (!message.empty()) throw Error(ErrorKind::checkpoint, message);
}

/// What signals have asked of any rank, the same on all.
class AgreedRequests {
 public:
  explicit AgreedRequests(Communicator& ranks) : ranks_(ranks) {}

  Request take() {
    const Request own = take_request();
    constexpr int kCheckpoint = 1;  // a stop is sent as its exit code
    const int asked = largest_of(ranks_, own == Request::stop         ? stop_exit_code()
                                         : own == Request::checkpoint ? kCheckpoint
                                                                      : 0);
    if (asked > kCheckpoint) exit_code_ = asked;
    return asked > kCheckpoint ? Request::stop : asked == kCheckpoint ? Request::checkpoint : Request::none;
  }
  /// The exit code of a run that has been stopped.
  int exit_code() const { return exit_code_; }

 private:
  Communicator& ranks_;
  int exit_code_ = 0;
};

class TrainRun {
 public:
  TrainRun(const TrainOptions& options, const Config& config, std::optional<ForkPoint> fork, Console& console,
           Communicator& ranks)
      : options_(options),
        config_(config),
        opened_(config),
        fork_(std::move(fork)),
        console_(console),
        ranks_(ranks),
        requests_(ranks) {}

  /// `resumed`: the run to go on with, locked.
  int run(std::optional<RunDirectory> resumed) {
    if (resumed && options_.words.file.empty())
      opened_ = with_paths_of(resumed->path(), config_, options_.words.overrides);
    if (fork_ && options_.words.file.empty()) opened_ = with_paths_of(fork_->run, config_, options_.words.overrides);
    ExperimentSource source{.config = config_, .opened = opened_, .is_planned = options_.dry_run};
    // What rank 0 sees counts: another rank may look before the checkpoint is visible to it.
    const bool goes_on = largest_of(ranks_, resumed && resumed->writes() && has_checkpoint(*resumed) ? 1 : 0) == 1;
    if (goes_on) load_last_checkpoint(*resumed);
    if (fork_) take_checkpoint(fork_->files, fork_->run.string());
    if (checkpoint_) {
      const auto found = checkpoint_->tensors.find("model.safetensors");
      if (found != checkpoint_->tensors.end()) source.trained = &found->second;
    } else if (!config_.model.init.empty()) {
      source.init = open_start_model(read_model(opened_.model.init, console_), config_);
    }
    source.teacher = open_teacher(opened_, console_);
    OpenExperiment open(std::move(source), console_, ranks_);
    Experiment& experiment = open.experiment();
    if (trained_with_) check_same_data(*trained_with_, experiment.data(), opened_.data, options_.other_data, console_);
    if (checkpoint_) check_same_teacher(taught_by_, experiment.teacher_hash(), opened_.distill.model);
    if (options_.dry_run) {
      experiment.dry_run([](const std::string& line) {
        fmt::print("{}\n", line);
        std::fflush(stdout);
      });
      return 0;
    }
    const auto run_whole = [&](RunDirectory& directory, bool resumes) {
      const int code = run_in(directory, experiment, resumes);
      open.say_new_notes(console_);
      return code;
    };
    if (resumed) return run_whole(*resumed, true);
    RunDirectory directory = join(ranks_.rank() == 0 ? std::optional(create(open.backend())) : std::nullopt, ranks_);
    if (fork_) take_past(directory);
    return run_whole(directory, fork_.has_value());
  }

 private:
  void load_last_checkpoint(const RunDirectory& directory) {
    try {
      CheckpointFiles files = load_checkpoint(directory.checkpoints() / "last");
      for (const auto& [name, file] : files.tensors) check_finite(file);
      take_checkpoint(std::move(files), (directory.checkpoints() / "last").string());
    } catch (const Error& error) {
      leave_failed(directory, error.exit_code(), error.what());
      throw;
    }
  }

  void take_checkpoint(CheckpointFiles files, const std::string& where) {
    checkpoint_ = std::move(files);
    progress_of(*checkpoint_, config_, where);
    trained_with_ = fingerprint_from_json(checkpoint_->state, where);
    taught_by_ = teacher_from_json(checkpoint_->state, where);
  }

  /// What the other run has come to becomes the beginning of this one.
  void take_past(const RunDirectory& directory) {
    console_.info(fmt::format("{}: takes over the past of {} up to {}", directory.path().string(), fork_->run.string(),
                              fork_->checkpoint));
    if (!directory.writes()) return;
    try {
      copy_past(*fork_, directory, config_);
    } catch (const Error& error) {
      leave_failed(directory, error.exit_code(), error.what());
      throw;
    }
  }

  RunDirectory create(const Backend& backend) const {
    nlohmann::ordered_json env = environment(config_, backend, ranks_);
    if (fork_) env["fork"] = {{"run", fs::absolute(fork_->run).string()}, {"checkpoint", fork_->checkpoint}};
    // `--resume auto` in a folder whose run was killed before it had written anything worth keeping starts it again.
    std::error_code ignored;
    const bool never_began = options_.resume == "auto" && !options_.run_dir.empty() &&
                             !fs::exists(options_.run_dir / "checkpoints", ignored);
    return RunDirectory::create({.name = config_.name,
                                 .root = config_.run.dir,
                                 .explicit_path = options_.run_dir,
                                 .force = options_.force || never_began,
                                 .config_yaml = to_yaml(config_),
                                 .command = options_.command,
                                 .overrides = options_.words.overrides,
                                 .env = std::move(env)});
  }

  int run_in(RunDirectory& directory, Experiment& experiment, bool resumes) {
    try {
      const StageOutcome outcome = train(directory, experiment, resumes);
      const int exit_code = outcome == StageOutcome::done ? 0 : requests_.exit_code();
      note_status(directory, outcome == StageOutcome::done ? RunState::done : RunState::interrupted, exit_code);
      if (directory.writes() && outcome == StageOutcome::done)
        report_run(directory.path(), opened_, options_.console.quiet, console_);
      return exit_code;
    } catch (const Error& error) {
      leave_failed(directory, error.exit_code(), error.what());
      throw;
    } catch (const std::exception& error) {
      leave_failed(directory, static_cast<int>(ErrorKind::internal), error.what());
      throw;
    }
  }

  StageOutcome train(RunDirectory& directory, Experiment& experiment, bool resumes) {
    if (directory.writes()) console_.log_to(directory.train_log());
    console_.info(fmt::format("run: {}", directory.path().string()));
    if (const std::string gaps = directory.unprotected(); !gaps.empty()) console_.warning(gaps);
    const CheckpointFiles* checkpoint = checkpoint_ ? &*checkpoint_ : nullptr;
    const Progress from =
        checkpoint ? progress_of(*checkpoint, config_, (directory.checkpoints() / "last").string()) : Progress{};
    RunLog log = !directory.writes() ? RunLog::nowhere()
                 : resumes           ? RunLog::resume(directory.path(), from.logs)
                                     : RunLog::create(directory.path());
    if (config_.log.tensorboard && directory.writes()) log.add(start_tensorboard(directory, from));
    note_status(directory, RunState::running, 0);
    catch_signals();  // before a line tells anybody that the run is under way
    if (resumes)      // the number of a checkpoint counts the end of a stage as one more
      console_.info(
          fmt::format("resuming after {} epochs, {} steps", from.total_epochs - from.stage, from.total_steps));
    if (checkpoint && world_size_of(*checkpoint) != ranks_.world())
      console_.info(fmt::format(
          "resuming on {} rank{} what {} had begun: the same batches, in other slices, so that sums are rounded and "
          "batch norm is done in another way",
          ranks_.world(), ranks_.world() == 1 ? "" : "s", world_size_of(*checkpoint)));
    const StageOutcome outcome = run_watched(
        experiment,
        [&] {
          return experiment.run(
              directory, log, console_, [this] { return requests_.take(); }, checkpoint);
        },
        directory);
    if (outcome == StageOutcome::stopped)
      console_.info(
          fmt::format("stopped after a checkpoint; go on with: bsq train --resume {}", directory.path().string()));
    return outcome;
  }

  /// Watches the other ranks until `run` is over on all of them.
  StageOutcome run_watched(const Experiment& experiment, const std::function<StageOutcome()>& run,
                           const RunDirectory& directory) {
    RankWatch watch(experiment.communicator(), [&](const std::string& what) { report_dead_rank(directory, what); });
    try {
      const StageOutcome outcome = run();
      watch.stop();
      ranks_.barrier();  // nobody looks any more: from here on a rank may end
      return outcome;
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::device) watch.look_closer();
      throw;
    }
  }

  TensorBoard start_tensorboard(const RunDirectory& directory, const Progress& from) const {
    const int epochs_done = epochs_before(config_, from.stage) + from.epoch;
    TensorBoard board = TensorBoard::start(directory.path(), epochs_done);
    std::string markdown;  // indented, so that it is shown as it is
    std::istringstream lines(to_yaml(config_));
    for (std::string line; std::getline(lines, line);) markdown += "    " + line + "\n";
    board.text(epochs_done, "config", markdown);
    return board;
  }

  /// The first error is the one to report: failing to note it must not hide it.
  static void leave_failed(const RunDirectory& directory, int exit_code, const std::string& error) {
    try {
      note_failure(directory, exit_code, error);
    } catch (const Error&) {
    }
  }

  const TrainOptions& options_;
  const Config& config_;
  Config opened_;  // the same, with the paths by which its files are found from here
  std::optional<ForkPoint> fork_;
  Console& console_;
  Communicator& ranks_;
  AgreedRequests requests_;
  std::optional<CheckpointFiles> checkpoint_;    // what the run goes on from
  std::optional<DataFingerprint> trained_with_;  // as the checkpoint says
  std::string taught_by_;                        // likewise; empty: by nobody
};

int train_on_ranks(const Arguments& arguments, Communicator& ranks) {
  TrainOptions options;
  if (!parse(arguments, options)) return 0;
  if (options.help_keys) {
    fmt::print("{}", describe_keys(config_schema()));
    return 0;
  }
  std::optional<ForkPoint> fork;
  if (!options.fork.empty()) fork = find_fork(options.fork);
  const Config config = read_config(options, fork);
  check_same_text(ranks, config_hash(config), ErrorKind::usage,
                  "has another configuration than rank 0; give all the same files and overrides");
  if (fork) check_same_past(*fork, config);
  const std::optional<fs::path> resumed_run = agreed_run_to_resume(options, config, ranks);
  if (resumed_run)
    check_same_experiment(*resumed_run, config);
  else
    check_network(config);
  if (options.print_config) {
    fmt::print("{}", to_yaml(config));
    return 0;
  }
  outlive_readers();
  Console console = console_of(options.console, ranks);
  for (const std::string& warning : config_warnings(config)) console.warning(warning);
  if (!resumed_run)
    for (const std::string& warning : deployment_warnings(config)) console.warning(warning);
  std::optional<RunDirectory> directory;
  if (resumed_run) {
    if (ranks.rank() == 0) directory = RunDirectory::resume(*resumed_run, options.command);
    directory = join(std::move(directory), ranks);
    if (largest_of(ranks, directory->writes() && directory->read_status().state == RunState::done ? 1 : 0) == 1) {
      console.info(fmt::format("{}: this run is complete, nothing to do", resumed_run->string()));
      finish_report(*directory, with_paths_of(*resumed_run, config, options.words.overrides), options.console.quiet,
                    console);
      return 0;
    }
  }
  return TrainRun(options, config, std::move(fork), console, ranks).run(std::move(directory));
}

}  // namespace

int train_command(const Arguments& arguments) {
  return run_on_ranks([&](Communicator& ranks) { return train_on_ranks(arguments, ranks); });
}

}  // namespace bsq
