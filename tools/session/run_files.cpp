// Finding runs.
#include "tools/session/run_files.h"

#include "engine/files/links.h"
#include "kernels/base/error.h"

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

}  // namespace bsq
