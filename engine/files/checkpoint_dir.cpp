// Checkpoint folders (engine/files/checkpoint_dir.h), built on atomic folders and links (engine/files/atomic_file.h).
#include "engine/files/checkpoint_dir.h"

#include "engine/files/json.h"
#include "engine/files/atomic_file.h"
#include "engine/files/links.h"
#include "engine/files/posix_file.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

namespace bsq {
namespace {

namespace fs = std::filesystem;
constexpr const char* kStateFile = "state.json";
constexpr const char* kTensorExtension = ".safetensors";

/// "epoch_0012" and "epoch_0012.bsq-old" give 12; any other name gives nothing.
std::optional<long> epoch_of(std::string_view name) {
  constexpr std::string_view kPrefix = "epoch_";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  if (name.ends_with(kOldSuffix)) name.remove_suffix(std::string_view(kOldSuffix).size());
  long epoch = 0;
  const auto [end, code] = std::from_chars(name.data(), name.data() + name.size(), epoch);
  if (code != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return epoch;
}

/// Epoch folders up to `newest`, the newest first.
std::vector<std::pair<long, fs::path>> epochs_until(const fs::path& checkpoints, long newest) {
  std::vector<std::pair<long, fs::path>> epochs;
  std::error_code code;
  for (fs::directory_iterator entry(checkpoints, code), end; !code && entry != end; entry.increment(code)) {
    const std::optional<long> epoch = epoch_of(entry->path().filename().string());
    if (epoch && *epoch <= newest) epochs.emplace_back(*epoch, entry->path());
  }
  check_file(code, ErrorKind::checkpoint, checkpoints, "cannot list");
  std::sort(epochs.rbegin(), epochs.rend());
  return epochs;
}

nlohmann::json read_state(const fs::path& path) {
  try {
    return parse_json(read_text_file(path, ErrorKind::checkpoint));
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::checkpoint, "{}: is not JSON ({}); the checkpoint is corrupt, use another one", path.string(),
         error.what());
  }
}

/// Whether anything in a folder is of a checkpoint.
bool has_part_of_checkpoint(const fs::path& folder) {
  std::error_code code;
  for (fs::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code)) {
    const fs::path name = entry->path().filename();
    if (name == kDoneMarker || name == kStateFile || name.extension() == kTensorExtension) return true;
  }
  return static_cast<bool>(code);  // who cannot look cannot say no
}

fs::path complete_checkpoint(const fs::path& folder) {
  if (const std::optional<fs::path> complete = complete_directory(folder)) return *complete;
  std::error_code code;
  if (!fs::exists(folder, code)) fail(ErrorKind::checkpoint, "{}: no such checkpoint; check the path", folder.string());
  if (!fs::is_directory(folder, code) || !has_part_of_checkpoint(folder)) {
    fail(ErrorKind::checkpoint, "{}: is not a checkpoint; give a checkpoint folder, a run directory or a {} file",
         folder.string(), kTensorExtension);
  }
  fail(ErrorKind::checkpoint,
       "{}: incomplete checkpoint ({} or a file it lists is missing or cut short); use another one", folder.string(),
       kDoneMarker);
}

}  // namespace

void save_checkpoint(const fs::path& folder, const CheckpointFiles& files) {
  AtomicDirectory building(folder);
  for (const auto& [name, file] : files.tensors) {
    require(fs::path(name).extension() == kTensorExtension && !fs::path(name).has_parent_path(),
            "'{}' is no name for a tensor file of a checkpoint", name);
    write_safetensors(building.path() / name, file);
  }
  write_file_atomically(building.path() / kStateFile,
                        files.state.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  building.commit();
}

CheckpointFiles load_checkpoint(const fs::path& folder) {
  const fs::path complete = complete_checkpoint(folder);
  CheckpointFiles files;
  files.state = read_state(complete / kStateFile);
  std::error_code code;
  for (fs::directory_iterator entry(complete, code), end; !code && entry != end; entry.increment(code)) {
    const fs::path& path = entry->path();
    if (path.extension() == kTensorExtension) files.tensors[path.filename().string()] = read_safetensors(path);
  }
  check_file(code, ErrorKind::checkpoint, complete, "cannot list");
  return files;
}

void update_last(const fs::path& checkpoints, const std::string& name, int keep_last) {
  require(keep_last >= 1, "keep_last = {}: the newest checkpoint must stay", keep_last);
  require(complete_directory(checkpoints / name).has_value(), "'{}' is not a complete checkpoint", name);
  replace_link(checkpoints / "last", name);

  keep_newest(checkpoints, name, keep_last);
}

void keep_newest(const fs::path& checkpoints, const std::string& name, int keep_last) {
  remove_leftovers(checkpoints);
  const std::optional<long> newest = epoch_of(name);
  if (!newest) return;
  std::set<long> kept;
  for (const auto& [epoch, path] : epochs_until(checkpoints, *newest)) {
    if (std::ssize(kept) < keep_last) kept.insert(epoch);
    if (!kept.contains(epoch)) remove_directory_atomically(path);
  }
}

fs::path resolve_checkpoint(const fs::path& named) {
  std::error_code code;
  const fs::path path = follow_stand_ins(named);
  // One of PyTorch's is told so by whoever reads it.
  if (fs::is_regular_file(path, code) && (path.extension() == kTensorExtension || is_pytorch_file(path))) return path;
  for (const fs::path& run : {path, follow_stand_ins(path / "latest")}) {
    const fs::path checkpoints = run / "checkpoints";
    if (!fs::is_directory(checkpoints, code) && !fs::is_regular_file(run / "config.yaml", code)) continue;
    if (!is_link(checkpoints / "last")) {
      fail(ErrorKind::checkpoint, "{}: the run has no finished checkpoint yet; wait for its first or start anew",
           run.string());
    }
    return complete_checkpoint(checkpoints / "last");
  }
  return complete_checkpoint(path);
}

}  // namespace bsq
