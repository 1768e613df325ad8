// Runs the built `bsq` as a person's shell does: words, folder, environment, limits; its two outputs are kept apart.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace bsq::test {

using Words = std::vector<std::string>;

/// Where an output of the program goes.
enum class Sink { kept, full_disk, gone_reader, closed };

struct Setup {
  std::filesystem::path folder = ".";              // the program's working directory
  std::filesystem::path program = BSQ_PROGRAM;     // or a copy of it, for what it looks for beside itself; or mpirun
  std::map<std::string, std::string> environment;  // added to our own; an empty value takes away
  Sink out = Sink::kept;
  Sink err = Sink::kept;
  long file_size_limit_bytes = -1;  // RLIMIT_FSIZE; -1: none
  bool ignores_hangup = false;      // as under nohup
  bool as_nobody = false;           // without the rights of root
  bool traced = false;              // stops at its first instruction for a tracer (tests/support/trace.h)
};

struct Outcome {
  int exit_code = -1;  // -1 if a signal ended it
  int signal = 0;
  std::string out;
  std::string err;

  bool operator==(int code) const { return exit_code == code; }
};

/// One run of the program. Whatever goes wrong with the machinery fails the test.
class Program {
 public:
  explicit Program(const Words& words, const Setup& setup = {});
  ~Program();  // kills what still runs
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  pid_t id() const { return id_; }
  std::string err() const;
  /// Waits until `text` stands in its stderr; fails the test if the program ends before.
  void wait_for(const std::string& text);
  void send(int signal) const;
  /// Waits for its end. Fails the test if a sanitizer complained, or if nothing happens for minutes.
  Outcome finish();
  /// The end as a tracer has seen it: `status` is that of waitpid.
  Outcome finished(int status);

 private:
  bool has_ended(int& status) const;

  pid_t id_ = -1;
  int out_ = -1;  // files in memory
  int err_ = -1;
};

Outcome run(const Words& words, const Setup& setup = {});

/// `bsq train ...: exit 2 \n stdout \n stderr`, for INFO.
std::string describe(const Words& words, const Outcome& outcome);

}  // namespace bsq::test
