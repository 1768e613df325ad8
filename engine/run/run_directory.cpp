// Making, locking and clearing run folders (engine/run/run_directory.h).
#include "engine/run/run_directory.h"

#include "engine/files/json.h"
#include "engine/base/utc_time.h"
#include "engine/files/atomic_file.h"
#include "engine/files/links.h"
#include "kernels/base/hash.h"

#include <array>
#include <mutex>
#include <utility>

namespace bsq {
namespace {

namespace fs = std::filesystem;
constexpr const char* kEnvironmentFile = "env.json";
constexpr const char* kStatusFile = "status.json";

/// Everything a run writes, the lock aside; what --force removes.
constexpr std::array<const char*, 13> kRunEntries = {
    "config.yaml", "command.txt",     "overrides.txt", "env.json", kStatusFile, "train.log",    "metrics.jsonl",
    "metrics.csv", "precision.jsonl", "checkpoints",   "report",   "tb",        "deployed.json"};

constexpr int kMaxExitCode = 255;

constexpr std::array<std::pair<RunState, const char*>, 4> kStateNames = {{{RunState::running, "running"},
                                                                          {RunState::done, "done"},
                                                                          {RunState::failed, "failed"},
                                                                          {RunState::interrupted, "interrupted"}}};

void make_folder(const fs::path& folder) {
  std::error_code code;
  fs::create_directories(folder, code);
  check_file(code, ErrorKind::usage, folder, "cannot create the run directory");
}

FolderLock lock_run(const fs::path& folder) {
  if (auto lock = FolderLock::take(folder, ErrorKind::usage)) return std::move(*lock);
  fail(ErrorKind::usage, "{}: another bsq is writing this run; wait for its end or choose another --run-dir",
       folder.string());
}

/// A new folder under root/name. create_directory decides between two processes that start in the same second.
fs::path make_generated_folder(const RunDirectoryOptions& options) {
  const std::string& name = options.name;
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos) {
    fail(ErrorKind::usage,
         "run name '{}': must be the name of a folder, without '/'; change the name or give --run-dir", name);
  }
  const fs::path parent = options.root / name;
  make_folder(parent);
  const std::string stem = utc_folder_stamp(options.started) + "-" + short_text(hash_of(options.config_yaml));
  for (int attempt = 1;; ++attempt) {
    const fs::path folder = parent / (attempt == 1 ? stem : fmt::format("{}-{}", stem, attempt));
    std::error_code code;
    if (fs::create_directory(folder, code)) return folder;
    check_file(code, ErrorKind::usage, folder, "cannot create the run directory");
  }
}

void make_explicit_folder(const fs::path& folder, bool force) {
  std::error_code code;
  if (fs::exists(folder, code) && !fs::is_directory(folder, code)) {
    fail(ErrorKind::usage, "{}: is a file; choose another --run-dir", folder.string());
  }
  make_folder(folder);
  const bool is_empty = fs::is_empty(folder, code);
  check_file(code, ErrorKind::usage, folder, "cannot list the run directory");
  if (is_empty) return;
  if (!force) {
    fail(ErrorKind::usage, "{} exists and is not empty; use --resume, --force or another --run-dir", folder.string());
  }
  if (!fs::exists(folder / kLockFile, code)) {
    fail(ErrorKind::usage, "{} is not a run of bsq, and --force clears runs only; use another --run-dir",
         folder.string());
  }
}

void clear_run(const fs::path& folder) {
  for (const char* entry : kRunEntries) {
    std::error_code code;
    fs::remove_all(folder / entry, code);
    check_file(code, ErrorKind::usage, folder / entry, "cannot remove");
    remove_leftovers(folder, entry, ErrorKind::usage);
  }
}

void write_environment(const fs::path& folder, const nlohmann::ordered_json& env) {
  write_file_atomically(folder / kEnvironmentFile,
                        env.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

void write_description(const fs::path& folder, const RunDirectoryOptions& options) {
  std::string overrides;
  for (const std::string& entry : options.overrides) overrides += entry + "\n";
  write_file_atomically(folder / "config.yaml", options.config_yaml);
  write_file_atomically(folder / "command.txt", options.command + "\n");
  write_file_atomically(folder / "overrides.txt", overrides);
  write_environment(folder, options.env);
}

/// In one call, and with spaces behind a shorter text, so that a reader finds JSON at any moment.
void write_over(const fs::path& file, std::string text) {
  PosixFile there = PosixFile::open_over(file, ErrorKind::checkpoint);
  const auto size = static_cast<std::size_t>(there.size_bytes());
  if (text.size() + 1 < size) text.append(size - 1 - text.size(), ' ');
  there.write(text + "\n");
  there.sync();
}

}  // namespace

std::string_view name_of(RunState state) {
  for (const auto& [known, name] : kStateNames) {
    if (known == state) return name;
  }
  return "unknown";
}

std::optional<bool> is_being_written(const fs::path& run) {
  return FolderLock::is_held(run);
}

RunDirectory::RunDirectory(fs::path path, std::optional<FolderLock> lock)
    : path_(std::move(path)), lock_(std::move(lock)) {}

RunDirectory RunDirectory::create(const RunDirectoryOptions& options) {
  const bool generated = options.explicit_path.empty();
  const fs::path folder = generated ? make_generated_folder(options) : options.explicit_path;
  if (!generated) make_explicit_folder(folder, options.force);

  RunDirectory run(folder, lock_run(folder));
  if (options.force) clear_run(folder);
  write_description(folder, options);
  run.write_status({});
  if (generated) replace_link(folder.parent_path() / "latest", folder.filename(), ErrorKind::usage);
  return run;
}

RunDirectory RunDirectory::resume(const fs::path& named, std::string_view command) {
  std::error_code code;
  const fs::path path = follow_stand_ins(named);
  // The folder `latest` points at now, not whatever it points at later.
  const fs::path folder = fs::is_symlink(path, code) ? fs::canonical(path, code) : path;
  if (code || !fs::exists(folder / kLockFile, code) || !fs::exists(folder / "config.yaml", code)) {
    fail(ErrorKind::usage, "{}: is not a run directory (no config.yaml of a run in it); check the path",
         named.string());
  }
  RunDirectory run(folder, lock_run(folder));
  for (const char* entry : kRunEntries) remove_leftovers(folder, entry);
  // Half of an old checkpoint that could not be removed; a run at its end writes no other, which would remove it too.
  if (fs::is_directory(run.checkpoints(), code)) remove_leftovers(run.checkpoints());
  PosixFile::open_append(folder / "command.txt", ErrorKind::checkpoint).write(std::string(command) + "\n");
  return run;
}

RunDirectory RunDirectory::in_place_of_rank_0(const fs::path& path) {
  return {path, FolderLock::take(path, ErrorKind::checkpoint)};  // nothing: rank 0 may still be dying
}

void RunDirectory::write_status(const RunStatus& status) const {
  if (!writes()) return;
  nlohmann::ordered_json record;
  record["state"] = name_of(status.state);
  record["stage"] = status.stage;
  record["epoch"] = status.epoch;
  record["exit_code"] = status.exit_code;
  static std::mutex one_writer;  // what watches the other ranks writes on a thread of its own
  const std::lock_guard lock(one_writer);
  try {
    write_file_atomically(path_ / kStatusFile, record.dump() + "\n");
  } catch (const Error&) {
    if (status.state != RunState::failed) throw;
    write_over(path_ / kStatusFile, record.dump());  // a full disk has no room for a second file
  }
}

void RunDirectory::add_to_environment(const std::string& name, const nlohmann::ordered_json& value) const {
  if (!writes()) return;
  const fs::path file = path_ / kEnvironmentFile;
  std::error_code missing;
  const std::string before = fs::exists(file, missing) ? read_text_file(file, ErrorKind::checkpoint) : "";
  auto env = parse_json_or_discard<nlohmann::ordered_json>(before);
  if (!env.is_object()) env = nlohmann::ordered_json::object();  // no run depends on it
  env[name] = value;
  write_environment(path_, env);
}

RunStatus read_run_status(const fs::path& run) {
  const fs::path file = run / kStatusFile;
  try {
    const auto record = parse_json(read_text_file(file, ErrorKind::checkpoint));
    RunStatus status{RunState::running, record.at("stage"), json_count(record.at("epoch")),
                     json_count(record.at("exit_code"), kMaxExitCode)};
    for (const auto& [state, name] : kStateNames) {
      if (record.at("state") != name) continue;
      status.state = state;
      return status;
    }
    fail(ErrorKind::checkpoint, "{}: unknown state {}; the run directory is damaged", file.string(),
         record.at("state").dump());
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::checkpoint, "{}: is no status of a run ({}); the run directory is damaged", file.string(),
         error.what());
  }
}

}  // namespace bsq
