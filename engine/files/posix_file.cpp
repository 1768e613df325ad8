// System calls behind posix_file.h, each retried if a signal interrupts it.
#include "engine/files/posix_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <thread>
#include <utility>

namespace bsq {
namespace {

const char* advice_for(int errno_value) {
  switch (errno_value) {
    case ENOSPC:
    case EDQUOT: return "free some space on that disk";
    case EFBIG: return "raise the limit on file sizes (ulimit -f)";
    case EACCES:
    case EPERM: return "check the owner and the permissions of the file and its folder";
    case EROFS: return "the disk is read-only, choose another folder";
    case ENOENT:
    case ENOTDIR:
    case ELOOP: return "check the path";
    case EEXIST:
    case EISDIR:
    case ENOTEMPTY: return "choose another name or move what is there away";
    case EMFILE:
    case ENFILE: return "raise the limit on open files (ulimit -n)";
    case ENAMETOOLONG: return "choose a shorter name";
    default: return "check the disk";
  }
}

/// Runs a system call until no signal interrupts it.
template <typename Call>
auto retried(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

/// EINVAL: a device, or a file system that does not sync folders; the others: network and user-space file systems.
bool means_no_sync(int errno_value) {
  return errno_value == EINVAL || errno_value == EBADF || errno_value == ENOSYS || errno_value == EOPNOTSUPP ||
         errno_value == ENOTSUP;
}

/// ENOLCK: NFS whose server has no lock service.
bool means_no_locks(int errno_value) {
  return errno_value == ENOSYS || errno_value == EOPNOTSUPP || errno_value == ENOTSUP || errno_value == ENOLCK ||
         errno_value == EINVAL;
}

}  // namespace

void fail_on_file(ErrorKind kind, const std::filesystem::path& path, std::string_view what, int errno_value) {
  fail(kind, "{}: {}: {}; {}", path.string(), what, std::generic_category().message(errno_value),
       advice_for(errno_value));
}

void check_file(const std::error_code& code, ErrorKind kind, const std::filesystem::path& path, std::string_view what) {
  if (code) fail_on_file(kind, path, what, code.value());
}

PosixFile::PosixFile(const std::filesystem::path& path, ErrorKind kind, int flags, std::string_view what,
                     std::filesystem::path shown_as)
    : path_(std::move(shown_as)), kind_(kind) {
  constexpr mode_t kReadWriteForAll = 0666;  // the user's umask takes away what he does not want
  descriptor_ = retried([&] { return ::open(path.c_str(), flags | O_CLOEXEC, kReadWriteForAll); });
  if (descriptor_ < 0) fail_on_file(kind_, path_, what, errno);
}

PosixFile PosixFile::open_regular(const std::filesystem::path& path, ErrorKind kind) {
  constexpr int kFlags = O_RDONLY | O_NONBLOCK;  // O_NONBLOCK: opening a pipe would wait for a writer
  PosixFile file(path, kind, kFlags, "cannot open", path);
  struct stat status {};
  if (::fstat(file.descriptor_, &status) != 0) fail_on_file(kind, path, "cannot open", errno);
  if (S_ISDIR(status.st_mode)) fail(kind, "{}: is a folder; give a file", path.string());
  if (!S_ISREG(status.st_mode)) fail(kind, "{}: is not a regular file; give a file", path.string());
  return file;
}

PosixFile PosixFile::create(const std::filesystem::path& path, ErrorKind kind, const std::filesystem::path& shown_as) {
  return PosixFile(path, kind, O_WRONLY | O_CREAT | O_EXCL, "cannot create", shown_as);
}

PosixFile PosixFile::open_append(const std::filesystem::path& path, ErrorKind kind) {
  return PosixFile(path, kind, O_WRONLY | O_CREAT | O_APPEND, "cannot open for writing", path);
}

PosixFile PosixFile::open_over(const std::filesystem::path& path, ErrorKind kind) {
  return PosixFile(path, kind, O_WRONLY, "cannot open for writing", path);
}

PosixFile::PosixFile(PosixFile&& other) noexcept
    : path_(std::move(other.path_)), kind_(other.kind_), descriptor_(std::exchange(other.descriptor_, -1)) {}

PosixFile& PosixFile::operator=(PosixFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(kind_, other.kind_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

PosixFile::~PosixFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void PosixFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = retried([&] { return ::write(descriptor_, bytes.data(), bytes.size()); });
    if (written < 0) fail_on_file(kind_, path_, "cannot write", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void PosixFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text)));
}

void PosixFile::read_at(std::int64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t count = retried([&] { return ::pread(descriptor_, bytes.data(), bytes.size(), offset); });
    if (count < 0) fail_on_file(kind_, path_, "cannot read", errno);
    if (count == 0) fail(kind_, "{}: became shorter while it was read; try again", path_.string());
    bytes = bytes.subspan(static_cast<std::size_t>(count));
    offset += count;
  }
}

std::int64_t PosixFile::size_bytes() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) fail_on_file(kind_, path_, "cannot read the size", errno);
  return status.st_size;
}

void PosixFile::truncate(std::int64_t size_bytes) {
  if (retried([&] { return ::ftruncate(descriptor_, size_bytes); }) != 0) {
    fail_on_file(kind_, path_, "cannot truncate", errno);
  }
}

void PosixFile::sync() {
  const int result = retried([&] { return ::fsync(descriptor_); });
  if (result != 0 && !means_no_sync(errno)) fail_on_file(kind_, path_, "cannot write to the disk", errno);
}

LockAnswer PosixFile::ask_lock(int operation) const {
  if (retried([&] { return ::flock(descriptor_, operation | LOCK_NB); }) == 0) return LockAnswer::taken;
  if (errno == EWOULDBLOCK) return LockAnswer::busy;
  if (means_no_locks(errno)) return LockAnswer::unsupported;
  fail_on_file(kind_, path_, "cannot lock", errno);
}

LockAnswer PosixFile::try_lock(std::chrono::milliseconds patience) {
  constexpr std::chrono::milliseconds pause{20};
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (true) {
    const LockAnswer answer = ask_lock(LOCK_EX);
    if (answer != LockAnswer::busy || std::chrono::steady_clock::now() >= deadline) return answer;
    std::this_thread::sleep_for(pause);
  }
}

LockAnswer look_at_lock(const std::filesystem::path& path, ErrorKind kind) {
  // A shared lock keeps no other onlooker out. For writing too, if one may: some servers want that of every lock.
  const int access = ::access(path.c_str(), R_OK | W_OK) == 0 ? O_RDWR : O_RDONLY;
  return PosixFile(path, kind, access | O_NONBLOCK, "cannot open", path).ask_lock(LOCK_SH);
}

std::string read_text_file(const std::filesystem::path& path, ErrorKind kind) {
  const PosixFile file = PosixFile::open_regular(path, kind);
  std::string text(static_cast<std::size_t>(file.size_bytes()), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

bool sync_folder(const std::filesystem::path& folder, ErrorKind kind) {
  const std::filesystem::path name = folder.empty() ? "." : folder;
  const int descriptor = retried([&] { return ::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (descriptor < 0) fail_on_file(kind, name, "cannot open the folder", errno);
  const int result = retried([&] { return ::fsync(descriptor); });
  const int errno_value = errno;
  ::close(descriptor);
  if (result != 0 && !means_no_sync(errno_value)) fail_on_file(kind, name, "cannot write to the disk", errno_value);
  return result == 0;
}

}  // namespace bsq
