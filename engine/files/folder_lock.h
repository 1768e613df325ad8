// The lock of a folder that one process at a time may write, a run or a sweep, and what else its file system lacks.
#pragma once

#include "engine/files/posix_file.h"

#include <filesystem>
#include <optional>
#include <string>

namespace bsq {

/// Made first, so that its presence says that bsq made the folder.
inline constexpr const char* kLockFile = ".bsq-lock";

class FolderLock {
 public:
  /// Makes the lock file if it is missing and locks it for as long as the object lives; nothing if another process
  /// holds the lock for PosixFile::kDyingTime. Where the file system has no locks the folder is unprotected.
  /// Throws Error(kind) if the file cannot be opened for writing.
  static std::optional<FolderLock> take(const std::filesystem::path& folder, ErrorKind kind);

  /// Whether a process holds the lock of the folder now; nothing if its file system has no locks.
  /// Throws Error(checkpoint) if the lock file cannot be opened for reading.
  static std::optional<bool> is_held(const std::filesystem::path& folder);

  /// One sentence for a warning: what the file system lacks, and what is not protected therefore. Empty if it has
  /// locks and symlinks and syncs folders.
  const std::string& unprotected() const { return unprotected_; }

 private:
  FolderLock(PosixFile file, std::string unprotected) : file_(std::move(file)), unprotected_(std::move(unprotected)) {}

  PosixFile file_;
  std::string unprotected_;
};

}  // namespace bsq
