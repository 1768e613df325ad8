// PTRACE_GET_SYSCALL_INFO tells entry from exit on every processor. All threads are traced: one of them writes
// checkpoints while another writes logs.
#include "tests/support/trace.h"

#include "tests/support/catch.h"

#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <csignal>
#include <functional>
#include <set>

namespace bsq::test {
namespace {

/// Calls that change what is on the disk; newer processors have only the variants with `at`.
constexpr std::array kFileCalls = {
    SYS_write,    SYS_fsync, SYS_ftruncate, SYS_renameat2, SYS_mkdirat, SYS_unlinkat, SYS_symlinkat,
#ifdef SYS_renameat
    SYS_renameat,
#endif
#ifdef SYS_rename
    SYS_rename,   SYS_mkdir, SYS_rmdir,     SYS_unlink,    SYS_symlink,
#endif
};

/// Lets a thread go on to its next stop at a system call, unless it is gone already.
void go_on(pid_t thread, int signal) {
  REQUIRE((::ptrace(PTRACE_SYSCALL, thread, nullptr, signal) == 0 || errno == ESRCH));
}

bool is_file_call(pid_t id) {
  __ptrace_syscall_info info{};
  if (::ptrace(static_cast<__ptrace_request>(PTRACE_GET_SYSCALL_INFO), id, sizeof info, &info) <= 0) {
    REQUIRE(errno == ESRCH);  // killed while it was stopped
    return false;
  }
  if (info.op != PTRACE_SYSCALL_INFO_ENTRY) return false;
  const auto number = static_cast<long>(info.entry.nr);
  return std::find(kFileCalls.begin(), kFileCalls.end(), number) != kFileCalls.end();
}

/// Calls `at_file_call` at each, before it happens. Returns the status of the program's end.
int follow(const Program& program, const std::function<void()>& at_file_call) {
  const pid_t id = program.id();
  int status = 0;
  REQUIRE(::waitpid(id, &status, 0) == id);
  REQUIRE(WIFSTOPPED(status));
  REQUIRE(::ptrace(PTRACE_SETOPTIONS, id, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL) ==
          0);
  std::set<pid_t> threads = {id};
  go_on(id, 0);
  while (true) {
    const pid_t thread = ::waitpid(-1, &status, __WALL);
    REQUIRE(thread > 0);
    if (!WIFSTOPPED(status)) {
      if (thread == id) return status;
      continue;
    }
    const bool is_new = threads.insert(thread).second;  // its first stop is of the tracer's making
    const bool at_call = WSTOPSIG(status) == (SIGTRAP | 0x80);
    const bool at_event = status >> 16 != 0;  // a thread has been made
    if (at_call && is_file_call(thread)) at_file_call();
    go_on(thread, is_new || at_call || at_event ? 0 : WSTOPSIG(status));
  }
}

Setup traced(Setup setup) {
  setup.traced = true;
  const char* options = std::getenv("ASAN_OPTIONS");  // the leak checker cannot work under a tracer
  setup.environment["ASAN_OPTIONS"] = std::string(options == nullptr ? "" : options) + ":detect_leaks=0";
  return setup;
}

}  // namespace

bool can_trace() {
  const pid_t id = ::fork();
  REQUIRE(id >= 0);
  if (id == 0) {
    const bool traced = ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0;
    ::_exit(traced ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(id, &status, 0) == id);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

std::size_t TracedRun::call_after(const std::string& text) const {
  const std::size_t position = outcome.err.find(text);
  INFO("looking for '" << text << "' in\n" << outcome.err);
  REQUIRE(position != std::string::npos);
  const auto found = std::lower_bound(err_bytes.begin(), err_bytes.end(), position + text.size());
  REQUIRE(found != err_bytes.end());
  return static_cast<std::size_t>(found - err_bytes.begin());
}

TracedRun trace(const Words& words, const Setup& setup) {
  Program program(words, traced(setup));
  TracedRun result;
  const int status = follow(program, [&] { result.err_bytes.push_back(program.err().size()); });
  result.outcome = program.finished(status);
  return result;
}

Outcome signal_at(std::size_t call, int signal, const Words& words, const Setup& setup) {
  Program program(words, traced(setup));
  std::size_t calls = 0;
  const int status = follow(program, [&] {
    if (calls++ == call) program.send(signal);  // SIGKILL comes before the call, another signal after it
  });
  const Outcome outcome = program.finished(status);
  if (calls <= call)
    FAIL("the program made " << calls << " file-changing calls, not " << call + 1 << "\n" << outcome.err);
  return outcome;
}

Outcome signal_after(const std::string& text, int signal, const Words& words, const Setup& setup) {
  Program program(words, traced(setup));
  bool is_sent = false;
  const int status = follow(program, [&] {
    if (is_sent || program.err().find(text) == std::string::npos) return;
    is_sent = true;
    program.send(signal);
  });
  const Outcome outcome = program.finished(status);
  if (!is_sent) FAIL("no file-changing call came after '" << text << "'\n" << outcome.err);
  return outcome;
}

}  // namespace bsq::test
