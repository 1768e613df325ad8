#include "tools/verify/replay_starts.h"

#include "engine/files/atomic_file.h"
#include "engine/files/json.h"
#include "engine/files/links.h"
#include "engine/model/state_hash.h"
#include "kernels/base/error.h"

#include <algorithm>

namespace bsq {
namespace {

namespace fs = std::filesystem;

constexpr const char* kModelFile = "model.safetensors";

/// Of a checkpoint by its number, which counts the end of every stage as one more.
RunPlace place_of(const Config& config, int number) {
  for (const std::string& stage : config.stages) {
    const StageConfig* settings = config.find_stage(stage);
    const int epochs = settings == nullptr ? 0 : settings->epochs;
    if (number <= epochs) return {stage, number};
    if (number == epochs + 1) return {stage, epochs, true};
    number -= epochs + 1;
  }
  return {config.stages.back(), 0, true};
}

std::vector<fs::path> checkpoint_folders(const fs::path& checkpoints) {
  std::vector<fs::path> folders;
  std::error_code code;
  for (fs::directory_iterator entry(checkpoints, code), end; !code && entry != end; entry.increment(code)) {
    const std::string name = entry->path().filename().string();
    const bool is_number = name.size() > 6 && name.find_first_not_of("0123456789", 6) == std::string::npos;
    if (name.starts_with("epoch_") && is_number && name.size() < 15) folders.push_back(entry->path());
  }
  std::ranges::sort(folders, {}, [](const fs::path& path) { return std::stoi(path.filename().string().substr(6)); });
  return folders;
}

/// Whether the files of a folder are all there and as long as they were.
void check_complete(const fs::path& folder) {
  if (!complete_directory(folder)) fail(ErrorKind::checkpoint, "files are missing or cut short");
}

class Search {
 public:
  Search(const fs::path& run, const Config& config, const RunProofs& proofs)
      : run_(run), config_(config), proofs_(proofs) {}

  void add_start_of_run(const fs::path& init, bool has_init) {
    std::error_code ignored;
    if (has_init && !fs::exists(init, ignored))
      found_.no_start_of_run = fmt::format("the model that it began with is not here ({})", init.string());
    else
      found_.starts.push_back({.name = "the start of the run", .folder = {}, .progress = {}});
  }

  /// What a stage has handed on, from which the next one starts.
  void add_result(int stage) {
    const std::string& name = config_.stages[static_cast<std::size_t>(stage)];
    if (!proofs_.ends.contains(name)) return;
    const std::string file = fmt::format("checkpoints/{}", name);
    if (const std::string fault = model_fault(run_ / file, name); !fault.empty()) {
      const int epochs = epochs_before(config_, stage + 1) - epochs_before(config_, stage);
      found_.faults.push_back(fmt::format("{}: {} {}", RunPlace{name, epochs, true}.text(), file, fault));
      return;
    }
    found_.models.push_back(file);
    Progress progress;
    progress.stage = stage + 1;
    progress.total_epochs = epochs_before(config_, stage + 1) + stage + 1;
    for (const EpochProof& epoch : proofs_.epochs)
      if (stage_index(epoch.stage) <= stage) progress.total_steps = epoch.steps;
    if (progress.stage < static_cast<int>(config_.stages.size())) add({file, run_ / file, progress});
  }

  void add_checkpoint(const fs::path& folder) {
    const std::string name = folder.filename().string();
    const RunPlace place = place_of(config_, std::stoi(name.substr(6)));
    try {
      check_complete(folder);
      CheckpointFiles files;
      files.state = parse_json(read_text_file(folder / "state.json", ErrorKind::checkpoint));
      const Progress progress = progress_of(files, config_, folder.string());
      found_.data = fingerprint_from_json(files.state, folder.string());
      found_.teacher = teacher_from_json(files.state, folder.string());
      const bool is_result = progress.epoch == 0 && progress.step == 0 && progress.stage > 0;
      const std::string fault =
          is_result ? model_fault(folder, config_.stages[static_cast<std::size_t>(progress.stage - 1)]) : "";
      if (!fault.empty()) fail(ErrorKind::checkpoint, "{}", fault);
      if (is_result) found_.models.push_back(fmt::format("checkpoints/{}", name));
      const bool is_over = progress.stage >= static_cast<int>(config_.stages.size());
      // Of an epoch that was under way the log has no state before its end.
      if (progress.step > 0 || is_over) return;
      add({fmt::format("checkpoints/{}", name), folder, progress, 0, true});
    } catch (const std::exception& error) {
      found_.faults.push_back(fmt::format("{}: checkpoints/{}: {}", place.text(), name, error.what()));
    }
  }

  /// A run that has written checkpoints has a link to the newest.
  void check_last(RunState state) {
    const fs::path last = run_ / "checkpoints" / "last";
    if (is_link(last) ? complete_directory(follow_stand_ins(last)).has_value()
                      : proofs_.ends.empty() && state != RunState::done)
      return;
    const RunPlace place = proofs_.epochs.empty() ? RunPlace{config_.stages.front()}
                                                  : RunPlace{proofs_.epochs.back().stage, proofs_.epochs.back().epoch};
    found_.faults.push_back(
        fmt::format("{}: the newest checkpoint, checkpoints/last, is gone or not complete", place.text()));
  }

  KeptFiles take() {
    std::ranges::stable_sort(found_.starts, [](const ReplayStart& a, const ReplayStart& b) {
      return std::pair(a.epochs_done, a.progress.stage) < std::pair(b.epochs_done, b.progress.stage);
    });
    return std::move(found_);
  }

 private:
  void add(ReplayStart start) {
    start.epochs_done = epoch_of_run(config_, start.progress.stage, start.progress.epoch);
    found_.starts.push_back(std::move(start));
  }

  int stage_index(const std::string& stage) const {
    return static_cast<int>(std::ranges::find(config_.stages, stage) - config_.stages.begin());
  }

  /// What is wrong with the model that a stage has handed on; empty if it is what the log says.
  std::string model_fault(const fs::path& folder, const std::string& stage) const {
    std::error_code ignored;
    if (!fs::exists(folder / kModelFile, ignored)) return "is gone";
    const std::string logged = proofs_.at_end(stage, "model_hash");
    if (logged.empty()) return {};
    try {
      const std::string found = hash_text(hash_of_tensors(read_safetensors(folder / kModelFile)));
      if (found == logged) return {};
      return fmt::format("is not the model that the log says (its hash is {}, in the log {})", found, logged);
    } catch (const Error& error) {
      return fmt::format("cannot be read: {}", error.what());
    }
  }

  const fs::path& run_;
  const Config& config_;
  const RunProofs& proofs_;
  KeptFiles found_;
};

}  // namespace

CheckpointFiles ReplayStart::load() const {
  CheckpointFiles files = load_checkpoint(folder);
  for (const auto& [file_name, file] : files.tensors) check_finite(file);
  if (!is_checkpoint) files.state = {{"progress", to_json(progress)}};
  return files;
}

int epoch_of_run(const Config& config, int stage, int epoch) {
  return epochs_before(config, stage) + epoch;
}

KeptFiles find_kept_files(const fs::path& run, const Config& config, const fs::path& init, const RunProofs& proofs) {
  Search search(run, config, proofs);
  search.add_start_of_run(init, !config.model.init.empty());
  for (int stage = 0; stage < static_cast<int>(config.stages.size()); ++stage) search.add_result(stage);
  for (const fs::path& folder : checkpoint_folders(run / "checkpoints")) search.add_checkpoint(folder);
  search.check_last(read_run_status(run).state);
  return search.take();
}

}  // namespace bsq
