// Another disk than the one that is there: loaded before the C library, it answers calls that change files as other
// file systems do, or as a broken disk. What it does stands in BSQ_STAND_IN_DISK, words between spaces:
//   nfs_locks       flock() as on NFS (flock(2), "NFS details"): an exclusive lock needs a file opened for writing, a
//                   shared one a file opened for reading; else EBADF
//   flock=ERRNO     flock() fails; symlink=ERRNO, sync_folder=ERRNO (fsync() of a folder) likewise
//   below=FOLDER    the words after this one are about files below it: whose path holds this text
//   fail=N:ERRNO    the N-th call (0: the first) fails, without having done anything
//   always=N:ERRNO  this call and all after it that need room fail, as on a disk that is full
//   short=N         if the N-th call is a write, it writes half of its bytes and the next one fails with ENOSPC
//   room=BYTES      files below the folder have so much room together, in blocks as on any disk; a write is cut where
//                   the room ends, and one without any fails with ENOSPC. What is removed gives its room back.
//   list=FILE       every call is written into FILE, a line `<number> <name> <path>`
#include <dlfcn.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <string>

namespace {

struct Wishes {
  bool nfs_locks = false;
  int flock = 0, symlink = 0, sync_folder = 0;
  std::string below;
  long fail = -1, always = -1, cut = -1, room = -1;
  int fail_errno = 0, always_errno = 0;
  int list = -1;
};

template <typename Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

ssize_t real_write(int file, const void* bytes, size_t size) {
  static const auto call = next<ssize_t (*)(int, const void*, size_t)>("write");
  return call(file, bytes, size);
}

int real_open(const char* path, int flags, mode_t mode) {
  static const auto call = next<int (*)(const char*, int, ...)>("open");
  return call(path, flags, mode);
}

Wishes read_wishes() {
  Wishes wishes;
  const char* variable = std::getenv("BSQ_STAND_IN_DISK");
  std::string rest = variable == nullptr ? "" : variable;
  while (!rest.empty()) {
    const std::string word = rest.substr(0, rest.find(' '));
    rest.erase(0, word.size() + 1);
    const std::string name = word.substr(0, word.find('='));
    const std::string value = word.size() > name.size() ? word.substr(name.size() + 1) : "";
    const long number = std::atol(value.c_str());
    const int errno_value = std::atoi(value.substr(value.find(':') + 1).c_str());
    if (name == "nfs_locks") wishes.nfs_locks = true;
    if (name == "flock") wishes.flock = errno_value;
    if (name == "symlink") wishes.symlink = errno_value;
    if (name == "sync_folder") wishes.sync_folder = errno_value;
    if (name == "below") wishes.below = value;
    if (name == "fail") wishes.fail = number, wishes.fail_errno = errno_value;
    if (name == "always") wishes.always = number, wishes.always_errno = errno_value;
    if (name == "short") wishes.cut = number;
    if (name == "room") wishes.room = number;
    if (name == "list") wishes.list = real_open(value.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  }
  return wishes;
}

const Wishes& wishes() {
  static const Wishes read = read_wishes();
  return read;
}

std::string path_of(int file) {
  char path[4096];
  const ssize_t length = ::readlink(("/proc/self/fd/" + std::to_string(file)).c_str(), path, sizeof(path));
  return {path, static_cast<std::size_t>(length < 0 ? 0 : length)};
}

std::string path_of(int folder, const char* path) {
  if (path[0] == '/') return path;
  if (folder != AT_FDCWD) return path_of(folder) + "/" + path;
  char here[4096];
  return std::string(::getcwd(here, sizeof(here)) == nullptr ? "" : here) + "/" + path;
}

struct Verdict {
  bool fails = false;  // errno is set
  bool is_cut = false;
};

Verdict judge(const char* name, const std::string& path, bool needs_room) {
  static std::atomic<long> calls = 0;
  const Wishes& wish = wishes();
  if (wish.below.empty() || path.find(wish.below) == std::string::npos) return {};
  const long call = calls++;
  if (wish.list >= 0) {
    const std::string line = std::to_string(call) + " " + name + " " + path + "\n";
    real_write(wish.list, line.data(), line.size());
  }
  int error = 0;
  if (call == wish.fail) error = wish.fail_errno;
  if (wish.always >= 0 && call >= wish.always && needs_room) error = wish.always_errno;
  if (wish.cut >= 0 && call > wish.cut && needs_room) error = ENOSPC;
  if (error != 0) errno = error;
  return {error != 0, call == wish.cut};
}

bool fails(const char* name, const std::string& path, bool needs_room = true) {
  return judge(name, path, needs_room).fails;
}

constexpr long kBlockBytes = 4096;

long in_blocks(long bytes) {
  return (bytes + kBlockBytes - 1) / kBlockBytes * kBlockBytes;
}

/// Of the files below the folder; one that another thread removes meanwhile has none.
long room_taken() {
  namespace fs = std::filesystem;
  long taken = 0;
  std::error_code code;
  for (fs::recursive_directory_iterator entry(wishes().below, code), end; !code && entry != end;
       entry.increment(code)) {
    std::error_code gone;
    if (!entry->is_regular_file(gone) || entry->is_symlink(gone)) continue;
    const auto size = entry->file_size(gone);
    if (!gone) taken += in_blocks(static_cast<long>(size));
  }
  return taken;
}

/// How many of `size` bytes there is room for in the file.
size_t room_for(int file, size_t size) {
  struct stat status {};
  if (wishes().room < 0 || ::fstat(file, &status) != 0 || path_of(file).find(wishes().below) == std::string::npos)
    return size;
  const bool appends = (::fcntl(file, F_GETFL) & O_APPEND) != 0;
  const long at = appends ? status.st_size : ::lseek(file, 0, SEEK_CUR);
  const long end = in_blocks(status.st_size) + std::max(wishes().room - room_taken(), 0L) / kBlockBytes * kBlockBytes;
  return std::min(size, static_cast<size_t>(std::max(end - at, 0L)));
}

bool opens_for_writing(int flags) {
  return (flags & O_ACCMODE) != O_RDONLY;
}

mode_t mode_of(int flags, va_list rest) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
}

}  // namespace

extern "C" {

int flock(int file, int operation) noexcept {
  if (wishes().flock != 0) {
    errno = wishes().flock;
    return -1;
  }
  const int mode = ::fcntl(file, F_GETFL) & O_ACCMODE;
  const bool wrong =
      ((operation & LOCK_EX) != 0 && mode == O_RDONLY) || ((operation & LOCK_SH) != 0 && mode == O_WRONLY);
  if (wishes().nfs_locks && wrong) {
    errno = EBADF;
    return -1;
  }
  return next<int (*)(int, int)>("flock")(file, operation);
}

int symlink(const char* target, const char* link) noexcept {
  if (wishes().symlink != 0) {
    errno = wishes().symlink;
    return -1;
  }
  if (fails("symlink", path_of(AT_FDCWD, link))) return -1;
  return next<int (*)(const char*, const char*)>("symlink")(target, link);
}

int fsync(int file) {
  struct stat status {};
  if (wishes().sync_folder != 0 && ::fstat(file, &status) == 0 && S_ISDIR(status.st_mode)) {
    errno = wishes().sync_folder;
    return -1;
  }
  if (fails("fsync", path_of(file))) return -1;
  return next<int (*)(int)>("fsync")(file);
}

int open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = mode_of(flags, rest);
  va_end(rest);
  if (opens_for_writing(flags) && fails("open", path_of(AT_FDCWD, path), (flags & O_CREAT) != 0)) return -1;
  return real_open(path, flags, mode);
}

int open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = mode_of(flags, rest);
  va_end(rest);
  if (opens_for_writing(flags) && fails("open", path_of(AT_FDCWD, path), (flags & O_CREAT) != 0)) return -1;
  return real_open(path, flags, mode);
}

ssize_t write(int file, const void* bytes, size_t size) {
  const Verdict verdict = judge("write", path_of(file), true);
  if (verdict.fails) return -1;
  static std::mutex one_writer;  // two would take the same room
  const std::lock_guard lock(one_writer);
  const size_t fitting = room_for(file, size);
  if (fitting == 0 && size > 0) {
    errno = ENOSPC;
    return -1;
  }
  return real_write(file, bytes, std::min(fitting, verdict.is_cut ? (size + 1) / 2 : size));
}

int ftruncate(int file, off_t size) noexcept {
  if (fails("ftruncate", path_of(file), false)) return -1;
  return next<int (*)(int, off_t)>("ftruncate")(file, size);
}

int rename(const char* from, const char* to) noexcept {
  if (fails("rename", path_of(AT_FDCWD, to))) return -1;
  return next<int (*)(const char*, const char*)>("rename")(from, to);
}

int mkdir(const char* path, mode_t mode) noexcept {
  if (fails("mkdir", path_of(AT_FDCWD, path))) return -1;
  return next<int (*)(const char*, mode_t)>("mkdir")(path, mode);
}

int remove(const char* path) noexcept {
  if (fails("remove", path_of(AT_FDCWD, path), false)) return -1;
  return next<int (*)(const char*)>("remove")(path);
}

int unlinkat(int folder, const char* path, int flags) noexcept {
  if (fails("unlinkat", path_of(folder, path), false)) return -1;
  return next<int (*)(int, const char*, int)>("unlinkat")(folder, path, flags);
}

/// The file is closed all the same, as Linux does it.
int close(int file) {
  static const auto call = next<int (*)(int)>("close");
  const int flags = ::fcntl(file, F_GETFL);
  const bool written = flags >= 0 && opens_for_writing(flags);
  const bool failing = written && fails("close", path_of(file), false);
  const int errno_value = errno;
  const int result = call(file);
  if (!failing) return result;
  errno = errno_value;
  return -1;
}

}  // extern "C"
