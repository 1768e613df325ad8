// A disk that takes its time, or has no room left: loaded before the C library, it answers fsync() for one file.
// BSQ_STAND_IN_DISK="hold checkpoints/epoch_0005": the first fsync() of a file whose path holds this text makes a file
// `disk_holds` in the working directory, and returns when somebody has removed that. "full ...": it fails with ENOSPC.
#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

constexpr const char* kMarker = "disk_holds";

std::string path_of(int file) {
  char path[4096];
  const ssize_t length = ::readlink(("/proc/self/fd/" + std::to_string(file)).c_str(), path, sizeof(path));
  return {path, static_cast<std::size_t>(length < 0 ? 0 : length)};
}

void hold() {
  ::close(::open(kMarker, O_WRONLY | O_CREAT | O_CLOEXEC, 0666));
  while (::access(kMarker, F_OK) == 0) ::usleep(500);
}

}  // namespace

extern "C" int fsync(int file) {
  static const auto next = reinterpret_cast<int (*)(int)>(::dlsym(RTLD_NEXT, "fsync"));
  static const char* const variable = std::getenv("BSQ_STAND_IN_DISK");
  static std::atomic<bool> is_over = false;
  const std::string_view wish = variable == nullptr ? "" : variable;
  const std::size_t space = wish.find(' ');
  if (space == std::string_view::npos || path_of(file).find(wish.substr(space + 1)) == std::string::npos ||
      is_over.exchange(true))
    return next(file);
  if (wish.substr(0, space) == "full") {
    errno = ENOSPC;
    return -1;
  }
  hold();
  return next(file);
}
