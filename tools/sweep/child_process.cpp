// Everything is prepared before the fork; between fork and exec only system calls are made.
#include "tools/sweep/child_process.h"

#include "kernels/base/error.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

namespace bsq {
namespace {

constexpr const char* kThisProgram = "/proc/self/exe";
constexpr int kCouldNotStart = 1;

[[noreturn]] void become(char** words, const char* folder, int output, pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(kCouldNotStart);  // the parent died before the child could watch it
  if (*folder != '\0' && ::chdir(folder) != 0) ::_exit(kCouldNotStart);
  const int nowhere = ::open("/dev/null", O_RDWR);
  if (nowhere >= 0 && ::dup2(nowhere, STDIN_FILENO) >= 0 && ::dup2(nowhere, STDOUT_FILENO) >= 0 &&
      ::dup2(output, STDERR_FILENO) >= 0)
    ::execv(kThisProgram, words);
  ::_exit(kCouldNotStart);
}

[[noreturn]] void fail_to_start(int errno_value) {
  fail(ErrorKind::internal, "cannot start a process: {}", std::generic_category().message(errno_value));
}

}  // namespace

ChildProcess::ChildProcess(const std::vector<std::string>& words, const std::string& folder) {
  std::vector<std::string> texts = {"bsq"};
  texts.insert(texts.end(), words.begin(), words.end());
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) fail_to_start(errno);
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  const pid_t parent = ::getpid();
  id_ = ::fork();
  if (id_ == 0) become(pointers.data(), folder.c_str(), ends[1], parent);
  const int errno_value = errno;
  ::close(ends[1]);
  output_ = ends[0];
  if (id_ > 0) return;
  ::close(output_);
  fail_to_start(errno_value);
}

ChildProcess::~ChildProcess() {
  if (output_ >= 0) ::close(output_);
  if (id_ <= 0) return;
  ::kill(id_, SIGKILL);
  ::waitpid(id_, nullptr, 0);
}

std::vector<std::string> ChildProcess::take_lines() {
  std::array<char, 4096> chunk{};
  while (output_ >= 0) {
    const ssize_t size = ::read(output_, chunk.data(), chunk.size());
    if (size > 0) {
      rest_.append(chunk.data(), static_cast<std::size_t>(size));
      continue;
    }
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) break;
    ::close(output_);
    output_ = -1;
    if (!rest_.empty()) rest_ += '\n';
  }
  std::vector<std::string> lines;
  for (std::size_t end = rest_.find('\n'); end != std::string::npos; end = rest_.find('\n')) {
    lines.push_back(rest_.substr(0, end));
    rest_.erase(0, end + 1);
  }
  return lines;
}

void ChildProcess::send(int signal) const {
  if (id_ > 0) ::kill(id_, signal);
}

std::optional<ChildProcess::End> ChildProcess::end() {
  if (output_ >= 0 || id_ <= 0) return std::nullopt;
  int status = 0;
  pid_t ended = 0;
  while ((ended = ::waitpid(id_, &status, 0)) < 0 && errno == EINTR) continue;
  id_ = -1;
  if (ended < 0) return End{kCouldNotStart, 0};
  return WIFEXITED(status) ? End{WEXITSTATUS(status), 0} : End{kCouldNotStart, WTERMSIG(status)};
}

}  // namespace bsq
