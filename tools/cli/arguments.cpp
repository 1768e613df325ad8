// All that knows CLI11, whose exceptions end here.
#include "tools/cli/arguments.h"

#include "engine/base/suggest.h"
#include "engine/config/config_keys.h"
#include "engine/config/config_schema.h"
#include "kernels/base/error.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <iostream>

namespace bsq {
namespace {

std::string option_name(const std::string& word) {
  return word.substr(0, word.find('='));
}

/// `IN OUT` of a command line `bsq convert IN OUT`.
std::string positionals_text(const CLI::App& app) {
  std::string text;
  for (const CLI::Option* option : app.get_options())
    if (option->get_positional()) text += " " + option->get_option_text();
  return text;
}

/// CLI11's help with our usage line and without its notes on types.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App* app, std::string name) const override {
    return fmt::format("usage: {} [OPTIONS]{}\n", name, positionals_text(*app));
  }
  std::string make_positionals(const CLI::App*) const override { return ""; }
};

/// No shell expands the ~ of `--run-dir=~/x`, nor a quoted one.
CLI::Option* from_home(CLI::Option* option) {
  return option->transform([name = option->get_name()](const std::string& path) {
    try {
      return with_home(path);
    } catch (const Error& reason) {
      fail(ErrorKind::usage, "{} {}: {}", name, path, reason.what());
    }
  });
}

[[noreturn]] void fail_on_option(const CLI::App& app, const ConfigSchema& schema, const std::string& word) {
  const std::string name = option_name(word);
  std::vector<std::string> keys;  // what a flag of the published scripts is called here, once per stage
  for (const ConfigKey& key : schema.keys())
    if (key.old_flag == name) keys.push_back(key.name + "=VALUE");
  if (!keys.empty()) fail(ErrorKind::usage, "unknown option '{}'; write {}", name, fmt::join(keys, " or "));
  if (!name.starts_with('-')) fail(ErrorKind::usage, "unexpected '{}'; see {} --help", word, app.get_name());
  std::vector<std::string> known;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& long_name : option->get_lnames()) known.push_back("--" + long_name);
  fail(ErrorKind::usage, "unknown option '{}'{} ({} --help)", name, did_you_mean(name, known), app.get_name());
}

[[noreturn]] void fail_on_missing_word(const CLI::App& app) {
  for (const CLI::Option* option : app.get_options())
    if (option->get_required() && option->count() == 0)
      fail(ErrorKind::usage, "{}: {} is missing; usage: {}{}", app.get_name(), option->get_option_text(),
           app.get_name(), positionals_text(app));
  fail(ErrorKind::internal, "{}: no word of the command line is missing", app.get_name());
}

/// An option without its value, or what else CLI11 has to say.
[[noreturn]] void fail_on_parsing(const CLI::App& app, const CLI::ParseError& error) {
  const std::string what = error.what();
  const std::string name = what.substr(0, what.find(':'));
  const CLI::Option* option = name.starts_with('-') ? app.get_option_no_throw(name) : nullptr;
  const bool has_no_value = dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr;
  if (has_no_value && option != nullptr && !option->get_option_text().empty())
    fail(ErrorKind::usage, "{}: {} needs a value: {} {}", app.get_name(), name, name, option->get_option_text());
  fail(ErrorKind::usage, "{}: {} (see {} --help)", app.get_name(), what, app.get_name());
}

}  // namespace

Console ConsoleFlags::console() const {
  const Verbosity verbosity = quiet ? Verbosity::quiet : verbose ? Verbosity::verbose : Verbosity::normal;
  const ColorMode mode = color == "always"  ? ColorMode::always
                         : color == "never" ? ColorMode::never
                                            : ColorMode::automatic;
  return {std::cerr, ConsoleOptions::for_stderr(verbosity, mode)};
}

CommandLine::CommandLine(const std::string& description, const std::string& name)
    : app_(std::make_unique<CLI::App>(description, name)) {}

CommandLine::~CommandLine() = default;

CommandLine::Option* CommandLine::remember(CLI::Option* option) {
  options_.push_back(std::make_unique<Option>(option));
  return options_.back().get();
}

CommandLine::Option* CommandLine::add_flag(const std::string& names, bool& value, const std::string& description) {
  return remember(app_->add_flag(names, value, description));
}

CommandLine::Option* CommandLine::add_option(const std::string& names, std::string& value,
                                             const std::string& description) {
  return remember(app_->add_option(names, value, description));
}

CommandLine::Option* CommandLine::add_option(const std::string& names, std::vector<std::string>& value,
                                             const std::string& description) {
  return remember(app_->add_option(names, value, description));
}

CommandLine::Option* CommandLine::add_option(const std::string& names, int& value, const std::string& description) {
  return remember(app_->add_option(names, value, description));
}

CommandLine::Option* CommandLine::add_option(const std::string& names, double& value, const std::string& description) {
  return remember(app_->add_option(names, value, description));
}

CommandLine::Option* CommandLine::add_option(const std::string& names, std::optional<std::string>& value,
                                             const std::string& description) {
  return remember(app_->add_option(names, value, description));
}

CommandLine::Option* CommandLine::add_option(const std::string& names, std::optional<int>& value,
                                             const std::string& description) {
  return remember(app_->add_option(names, value, description));
}

CommandLine::Option* CommandLine::add_option(const std::string& names, std::optional<double>& value,
                                             const std::string& description) {
  return remember(app_->add_option(names, value, description));
}

CommandLine::Option* CommandLine::add_path(const std::string& names, std::string& value,
                                           const std::string& description) {
  return remember(from_home(app_->add_option(names, value, description)));
}

CommandLine::Option* CommandLine::add_path(const std::string& names, std::vector<std::string>& value,
                                           const std::string& description) {
  return remember(from_home(app_->add_option(names, value, description)));
}

CommandLine::Option* CommandLine::add_path(const std::string& names, std::filesystem::path& value,
                                           const std::string& description) {
  return remember(from_home(app_->add_option(names, value, description)));
}

void CommandLine::footer(const std::string& text) {
  app_->footer(text);
}

CommandLine::Option* CommandLine::Option::required() {
  option_->required();
  return this;
}

CommandLine::Option* CommandLine::Option::option_text(const std::string& text) {
  option_->option_text(text);
  return this;
}

CommandLine::Option* CommandLine::Option::one_of(const std::vector<std::string>& values) {
  option_->check(CLI::IsMember(values));
  return this;
}

CommandLine::Option* CommandLine::Option::between(int lowest, int highest) {
  option_->check(CLI::Range(lowest, highest));
  return this;
}

void add_console_flags(CommandLine& app, ConsoleFlags& flags) {
  app.add_flag("-q,--quiet", flags.quiet, "warnings and errors only");
  app.add_flag("-v,--verbose", flags.verbose, "more of what is done");
  app.add_option("--color", flags.color, "auto | always | never; auto: on a terminal, unless NO_COLOR is set")
      ->one_of({"auto", "always", "never"})
      ->option_text("WHEN");
}

bool parse_arguments(CommandLine& command_line, const Arguments& arguments) {
  CLI::App& app = *command_line.app_;
  std::vector<std::string> words;
  for (const std::string& word : arguments.words) {
    const bool is_override = word.starts_with("--") && word.find('=') != std::string::npos &&
                             app.get_option_no_throw(option_name(word)) == nullptr;
    words.push_back(is_override ? word.substr(2) : word);
  }
  std::reverse(words.begin(), words.end());  // the order CLI11 wants
  app.formatter(std::make_shared<HelpFormatter>());
  app.allow_extras();  // refused below, in our own words
  try {
    app.parse(words);
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app.help());
    return false;
  } catch (const CLI::RequiredError&) {
    fail_on_missing_word(app);
  } catch (const CLI::ParseError& error) {
    fail_on_parsing(app, error);
  }
  if (const std::vector<std::string> extras = app.remaining(); !extras.empty())
    fail_on_option(app, arguments.schema, extras.front());
  return true;
}

ConfigWords split_config_words(const std::vector<std::string>& words, bool (*is_key)(const std::string& name)) {
  ConfigWords result;
  std::error_code ignored;
  for (const std::string& word : words) {
    const bool is_at_home = word.starts_with("~/");
    const bool is_path =  // of a folder such as lr=0.1
        is_at_home || (!is_key(word.substr(0, word.find('='))) && std::filesystem::exists(word, ignored));
    if (!is_path && (word.find('=') != std::string::npos || word.starts_with('+') || word.starts_with('~')))
      result.overrides.push_back(word);
    else if (result.file.empty())
      result.file = is_at_home ? with_home(word) : word;
    else
      fail(ErrorKind::usage, "unexpected '{}': there is a configuration already ({}); overrides are key=value", word,
           result.file);
  }
  return result;
}

}  // namespace bsq
