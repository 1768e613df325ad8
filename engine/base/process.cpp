// Everything is prepared before a fork; between fork and exec only system calls are made.
#include "engine/base/process.h"

#include "kernels/base/error.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <sstream>
#include <system_error>

namespace bsq {
namespace {

namespace fs = std::filesystem;

bool is_program(const fs::path& path) {
  std::error_code ignored;
  return fs::is_regular_file(path, ignored) && ::access(path.c_str(), X_OK) == 0;
}

}  // namespace

std::optional<fs::path> find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) return is_program(name) ? std::optional(fs::absolute(name)) : std::nullopt;
  const char* const path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string folder; std::getline(folders, folder, ':');) {
    fs::path program = fs::absolute(fs::path(folder.empty() ? "." : folder) / name);
    if (is_program(program)) return program;
  }
  return std::nullopt;
}

int run_program(const std::vector<std::string>& words, const fs::path& folder, const Streams& streams) {
  std::vector<std::string> texts = words;
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  const std::string path = folder.string(), input = streams.input.string(), output = streams.output.string(),
                    errors = streams.errors.string();
  constexpr int kWrites = O_WRONLY | O_CREAT | O_TRUNC;
  constexpr mode_t kMode = 0600;
  const pid_t id = ::fork();
  if (id == 0) {
    if (::chdir(path.c_str()) == 0 && ::dup2(::open(input.c_str(), O_RDONLY), STDIN_FILENO) >= 0 &&
        ::dup2(::open(output.c_str(), kWrites, kMode), STDOUT_FILENO) >= 0 &&
        ::dup2(::open(errors.c_str(), kWrites, kMode), STDERR_FILENO) >= 0)
      ::execv(pointers[0], pointers.data());
    ::_exit(kCouldNotStart);
  }
  if (id < 0) fail(ErrorKind::internal, "cannot start a process: {}", std::generic_category().message(errno));
  int status = 0;
  while (::waitpid(id, &status, 0) < 0)
    if (errno != EINTR) return kCouldNotStart;
  return WIFEXITED(status) ? WEXITSTATUS(status) : kCouldNotStart;
}

}  // namespace bsq
