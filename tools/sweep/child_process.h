// This same program once more, as a child: in a process group of its own, so that a signal from the terminal reaches
// the parent alone, which passes it on once; its stderr is read line by line, its stdout leads nowhere. Should the
// parent die, the child gets SIGTERM.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace bsq {

class ChildProcess {
 public:
  /// Throws Error(internal) if no process can be started.
  explicit ChildProcess(const std::vector<std::string>& words);
  ~ChildProcess();  // kills what still runs
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// To poll for output; -1 after its end.
  int output() const { return output_; }
  /// The whole lines that have come since the last call; waits for none.
  std::vector<std::string> take_lines();
  void send(int signal) const;

  struct End {
    int exit_code = 0;
    int signal = 0;  // that ended it; else 0
  };
  /// Once the output has ended, and the process with it.
  std::optional<End> end();

 private:
  pid_t id_ = -1;
  int output_ = -1;
  std::string rest_;  // of a line
};

}  // namespace bsq
