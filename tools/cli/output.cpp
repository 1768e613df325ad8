// Writing to an output that may be gone.
#include "tools/cli/output.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

namespace bsq {

void lead_stdout_nowhere() {
  const int nowhere = ::open("/dev/null", O_WRONLY);
  if (nowhere < 0) return;
  ::dup2(nowhere, STDOUT_FILENO);
  ::close(nowhere);
}

bool show_text(const std::string& text) {
  std::fputs(text.c_str(), stdout);  // not by fmt, which throws where nobody reads
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return true;
  lead_stdout_nowhere();  // what is left in the buffer goes there
  std::clearerr(stdout);
  return false;
}

}  // namespace bsq
