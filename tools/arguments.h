// What the command lines of all subcommands share: parsing with CLI11, `key=value` overrides, verbosity and colour.
#pragma once

#include "engine/config.h"
#include "engine/console.h"
#include "tools/commands.h"

#include <CLI/CLI.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace bsq {

/// Words of a command line that are no options: at most one configuration file, and overrides in their order.
struct ConfigWords {
  std::string file;  // empty: none given
  std::vector<std::string> overrides;
};

struct ConsoleFlags {
  bool quiet = false;
  bool verbose = false;
  std::string color = "auto";

  Console console() const;  // on stderr
};

void add_console_flags(CLI::App& app, ConsoleFlags& flags);

/// False where help was asked for and has been printed. `--a.b=v` becomes the word `a.b=v` unless the app has such an
/// option. Throws Error(usage), naming the key where the option is one of the published scripts.
bool parse_arguments(CLI::App& app, const Arguments& arguments);

/// Tells the file from the overrides. Throws Error(usage) for a second file.
ConfigWords split_config_words(const std::vector<std::string>& words);

}  // namespace bsq
