// `bsq validate`: every problem of a configuration at once, without touching data.
#include "kernels/base/error.h"
#include "tools/cli/arguments.h"
#include "tools/session/config_schema.h"
#include "tools/session/deployment_forecast.h"
#include "tools/session/network_checks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace bsq {

int validate_command(const Arguments& arguments) {
  CommandLine app("Checks a configuration; nothing is run, no data is opened.", "bsq validate");
  std::vector<std::string> words;
  bool schema = false;
  ConsoleFlags flags;
  app.add_option("words", words, "configuration file, and overrides such as bsq.alpha=0.01")
      ->option_text("CFG [key=value ...]");
  app.add_flag("--schema", schema, "print the JSON schema of configurations and stop (for editors)");
  add_console_flags(app, flags);
  if (!parse_arguments(app, arguments)) return 0;
  if (schema) {
    fmt::print("{}", config_json_schema(config_schema()));
    return 0;
  }
  const ConfigWords split = split_config_words(words, is_config_key);
  if (split.file.empty())
    fail(ErrorKind::usage, "bsq validate: which configuration? usage: bsq validate CFG [key=value ...]");
  const Config config = load_config(config_schema(), split.file, split.overrides);
  check_network(config);
  Console console = flags.console();
  const std::vector<std::string> warnings = config_warnings(config);
  for (const std::string& warning : warnings) console.warning(warning);
  fmt::print("{}: OK: {} ({}), {} warning{}\n", split.file, config.name, fmt::join(config.stages, ", "),
             warnings.size(), warnings.size() == 1 ? "" : "s");
  for (const std::string& line : deployment_forecast(config)) fmt::print("deployed: {}\n", line);
  return 0;
}

}  // namespace bsq
