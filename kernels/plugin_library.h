// A plug-in of bsq: a shared library beside the program that exports one function, which returns a table.
#pragma once

#include <dlfcn.h>

#include <filesystem>
#include <string>

namespace bsq {

/// Where `file` is: in ../lib beside the program.
std::filesystem::path plugin_path(const char* file);

/// What dlerror() says.
std::string last_library_error();

/// The table that `library` exports through `symbol`; null where it has no such function.
template <typename Plugin>
const Plugin* plugin_table(void* library, const char* symbol) {
  const auto get = reinterpret_cast<const Plugin* (*)()>(dlsym(library, symbol));
  return get == nullptr ? nullptr : get();
}

}  // namespace bsq
