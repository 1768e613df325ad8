// The order of system calls behind atomic_file.h: content to the disk, then the name, then the folder that holds the
// name.
#include "engine/files/atomic_file.h"

#include "engine/files/links.h"

#include <algorithm>
#include <cstdint>
#include <random>
#include <sstream>
#include <string>
#include <vector>

namespace bsq {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kTemporaryInfix = ".tmp-";

fs::path with_suffix(fs::path path, std::string_view suffix) {
  return path += suffix;
}

/// "a/b/" names the folder a/b: a suffix must follow the b.
fs::path without_trailing_slash(const fs::path& path) {
  return path.has_filename() ? path : path.parent_path();
}

std::vector<fs::path> entries_of(const fs::path& folder, ErrorKind kind) {
  std::error_code code;
  std::vector<fs::path> entries;
  for (fs::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code)) {
    entries.push_back(entry->path());
  }
  check_file(code, kind, folder, "cannot list");
  std::sort(entries.begin(), entries.end());
  return entries;
}

/// One line `<bytes> <name>` per file.
std::string marker_text(const fs::path& folder, ErrorKind kind) {
  std::string text;
  for (const fs::path& entry : entries_of(folder, kind)) {
    PosixFile file = PosixFile::open_regular(entry, kind);
    file.sync();
    text += fmt::format("{} {}\n", file.size_bytes(), entry.filename().string());
  }
  return text;
}

bool is_complete(const fs::path& folder) {
  const fs::path marker_path = folder / kDoneMarker;
  std::error_code code;
  const fs::file_status status = fs::status(marker_path, code);
  if (status.type() == fs::file_type::none) check_file(code, ErrorKind::checkpoint, marker_path, "cannot read");
  if (!fs::is_regular_file(status)) return false;
  std::istringstream marker(read_text_file(marker_path, ErrorKind::checkpoint));
  std::uintmax_t size_bytes = 0;
  for (std::string name; marker >> size_bytes && std::getline(marker >> std::ws, name);) {
    const std::uintmax_t found_bytes = fs::file_size(folder / name, code);
    if (code || found_bytes != size_bytes) return false;
  }
  return true;
}

void refuse_foreign(const fs::path& target, ErrorKind kind) {
  std::error_code code;
  if (!fs::exists(target, code) || fs::exists(target / kDoneMarker, code) || fs::is_empty(target, code)) return;
  fail(kind, "{}: exists and was not written by bsq (no {} in it); move it away or choose another name",
       target.string(), kDoneMarker);
}

bool is_temporary_of(const std::string& name, std::string_view stem) {
  const std::size_t infix = name.rfind(kTemporaryInfix);
  if (infix == std::string::npos) return false;
  const std::string_view number = std::string_view(name).substr(infix + kTemporaryInfix.size());
  const bool numbered = !number.empty() && number.find_first_not_of("0123456789") == std::string_view::npos;
  return numbered && (stem.empty() || std::string_view(name).substr(0, infix) == stem);
}

}  // namespace

fs::path temporary_name(const fs::path& path) {
  std::random_device system;  // two machines may write into one folder, so that numbers of processes are not enough
  const std::uint64_t number = std::uint64_t{system()} << 32 | system();
  return with_suffix(path, fmt::format("{}{}", kTemporaryInfix, number));
}

void remove_entry(const fs::path& path, ErrorKind kind) {
  std::error_code code;
  fs::remove_all(path, code);
  check_file(code, kind, path, "cannot remove");
}

void rename_entry(const fs::path& from, const fs::path& to, ErrorKind kind) {
  std::error_code code;
  fs::rename(from, to, code);
  check_file(code, kind, to, "cannot move into place");
}

AtomicFile::AtomicFile(const fs::path& path, ErrorKind kind)
    : path_(path), temporary_(temporary_name(path)), kind_(kind), file_(PosixFile::create(temporary_, kind, path)) {}

AtomicFile::~AtomicFile() {
  std::error_code ignored;
  if (!committed_) fs::remove(temporary_, ignored);
}

void AtomicFile::commit() {
  file_.sync();
  rename_entry(temporary_, path_, kind_);
  committed_ = true;
  sync_folder(path_.parent_path(), kind_);
}

void write_file_atomically(const fs::path& path, std::span<const std::byte> bytes, ErrorKind kind,
                           const FileCheck& check) {
  AtomicFile file(path, kind);
  file.write(bytes);
  if (check) check(file.temporary());
  file.commit();
}

void write_file_atomically(const fs::path& path, std::string_view text, ErrorKind kind, const FileCheck& check) {
  write_file_atomically(path, std::as_bytes(std::span(text)), kind, check);
}

AtomicDirectory::AtomicDirectory(const fs::path& target, ErrorKind kind)
    : target_(without_trailing_slash(target)), building_(temporary_name(target_)), kind_(kind) {
  refuse_foreign(target_, kind_);
  std::error_code code;
  const fs::path parent = target_.has_parent_path() ? target_.parent_path() : fs::path(".");
  fs::create_directories(parent, code);
  check_file(code, kind_, parent, "cannot create the folder");
  remove_leftovers(parent, target_.filename().string(), kind_);
  fs::create_directory(building_, code);
  check_file(code, kind_, building_, "cannot create the folder");
}

AtomicDirectory::~AtomicDirectory() {
  std::error_code ignored;
  if (!committed_) fs::remove_all(building_, ignored);
}

void AtomicDirectory::commit() {
  write_file_atomically(building_ / kDoneMarker, marker_text(building_, kind_), kind_);
  const fs::path old = with_suffix(target_, kOldSuffix);
  if (is_complete(target_)) {
    remove_entry(old, kind_);
    rename_entry(target_, old, kind_);
  } else {
    remove_entry(target_, kind_);  // half a folder is worth nothing, and an older whole one may still be `old`
  }
  std::error_code code;
  fs::rename(building_, target_, code);
  if (code) {
    std::error_code ignored;
    fs::rename(old, target_, ignored);
    fail_on_file(kind_, target_, "cannot move into place", code.value());
  }
  committed_ = true;
  sync_folder(target_.parent_path(), kind_);
  remove_entry(old, kind_);
}

std::optional<fs::path> complete_directory(const fs::path& folder) {
  fs::path name = without_trailing_slash(folder);
  constexpr int kMaxLinks = 8;  // a link may point at itself
  for (int links = 0; links < kMaxLinks; ++links) {
    const std::optional<fs::path> target = link_target(name);
    if (!target) break;
    name = without_trailing_slash(name.parent_path() / *target);
  }
  if (is_complete(name)) return name;
  const fs::path old = with_suffix(name, kOldSuffix);
  if (is_complete(old)) return old;
  return std::nullopt;
}

void remove_directory_atomically(const fs::path& folder, ErrorKind kind) {
  const fs::path doomed = temporary_name(folder);
  rename_entry(folder, doomed, kind);
  remove_entry(doomed, kind);
}

void remove_leftovers(const fs::path& folder, std::string_view stem, ErrorKind kind) {
  for (const fs::path& entry : entries_of(folder, kind)) {
    if (is_temporary_of(entry.filename().string(), stem)) remove_entry(entry, kind);
  }
}

}  // namespace bsq
