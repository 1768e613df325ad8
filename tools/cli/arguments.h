// What the command lines of all subcommands share: parsing, `key=value` overrides, verbosity and colour.
//
// CLI11 does the parsing, in arguments.cpp alone: its headers take seconds to compile, and 15 s with sanitizers.
#pragma once

#include "engine/config/config.h"
#include "engine/run/console.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace bsq {

/// The words of a command line behind the name of its subcommand, and the keys that it may set.
struct Arguments {
  std::vector<std::string> words;
  const ConfigSchema& schema;
};

/// The options of a subcommand, each bound to the variable that it sets. Words without dashes are options too.
class CommandLine {
 public:
  class Option {
   public:
    explicit Option(CLI::Option* option) : option_(option) {}

    Option* required();
    Option* option_text(const std::string& text);  // what the help shows in the place of the value
    Option* one_of(const std::vector<std::string>& values);
    Option* between(int lowest, int highest);

   private:
    CLI::Option* option_;
  };

  CommandLine(const std::string& description, const std::string& name);
  ~CommandLine();

  Option* add_flag(const std::string& names, bool& value, const std::string& description);
  Option* add_option(const std::string& names, std::string& value, const std::string& description);
  Option* add_option(const std::string& names, std::optional<std::string>& value, const std::string& description);
  Option* add_option(const std::string& names, std::vector<std::string>& value, const std::string& description);
  Option* add_option(const std::string& names, int& value, const std::string& description);
  Option* add_option(const std::string& names, double& value, const std::string& description);
  Option* add_option(const std::string& names, std::optional<int>& value, const std::string& description);
  Option* add_option(const std::string& names, std::optional<double>& value, const std::string& description);
  /// An option whose value is a path: `~/` at its start is the home folder, as in a configuration.
  Option* add_path(const std::string& names, std::string& value, const std::string& description);
  Option* add_path(const std::string& names, std::vector<std::string>& value, const std::string& description);
  Option* add_path(const std::string& names, std::filesystem::path& value, const std::string& description);
  void footer(const std::string& text);

 private:
  friend bool parse_arguments(CommandLine& command_line, const Arguments& arguments);
  Option* remember(CLI::Option* option);

  std::unique_ptr<CLI::App> app_;
  std::vector<std::unique_ptr<Option>> options_;
};

/// The words of a command line that are no options: at most one configuration file, and overrides in their order.
struct ConfigWords {
  std::string file;  // empty: there is none
  std::vector<std::string> overrides;
};

struct ConsoleFlags {
  bool quiet = false;
  bool verbose = false;
  std::string color = "auto";

  Console console() const;  // on stderr
};

void add_console_flags(CommandLine& app, ConsoleFlags& flags);

/// False if help was asked for and has been printed. `--a.b=v` becomes the word `a.b=v` unless there is such an
/// option. Throws Error(usage), naming the key if the option is one of the published scripts.
bool parse_arguments(CommandLine& command_line, const Arguments& arguments);

/// Tells the file from the overrides; what is there and named as no key is the file, also with a = in it. Throws
/// Error(usage) for a second file.
ConfigWords split_config_words(const std::vector<std::string>& words, bool (*is_key)(const std::string& name));

}  // namespace bsq
