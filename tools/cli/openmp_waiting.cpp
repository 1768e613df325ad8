// libgomp's threads spin for milliseconds by default. If another program wants a core too, the thread that shares it
// holds up the rest, which spin on the core it could have: a training step then takes three times as long. Spinning for
// microseconds costs nothing on an idle machine. libgomp reads its environment when it is loaded, before main(), hence
// the new start.
#include "tools/cli/openmp_waiting.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace bsq {

void shorten_openmp_spins(char** argv) {
  constexpr const char* spin_count = "1000";
  if (std::getenv("OMP_WAIT_POLICY") != nullptr || std::getenv("GOMP_SPINCOUNT") != nullptr) return;
  std::error_code unknown;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", unknown);
  if (unknown || setenv("GOMP_SPINCOUNT", spin_count, /*overwrite=*/1) != 0) return;
  execv(program.c_str(), argv);  // returns only if it failed; then the default has to do
}

}  // namespace bsq
