// This program once more, as a child. It is in a process group of its own, so that a signal from the terminal reaches
// the parent alone, which passes it on once. Its stderr is read line by line, its stdout is dropped. If the parent
// dies, the child gets SIGTERM.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace bsq {

class ChildProcess {
 public:
  /// It starts in `folder`; empty: in ours. Throws Error(internal) if no process can be started.
  explicit ChildProcess(const std::vector<std::string>& words, const std::string& folder = "");
  ~ChildProcess();  // kills what still runs
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// The descriptor to poll for output; -1 after its end.
  int output() const { return output_; }
  /// The whole lines that have come since the last call. Does not wait.
  std::vector<std::string> take_lines();
  void send(int signal) const;

  struct End {
    int exit_code = 0;
    int signal = 0;  // the one that ended it, or 0
  };
  /// How the process ended; nothing until its output has ended.
  std::optional<End> end();

 private:
  pid_t id_ = -1;
  int output_ = -1;
  std::string rest_;  // the beginning of a line
};

}  // namespace bsq
