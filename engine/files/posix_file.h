// A file descriptor with an owner, and the one place where an errno becomes a sentence.
//
// Every failure is a bsq::Error `<path>: <what failed>: <what the system says>; <what to do>`. Plain system calls
// instead of streams, because what a run writes must survive its crash (fsync) and a failed write must say why (errno).
#pragma once

#include "kernels/base/error.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

namespace bsq {

/// Throws `runs/a/metrics.jsonl: cannot write: No space left on device; free some space on that disk`.
[[noreturn]] void fail_on_file(ErrorKind kind, const std::filesystem::path& path, std::string_view what,
                               int errno_value);

/// The same for a std::filesystem call; returns if `code` is success.
void check_file(const std::error_code& code, ErrorKind kind, const std::filesystem::path& path, std::string_view what);

/// What a file system says when it is asked for a lock. `unsupported`: it has none, as Lustre mounted without them.
enum class LockAnswer { taken, busy, unsupported };

class PosixFile {
 public:
  /// Opens a file for reading. Refuses folders, pipes and devices, and never waits on one.
  static PosixFile open_regular(const std::filesystem::path& path, ErrorKind kind);
  /// Makes a new file for writing; fails if one is already there. Errors name `shown_as`.
  static PosixFile create(const std::filesystem::path& path, ErrorKind kind, const std::filesystem::path& shown_as);
  /// Opens a file for writing at its end; makes it if it is missing.
  static PosixFile open_append(const std::filesystem::path& path, ErrorKind kind);
  /// Opens a file that is there for writing from its beginning, over what it holds.
  static PosixFile open_over(const std::filesystem::path& path, ErrorKind kind);

  PosixFile(PosixFile&& other) noexcept;
  PosixFile& operator=(PosixFile&& other) noexcept;
  ~PosixFile();

  /// All of `bytes` or an Error; after an Error a part of them may be in the file.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  /// Fills `bytes` from `offset`; an end of file before that is an Error.
  void read_at(std::int64_t offset, std::span<std::byte> bytes) const;

  std::int64_t size_bytes() const;
  void truncate(std::int64_t size_bytes);
  /// Returns once the content is on the disk.
  void sync();
  /// Takes the exclusive lock of the file until this object dies, which has to have the file open for writing; `busy`
  /// if another process (or object) holds it for as long as `patience`.
  LockAnswer try_lock(std::chrono::milliseconds patience = std::chrono::milliseconds(0));
  /// Enough for a process that was killed to be gone.
  static constexpr std::chrono::milliseconds kDyingTime{1000};

  /// As errors name it.
  const std::filesystem::path& path() const { return path_; }

 private:
  friend LockAnswer look_at_lock(const std::filesystem::path& path, ErrorKind kind);

  PosixFile(const std::filesystem::path& path, ErrorKind kind, int flags, std::string_view what,
            std::filesystem::path shown_as);
  LockAnswer ask_lock(int operation) const;

  std::filesystem::path path_;
  ErrorKind kind_;
  int descriptor_ = -1;
};

/// Whether somebody holds the lock of the file: `taken` means that it was free, for this moment. Needs no more than to
/// read the file.
LockAnswer look_at_lock(const std::filesystem::path& path, ErrorKind kind);

std::string read_text_file(const std::filesystem::path& path, ErrorKind kind);

/// Makes the names in a folder (created, renamed, removed entries) durable. Returns false if the file system does not
/// sync folders: then a rename is still atomic, but may be lost with the power.
bool sync_folder(const std::filesystem::path& folder, ErrorKind kind);

}  // namespace bsq
