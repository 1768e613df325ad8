#include "kernels/base/plugin_library.h"

namespace bsq {

std::filesystem::path plugin_path(const char* file) {
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe");
  return program.parent_path().parent_path() / "lib" / file;
}

std::string last_library_error() {
  const char* text = dlerror();
  return text == nullptr ? "unknown error" : text;
}

void* open_plugin(const OptionalPlugin& what) {
  const std::filesystem::path path = plugin_path(what.file);
  if (!std::filesystem::exists(path))
    fail(what.kind, "this bsq is built without {} (install {} and build it anew)", what.feature, what.packages);
  void* library = dlopen(path.c_str(), RTLD_NOW | what.scope);
  if (library == nullptr) fail(what.kind, "{}; {}", last_library_error(), what.question);
  return library;
}

}  // namespace bsq
