// A plug-in of bsq: a shared library beside the program that exports one function, which returns a table.
#pragma once

#include "kernels/base/error.h"

#include <dlfcn.h>

#include <cstdint>
#include <filesystem>
#include <string>

namespace bsq {

/// The path of `file`: in ../lib beside the program.
std::filesystem::path plugin_path(const char* file);

/// What dlerror() says.
std::string last_library_error();

/// The table that `library` exports through `symbol`; null if it has no such function.
template <typename Plugin>
const Plugin* plugin_table(void* library, const char* symbol) {
  const auto get = reinterpret_cast<const Plugin* (*)()>(dlsym(library, symbol));
  return get == nullptr ? nullptr : get();
}

/// A plug-in that some builds of bsq do not have, and what is said if it cannot be used.
struct OptionalPlugin {
  ErrorKind kind;        // of its errors
  const char* file;      // the name of the library
  const char* symbol;    // the function that it exports
  int scope;             // RTLD_LOCAL or RTLD_GLOBAL
  const char* feature;   // "MPI"
  const char* packages;  // the Debian packages that building it takes
  const char* question;  // what may be missing if it does not load: "is MPI installed?"
};

/// Throws Error with the reason alone. The plug-in is never unloaded, since the libraries that it brings along cannot
/// be.
void* open_plugin(const OptionalPlugin& what);

/// The table of the plug-in, which must be of this bsq: its `abi` is `abi`. Throws like open_plugin.
template <typename Plugin>
const Plugin& load_plugin(const OptionalPlugin& what, std::uint64_t abi) {
  const auto* plugin = plugin_table<Plugin>(open_plugin(what), what.symbol);
  if (plugin == nullptr || plugin->abi != abi)
    fail(what.kind, "{} is of another version of bsq; build it anew", plugin_path(what.file).string());
  return *plugin;
}

}  // namespace bsq
