// Exceptions become messages and exit codes.
#include "tools/cli/failure.h"

#include "kernels/base/error.h"

#include <cstdio>
#include <exception>
#include <new>
#include <sstream>

namespace bsq {

Failure current_failure() {
  try {
    throw;
  } catch (const Error& error) {
    return {error.what(), error.exit_code()};
  } catch (const std::bad_alloc&) {
    return {"out of memory; lower data.batch_size", static_cast<int>(ErrorKind::device)};
  } catch (const std::exception& error) {
    return {fmt::format("internal: {}; please report it with `bsq info`", error.what()),
            static_cast<int>(ErrorKind::internal)};
  }
}

void print_failure(const Failure& failure, const std::string& who) {
  std::istringstream lines(failure.message);
  for (std::string line; std::getline(lines, line);)  // not by fmt, which throws if stderr cannot be written
    std::fputs(fmt::format("error: {}{}\n", who, line).c_str(), stderr);
}

}  // namespace bsq
