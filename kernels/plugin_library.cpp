#include "kernels/plugin_library.h"

namespace bsq {

std::filesystem::path plugin_path(const char* file) {
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe");
  return program.parent_path().parent_path() / "lib" / file;
}

std::string last_library_error() {
  const char* text = dlerror();
  return text == nullptr ? "unknown error" : text;
}

}  // namespace bsq
