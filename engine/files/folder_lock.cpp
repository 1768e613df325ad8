// Locking a folder, and the trial of what its file system can do (engine/files/folder_lock.h).
#include "engine/files/folder_lock.h"

#include "engine/files/links.h"

#include <fmt/ranges.h>

#include <vector>

namespace bsq {
namespace {

namespace fs = std::filesystem;

std::string describe_gaps(const fs::path& folder, bool has_locks, ErrorKind kind) {
  std::vector<std::string> gaps;
  if (!has_locks) gaps.emplace_back("no locks, so that nothing keeps a second bsq from writing there as well");
  if (!has_symlinks(folder, kind)) gaps.emplace_back("no symbolic links, for which small text files stand in");
  if (!sync_folder(folder, kind))
    gaps.emplace_back("no sync of folders, so that the newest checkpoint may be lost with the power");
  if (gaps.empty()) return {};
  return fmt::format("{}: the file system there has {}", folder.string(), fmt::join(gaps, "; "));
}

}  // namespace

std::optional<FolderLock> FolderLock::take(const fs::path& folder, ErrorKind kind) {
  PosixFile file = PosixFile::open_append(folder / kLockFile, kind);
  const LockAnswer answer = file.try_lock(PosixFile::kDyingTime);
  if (answer == LockAnswer::busy) return std::nullopt;
  return FolderLock(std::move(file), describe_gaps(folder, answer == LockAnswer::taken, kind));
}

std::optional<bool> FolderLock::is_held(const fs::path& folder) {
  const LockAnswer answer = look_at_lock(folder / kLockFile, ErrorKind::checkpoint);
  if (answer == LockAnswer::unsupported) return std::nullopt;
  return answer == LockAnswer::busy;
}

}  // namespace bsq
