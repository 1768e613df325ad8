// The program `bsq`: finds the subcommand, and is the one place where an Error becomes a message and an exit code.
#include "engine/base/suggest.h"
#include "kernels/base/error.h"
#include "tools/cli/build_info.h"
#include "tools/cli/failure.h"
#include "tools/cli/openmp_waiting.h"
#include "tools/commands/commands.h"
#include "tools/session/config_schema.h"
#include "tools/session/ranks.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <system_error>

namespace bsq {
namespace {

struct Command {
  const char* name;
  const char* arguments;
  const char* meaning;
  int (*run)(const Arguments&);
  bool computes = false;       // and so starts threads
  bool runs_on_ranks = false;  // may be started by mpirun
};

constexpr Command kCommands[] = {
    {"train", "CFG [key=value ...]", "run the stages of an experiment, or go on with --resume RUN", train_command,
     /*computes=*/true, /*runs_on_ranks=*/true},
    {"sweep", "CFG key=value,value...", "every combination of several values, and their comparison", sweep_command},
    {"eval", "CHECKPOINT [key=value ...]", "accuracy, bits of every layer, compression", eval_command,
     /*computes=*/true, /*runs_on_ranks=*/true},
    {"convert", "IN OUT", "float to bit planes (--bits, --scheme) and back (--to float)", convert_command},
    {"scheme", "CHECKPOINT", "bits of every layer as a file to be edited, for quant.scheme and convert",
     scheme_command},
    {"sensitivity", "CHECKPOINT [key=value ...]", "rise of the loss by layer and bits; a scheme for a budget",
     sensitivity_command, /*computes=*/true},
    {"what-if", "CHECKPOINT SCHEME", "size, operations and loss under a scheme, without training", what_if_command},
    {"export", "CHECKPOINT --format F", "a file for other programs, verified before it is there", export_command},
    {"predict", "MODEL PICTURES...", "what is on pictures, by a model in integers", predict_command},
    {"check", "FILE", "whether a deployed model computes here what it did where it was made", check_command},
    {"inspect", "FILE", "tensors, metadata and bits of a model file", inspect_command},
    {"report", "RUN...", "what a run has come to; several: a comparison", report_command},
    {"verify", "RUN [key=value ...]", "repeat epochs of a run and compare them with its log, bit by bit",
     verify_command,
     /*computes=*/true, /*runs_on_ranks=*/true},
    {"validate", "CFG [key=value ...]", "check a configuration, all errors at once", validate_command},
    {"data", "CFG [key=value ...]", "what its images are: counts, mean, duplicates, files that cannot be read",
     data_command},
    {"bench", "[ops|planes|step] [FILTER]", "how fast it is here, against what the machine can do", bench_command,
     /*computes=*/true},
    {"info", "", "version, build, machine, device", info_command},
};

void print_help() {
  fmt::print("bsq {}: mixed-precision quantization of networks, found while they train\n\nusage: bsq COMMAND ...\n\n",
             kVersion);
  for (const Command& command : kCommands)
    fmt::print("  {:<11} {:<27} {}\n", command.name, command.arguments, command.meaning);
  fmt::print(
      "\n  bsq COMMAND --help     options of a command\n"
      "  bsq train --help-keys  every key of a configuration, with the flag of the published scripts it replaces\n"
      "  bsq --version\n\n"
      "Exit codes: 0 done, 1 internal, 2 usage or configuration, 3 data, 4 checkpoint, 5 device, 6 diverged,\n"
      "7 verification, 128 + signal: stopped after a checkpoint (130 SIGINT, 143 SIGTERM, 129 SIGHUP, 140 SIGUSR2,\n"
      "152 SIGXCPU).\n");
}

int dispatch(char** argv, const std::vector<std::string>& words) {
  if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    print_help();
    return words.empty() ? static_cast<int>(ErrorKind::usage) : 0;
  }
  if (words[0] == "--version") {
    fmt::print("bsq {}\n", full_version());
    return 0;
  }
  std::vector<std::string> names;
  for (const Command& command : kCommands) {
    if (words[0] == command.name) {
      if (!command.runs_on_ranks) refuse_ranks(command.name);
      if (command.computes) shorten_openmp_spins(argv);
      return command.run({{words.begin() + 1, words.end()}, config_schema()});
    }
    names.emplace_back(command.name);
  }
  fail(ErrorKind::usage, "unknown {} '{}'{} (bsq --help)", words[0].starts_with('-') ? "option" : "command", words[0],
       did_you_mean(words[0], names));
}

/// A failed write shows in fflush at the end, or as a std::system_error of fmt if the buffer was written out before.
[[noreturn]] void fail_on_stdout() {
  fail(ErrorKind::usage, "cannot write to standard output; is the disk full, or the reader gone?");
}

/// Runs the command and writes its whole output; returns the exit code.
int run(char** argv, const std::vector<std::string>& words) {
  int exit_code = 0;
  try {
    exit_code = dispatch(argv, words);
  } catch (const std::system_error&) {
    if (std::ferror(stdout) != 0) fail_on_stdout();
    throw;
  }
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) fail_on_stdout();
  return exit_code;
}

/// A standard stream that is closed (`2>&-`) must not become the descriptor of a file of ours and be written into.
void occupy_closed_streams() {
  constexpr int kLastStandardStream = 2;
  int null = ::open("/dev/null", O_RDWR);
  while (null >= 0 && null <= kLastStandardStream) null = ::dup(null);
  if (null > kLastStandardStream) ::close(null);
}

}  // namespace
}  // namespace bsq

int main(int argc, char** argv) {
  bsq::occupy_closed_streams();
  std::signal(SIGXFSZ, SIG_IGN);  // a file at its limit (ulimit -f) is a failed write with a message, not the end
  try {
    return bsq::run(argv, {argv + 1, argv + argc});
  } catch (...) {
    const bsq::Failure failure = bsq::current_failure();
    bsq::print_failure(failure);
    return failure.exit_code;
  }
}
