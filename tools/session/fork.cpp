#include "tools/session/fork.h"

#include "engine/files/links.h"
#include "engine/files/posix_file.h"
#include "engine/run/run_log.h"
#include "engine/training/experiment.h"
#include "kernels/base/error.h"
#include "tools/session/config_schema.h"
#include "tools/session/run_files.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace bsq {
namespace {

namespace fs = std::filesystem;

bool is_number(const std::string& text) {
  constexpr std::size_t kMostDigits = 9;
  return !text.empty() && text.size() <= kMostDigits &&
         std::ranges::all_of(text, [](char letter) { return letter >= '0' && letter <= '9'; });
}

std::string folder_of_epoch(long epoch) {
  return fmt::format("epoch_{:04}", epoch);
}

constexpr const char* kProgress = "progress";  // of a state.json that a run can go on from

/// What a person may write behind the @.
std::vector<std::string> places_in(const fs::path& checkpoints) {
  std::vector<std::string> places;
  std::error_code code;
  for (fs::directory_iterator entry(checkpoints, code), end; !code && entry != end; entry.increment(code)) {
    const std::string name = entry->path().filename().string();
    if (is_link(entry->path()) || !can_be_forked(entry->path())) continue;
    constexpr std::string_view kEpoch = "epoch_";
    places.push_back(name.starts_with(kEpoch) ? std::to_string(std::stol(name.substr(kEpoch.size()))) : name);
  }
  std::ranges::sort(places, {}, [](const std::string& place) {
    return std::pair{is_number(place) ? std::stol(place) : std::numeric_limits<long>::max(), place};
  });
  return places;
}

/// The folder of a place, or of the last checkpoint if there is none.
fs::path folder_of(const fs::path& run, const std::string& place) {
  const fs::path checkpoints = run / "checkpoints";
  if (place.empty()) {
    if (!is_link(checkpoints / "last"))
      fail(ErrorKind::checkpoint, "{}: the run has no finished checkpoint yet", run.string());
    return follow_stand_ins(checkpoints / "last");
  }
  const fs::path folder = checkpoints / (is_number(place) ? folder_of_epoch(std::stol(place)) : place);
  std::error_code code;
  if (place.find('/') == std::string::npos && fs::is_directory(folder, code)) return folder;
  fail(ErrorKind::checkpoint, "--fork {}@{}: has no such checkpoint; it has {}", run.string(), place,
       fmt::join(places_in(checkpoints), ", "));
}

/// Copies checkpoints of a run into another one, which has trained none of it but might have.
struct Past {
  fs::path from;
  fs::path to;
  std::string hash;  // of the other run's configuration

  void save(const std::string& name, CheckpointFiles files) const {
    if (files.state.contains("config_hash")) files.state["config_hash"] = hash;
    save_checkpoint(to / name, files);
  }
  void copy(const std::string& name) const {
    std::error_code code;
    if (fs::is_directory(from / name, code)) save(name, load_checkpoint(from / name));
  }
  void copy_best(const std::string& stage) const {
    const std::string name = best_of(stage);
    copy(name);
    std::error_code code;
    if (fs::is_directory(to / name, code)) replace_link(to / "best", name);
  }
  /// -1: there is none.
  int best_epoch(const std::string& stage) const {
    std::error_code code;
    if (!fs::is_directory(from / best_of(stage), code)) return -1;
    const nlohmann::json state = load_checkpoint(from / best_of(stage)).state;
    const auto epoch = state.find("epoch");
    return epoch != state.end() && epoch->is_number_integer() ? epoch->get<int>() : -1;
  }

  static std::string best_of(const std::string& stage) { return stage + "_best"; }
};

}  // namespace

std::size_t ForkPoint::stages_begun() const {
  const bool is_under_way = progress.epoch > 0 || progress.step > 0;
  return static_cast<std::size_t>(progress.stage) + (is_under_way ? 1 : 0);
}

bool can_be_forked(const fs::path& checkpoint) {
  std::error_code code;
  if (!fs::is_regular_file(checkpoint / "state.json", code)) return false;
  return read_text_file(checkpoint / "state.json", ErrorKind::checkpoint).find(fmt::format("\"{}\"", kProgress)) !=
         std::string::npos;
}

ForkPoint find_fork(const std::string& text) {
  std::error_code code;
  const std::size_t at = fs::exists(text, code) ? std::string::npos : text.rfind('@');
  ForkPoint fork{.run = find_run(text.substr(0, at)), .checkpoint = {}, .files = {}, .config = {}, .progress = {}};
  const fs::path folder = folder_of(fork.run, at == std::string::npos ? "" : text.substr(at + 1));
  fork.files = load_checkpoint(folder);
  for (const auto& [name, file] : fork.files.tensors) check_finite(file);
  fork.config = load_config(config_schema(), fork.run / "config.yaml", {});
  if (!fork.files.state.contains(kProgress))
    fail(ErrorKind::checkpoint, "{}: does not say how a run goes on from there; name another place: {}",
         folder.string(), fmt::join(places_in(fork.run / "checkpoints"), ", "));
  fork.progress = progress_of(fork.files, fork.config, folder.string());
  fork.checkpoint = folder.filename().string();
  return fork;
}

void check_same_past(const ForkPoint& fork, const Config& now) {
  std::string message;
  for (const std::string& line :
       differences_in_past(fork.config, now, fork.stages_begun(), CompareKeys::fixed_on_resume))
    message += fmt::format("{}--fork: {}, and has part in what is trained before {}", message.empty() ? "" : "\n", line,
                           fork.checkpoint);
  if (!message.empty()) throw Error(ErrorKind::usage, message);
}

void copy_past(const ForkPoint& fork, const RunDirectory& to, const Config& now) {
  RunLog::copy(fork.run, fork.progress.logs, to.path());
  const Past past{fork.run / "checkpoints", to.checkpoints(), config_hash(now)};
  for (std::size_t stage = 0; stage < static_cast<std::size_t>(fork.progress.stage); ++stage) {
    past.copy(fork.config.stages[stage]);
    past.copy_best(fork.config.stages[stage]);
  }
  CheckpointFiles last = fork.files;
  if (fork.progress.best_top1) {  // of the stage under way
    const std::string& stage = fork.config.stages[static_cast<std::size_t>(fork.progress.stage)];
    if (past.best_epoch(stage) == fork.progress.best_epoch)
      past.copy_best(stage);
    else  // a later model has taken its place: the best is looked for anew
      for (const char* key : {"best_top1", "best_holdout_top1"}) last.state[kProgress].erase(key);
  }
  const std::string name = folder_of_epoch(fork.progress.total_epochs);
  past.save(name, std::move(last));
  update_last(past.to, name, now.checkpoint.keep_last);
}

std::size_t shared_stages(const Config& a, const Config& b) {
  std::size_t shared = std::min(a.stages.size(), b.stages.size()) - 1;
  while (shared > 0 && !differences_in_past(a, b, shared, CompareKeys::all).empty()) --shared;
  return shared;
}

}  // namespace bsq
