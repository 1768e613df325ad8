// The folder of one run, `runs/<name>/<YYYYmmdd-HHMMSS>-<hash6>/` (UTC; the configuration's hash) or an explicit one:
//
//     config.yaml      resolved configuration, runs alone
//     command.txt      one line per start or resume
//     overrides.txt    one per line
//     env.json         machine and build; and, once a stage has begun, how the device runs the convolutions
//     status.json      {state, stage, epoch, exit_code}
//     train.log        engine/run/console.h
//     metrics.jsonl    and metrics.csv, precision.jsonl: engine/run/run_log.h
//     checkpoints/     engine/files/checkpoint_dir.h
//     report/
//
// Beside a generated folder lies a link `latest` (engine/files/links.h). A lock, held as long as the object lives,
// keeps a second process out.
#pragma once

#include "engine/files/folder_lock.h"

#include <nlohmann/json.hpp>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bsq {

struct RunDirectoryOptions {
  std::string name;                     // folder of the runs of one experiment
  std::filesystem::path root = "runs";  // where such folders lie
  std::filesystem::path explicit_path;  // --run-dir; empty: generated from root, name, time and configuration
  bool force = false;                   // --force: clear an existing run of what bsq wrote
  std::chrono::system_clock::time_point started = std::chrono::system_clock::now();

  std::string config_yaml;
  std::string command;
  std::vector<std::string> overrides;
  nlohmann::ordered_json env;
};

enum class RunState { running, done, failed, interrupted };

struct RunStatus {
  RunState state = RunState::running;
  std::string stage;
  int epoch = 0;
  int exit_code = 0;
};

std::string_view name_of(RunState state);

/// The status of a run. Throws Error(checkpoint) if the file is missing or damaged.
RunStatus read_run_status(const std::filesystem::path& run);
/// Whether a process is writing the run now; nothing if the file system has no locks, so that nobody knows.
std::optional<bool> is_being_written(const std::filesystem::path& run);

class RunDirectory {
 public:
  /// Makes the folder, locks it and writes the files that describe the run. Throws Error(usage) if the folder is not
  /// empty (with force: is not a run), is being written by another process, or cannot be made.
  static RunDirectory create(const RunDirectoryOptions& options);
  /// Locks an existing run and notes the command. Throws Error(usage) if there is none or it is being written.
  static RunDirectory resume(const std::filesystem::path& path, std::string_view command);
  /// The run that rank 0 has made or locked, for a rank that reads and does not write.
  static RunDirectory of_rank_0(const std::filesystem::path& path) { return {path, std::nullopt}; }

  /// The same for a rank that writes in place of rank 0, which has died; one that reads if its process still lives.
  static RunDirectory in_place_of_rank_0(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path config_file() const { return path_ / "config.yaml"; }
  std::filesystem::path checkpoints() const { return path_ / "checkpoints"; }
  std::filesystem::path report() const { return path_ / "report"; }
  std::filesystem::path train_log() const { return path_ / "train.log"; }

  /// Whether files of this run are ours to write.
  bool writes() const { return lock_.has_value(); }
  /// Atomic, so that a watching script never reads half a status; that of a failed run goes into the file that is there
  /// if there is no room for another. Nothing if the run is another rank's to write.
  void write_status(const RunStatus& status) const;
  /// An entry of env.json, written anew. Nothing if the run is another rank's to write.
  void add_to_environment(const std::string& name, const nlohmann::ordered_json& value) const;
  /// What the file system of the run does not have, and what is not protected therefore; empty if it has all.
  std::string unprotected() const { return lock_ ? lock_->unprotected() : ""; }
  RunStatus read_status() const { return read_run_status(path_); }

 private:
  RunDirectory(std::filesystem::path path, std::optional<FolderLock> lock);

  std::filesystem::path path_;
  std::optional<FolderLock> lock_;
};

}  // namespace bsq
