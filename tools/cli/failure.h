// What went wrong, as a person and a shell are told: lines on stderr and an exit code.
#pragma once

#include <string>

namespace bsq {

struct Failure {
  std::string message;  // one line per thing that is wrong
  int exit_code = 1;
};

/// The failure that the exception being handled tells.
Failure current_failure();

/// `error: <who><line>` for every line of the message.
void print_failure(const Failure& failure, const std::string& who = "");

}  // namespace bsq
