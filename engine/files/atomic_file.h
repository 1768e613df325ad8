// Files and folders that are there whole or not at all.
//
// A file is built beside its final name (`X.tmp-<number>`), synced, renamed, and the folder synced: any number of
// processes of any machine may write it at once, and the last one wins. A folder likewise, with a marker `DONE` written
// last that lists its files; if X exists already it steps aside as `X.bsq-old` for the moment between two renames, so
// that a complete folder is found whenever the power goes (complete_directory looks under both names). One process at a
// time writes a folder: a run is locked (engine/run/run_directory.h).
#pragma once

#include "engine/files/posix_file.h"
#include "kernels/base/error.h"

#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

namespace bsq {

inline constexpr const char* kDoneMarker = "DONE";
inline constexpr const char* kOldSuffix = ".bsq-old";

/// `<path>.tmp-<number>`, with 64 random bits: another name every time, for what is being built. What a crash leaves is
/// told by it (remove_leftovers).
std::filesystem::path temporary_name(const std::filesystem::path& path);

/// Removes whatever is there, folders with all that is in them; nothing if nothing is. Throws Error(kind).
void remove_entry(const std::filesystem::path& path, ErrorKind kind);
/// Throws Error(kind).
void rename_entry(const std::filesystem::path& from, const std::filesystem::path& to, ErrorKind kind);

/// A file written in pieces. Until commit() only the temporary file exists; without commit() it is removed.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path, ErrorKind kind = ErrorKind::checkpoint);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes) { file_.write(bytes); }
  void write(std::string_view text) { file_.write(text); }
  /// Where the content is until commit(), for a look at what has really been written.
  const std::filesystem::path& temporary() const { return temporary_; }
  /// Returns once the content is on the disk, so that several files can all be there before the first is committed.
  void sync() { file_.sync(); }
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  ErrorKind kind_;
  PosixFile file_;
  bool committed_ = false;
};

/// Looks at a temporary file before it gets its name; what it throws leaves the old file as it was.
using FileCheck = std::function<void(const std::filesystem::path& temporary)>;

/// Writes or replaces a file. On any failure the old file is as it was and an Error of `kind` says why.
void write_file_atomically(const std::filesystem::path& path, std::span<const std::byte> bytes,
                           ErrorKind kind = ErrorKind::checkpoint, const FileCheck& check = {});
void write_file_atomically(const std::filesystem::path& path, std::string_view text,
                           ErrorKind kind = ErrorKind::checkpoint, const FileCheck& check = {});

/// A flat folder filled under path() and moved to `target` by commit(). Without commit() it is removed.
/// Replaces an empty folder or one with a marker. Anything else at `target` belongs to somebody and is refused.
class AtomicDirectory {
 public:
  explicit AtomicDirectory(const std::filesystem::path& target, ErrorKind kind = ErrorKind::checkpoint);
  ~AtomicDirectory();
  AtomicDirectory(const AtomicDirectory&) = delete;
  AtomicDirectory& operator=(const AtomicDirectory&) = delete;

  const std::filesystem::path& path() const { return building_; }
  void commit();

 private:
  std::filesystem::path target_;
  std::filesystem::path building_;
  ErrorKind kind_;
  bool committed_ = false;
};

/// `folder` if its marker is there and every file the marker lists has its size, else `folder`.bsq-old likewise, else
/// nothing. A link (engine/files/links.h) is followed, so that a link whose target has just stepped aside is found too.
std::optional<std::filesystem::path> complete_directory(const std::filesystem::path& folder);

/// Removes a folder so that no half of it is ever seen under its name.
void remove_directory_atomically(const std::filesystem::path& folder, ErrorKind kind = ErrorKind::checkpoint);

/// Removes what a crash left in `folder`: every `<stem>.tmp-<number>`, of any stem if `stem` is empty.
void remove_leftovers(const std::filesystem::path& folder, std::string_view stem = {},
                      ErrorKind kind = ErrorKind::checkpoint);

}  // namespace bsq
