// Finding runs.
#include "tools/session/run_files.h"

#include "engine/config/config_keys.h"
#include "engine/config/config_schema.h"
#include "engine/files/json.h"
#include "engine/files/links.h"
#include "engine/files/posix_file.h"
#include "kernels/base/error.h"
#include "tools/cli/build_info.h"

#include <algorithm>

namespace bsq {

namespace fs = std::filesystem;

bool is_run(const fs::path& folder) {
  std::error_code ignored;
  return fs::exists(folder / "config.yaml", ignored) && fs::exists(folder / "status.json", ignored);
}

fs::path find_run(const fs::path& path) {
  for (const fs::path& candidate : {follow_stand_ins(path), follow_stand_ins(path / "latest")})
    if (is_run(candidate)) return candidate;
  fail(ErrorKind::usage, "{}: is not a run directory (no config.yaml and status.json of a run in it); check the path",
       path.string());
}

std::optional<fs::path> run_of_checkpoint(const fs::path& checkpoint) {
  fs::path folder = fs::absolute(follow_stand_ins(checkpoint)).lexically_normal();
  for (int level = 0; level < 4 && folder.has_relative_path(); ++level, folder = folder.parent_path())
    if (is_run(folder)) return folder.lexically_proximate(fs::current_path());
  return std::nullopt;
}

std::optional<fs::path> start_folder_of(const fs::path& run) {
  const fs::path file = run / "env.json";
  std::error_code code;
  if (!fs::is_regular_file(file, code)) return std::nullopt;
  const auto environment = parse_json_or_discard(read_text_file(file, ErrorKind::checkpoint));
  if (!environment.is_object() || !environment.contains(kStartFolder) || !environment[kStartFolder].is_string())
    return std::nullopt;
  const fs::path folder = environment[kStartFolder].get<std::string>();
  if (!fs::is_directory(folder, code)) return std::nullopt;
  return folder;
}

bool is_overridden(std::span<const std::string> overrides, const std::string& key) {
  return std::any_of(overrides.begin(), overrides.end(), [&](const std::string& word) {
    return word.starts_with(key + "=") || word.starts_with("--" + key + "=");
  });
}

Config with_paths_of(const fs::path& run, Config config, std::span<const std::string> overrides) {
  const std::optional<fs::path> folder = start_folder_of(run);
  if (!folder) return config;
  for (const ConfigKey& key : config.schema().keys()) {
    if (!key.allowed.is_path || is_overridden(overrides, key.name)) continue;
    const fs::path path = std::get<std::string>(key.field.get(config));
    std::error_code code;
    if (path.empty() || path.is_absolute()) continue;
    if (!key.allowed.is_made && !fs::exists(*folder / path, code)) continue;
    if (!fs::equivalent(*folder, ".", code)) key.field.set(config, (*folder / path).string());
  }
  return config;
}

}  // namespace bsq
