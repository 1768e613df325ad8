// Everything the child needs is prepared before the fork; between fork and exec only system calls are made.
#include "tests/support/program.h"

#include "tests/support/catch.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

extern char** environ;

namespace bsq::test {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPatience = std::chrono::seconds(200);  // a loaded machine, a sanitizer
constexpr auto kPollInterval = std::chrono::milliseconds(1);
constexpr int kCouldNotStart = 125;
constexpr uid_t kNobody = 65534;

int memory_file(const char* name) {
  const int file = ::memfd_create(name, MFD_CLOEXEC);
  REQUIRE(file >= 0);
  return file;
}

std::string content_of(int file) {
  struct stat status {};
  REQUIRE(::fstat(file, &status) == 0);
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  const ssize_t count = ::pread(file, text.data(), text.size(), 0);
  text.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
  return text;
}

/// The descriptor the child gets; -1: none at all.
int open_sink(Sink sink, int kept) {
  if (sink == Sink::kept) return kept;
  if (sink == Sink::closed) return -1;
  if (sink == Sink::full_disk) {
    const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
    REQUIRE(full >= 0);
    return full;
  }
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  ::close(ends[0]);
  return ends[1];
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> environment_of(const Setup& setup) {
  std::map<std::string, std::string> values;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    values[text.substr(0, text.find('='))] = text.substr(text.find('=') + 1);
  }
  values.erase("NO_COLOR");
  values["OMP_WAIT_POLICY"] = "passive";
  for (const auto& [name, value] : setup.environment)
    if (value.empty())
      values.erase(name);
    else
      values[name] = value;
  std::vector<std::string> entries;
  for (const auto& [name, value] : values) entries.push_back(name + "=" + value);
  return entries;
}

struct Child {
  int program;  // open for execution: nobody may be unable to reach its path
  const char* folder;
  const Setup& setup;
  int out;
  int err;
  char** words;
  char** environment;
};

[[noreturn]] void become(const Child& child) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (const int signal : {SIGINT, SIGTERM, SIGPIPE, SIGXFSZ, SIGHUP, SIGUSR2, SIGXCPU}) ::signal(signal, SIG_DFL);
  if (child.setup.ignores_hangup) ::signal(SIGHUP, SIG_IGN);
  bool prepared = ::chdir(child.folder) == 0;
  const int nothing = ::open("/dev/null", O_RDONLY);
  prepared = prepared && ::dup2(nothing, STDIN_FILENO) >= 0;
  if (nothing > STDERR_FILENO) ::close(nothing);
  prepared = prepared && (child.out < 0 ? ::close(STDOUT_FILENO) : ::dup2(child.out, STDOUT_FILENO)) >= 0;
  prepared = prepared && (child.err < 0 ? ::close(STDERR_FILENO) : ::dup2(child.err, STDERR_FILENO)) >= 0;
  if (child.setup.file_size_limit_bytes >= 0) {
    const auto bytes = static_cast<rlim_t>(child.setup.file_size_limit_bytes);
    const rlimit limit{bytes, bytes};
    prepared = prepared && ::setrlimit(RLIMIT_FSIZE, &limit) == 0;
  }
  if (child.setup.as_nobody && ::geteuid() == 0)
    prepared = prepared && ::setgid(kNobody) == 0 && ::setuid(kNobody) == 0;
  if (child.setup.traced) prepared = prepared && ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0;
  if (prepared) ::fexecve(child.program, child.words, child.environment);
  ::_exit(kCouldNotStart);
}

}  // namespace

Program::Program(const Words& words, const Setup& setup) : out_(memory_file("stdout")), err_(memory_file("stderr")) {
  std::vector<std::string> texts = {setup.program.filename()};
  texts.insert(texts.end(), words.begin(), words.end());
  std::vector<std::string> entries = environment_of(setup);
  std::vector<char*> arguments = pointers_to(texts), environment = pointers_to(entries);
  const int program = ::open(setup.program.c_str(), O_RDONLY | O_CLOEXEC);
  REQUIRE(program >= 0);
  const std::string folder = setup.folder.string();
  const int out = open_sink(setup.out, out_), err = open_sink(setup.err, err_);
  const Child child{program, folder.c_str(), setup, out, err, arguments.data(), environment.data()};
  id_ = ::fork();
  if (id_ == 0) become(child);
  REQUIRE(id_ > 0);
  ::close(program);
  if (out >= 0 && out != out_) ::close(out);
  if (err >= 0 && err != err_) ::close(err);
}

Program::~Program() {
  if (id_ > 0) {
    ::kill(id_, SIGKILL);
    ::waitpid(id_, nullptr, 0);
  }
  ::close(out_);
  ::close(err_);
}

std::string Program::err() const {
  return content_of(err_);
}

bool Program::has_ended(int& status) const {
  const pid_t ended = ::waitpid(id_, &status, WNOHANG);
  REQUIRE((ended == 0 || ended == id_));
  return ended == id_;
}

void Program::wait_for(const std::string& text) {
  for (const auto deadline = Clock::now() + kPatience; Clock::now() < deadline;) {
    if (err().find(text) != std::string::npos) return;
    if (int status = 0; has_ended(status)) {
      const Outcome outcome = finished(status);
      FAIL("the program ended before it said '" << text << "': exit " << outcome.exit_code << "\n" << outcome.err);
    }
    std::this_thread::sleep_for(kPollInterval);
  }
  FAIL("'" << text << "' was not said for minutes:\n" << err());
}

void Program::send(int signal) const {
  REQUIRE(::kill(id_, signal) == 0);
}

Outcome Program::finish() {
  for (const auto deadline = Clock::now() + kPatience; Clock::now() < deadline;) {
    if (int status = 0; has_ended(status)) return finished(status);
    std::this_thread::sleep_for(kPollInterval);
  }
  FAIL("the program did not end for minutes:\n" << err());
  return {};
}

Outcome Program::finished(int status) {
  id_ = -1;
  Outcome outcome{WIFEXITED(status) ? WEXITSTATUS(status) : -1, WIFSIGNALED(status) ? WTERMSIG(status) : 0,
                  content_of(out_), content_of(err_)};
  for (const char* complaint : {"AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "runtime error:"})
    if (outcome.err.find(complaint) != std::string::npos) FAIL(outcome.err);
  if (outcome.exit_code == kCouldNotStart) FAIL("the program could not be started");
  return outcome;
}

Outcome run(const Words& words, const Setup& setup) {
  return Program(words, setup).finish();
}

std::string describe(const Words& words, const Outcome& outcome) {
  std::string text = "bsq";
  for (const std::string& word : words) text += " " + word;
  text += ": exit " + std::to_string(outcome.exit_code);
  if (outcome.signal != 0) text += ", signal " + std::to_string(outcome.signal);
  return text + "\n-- stdout\n" + outcome.out + "-- stderr\n" + outcome.err;
}

}  // namespace bsq::test
