// `bsq verify`: repeats some epochs of a run and compares what they come to with its log. Nothing is written.
#include "kernels/base/error.h"
#include "tools/cli/arguments.h"
#include "tools/session/config_schema.h"
#include "tools/session/ranks.h"
#include "tools/session/run_files.h"
#include "tools/verify/verification_text.h"

#include <charconv>
#include <limits>

namespace bsq {
namespace {

struct VerifyCommandOptions {
  VerifyOptions verify;
  ConsoleFlags console;
  bool json = false;
};

/// Nothing: all.
std::optional<int> count_of_epochs(const std::string& text) {
  if (text == "all") return std::nullopt;
  int count = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (code != std::errc() || end != text.data() + text.size() || count < 1)
    fail(ErrorKind::usage, "bsq verify: --epochs {}: how many epochs, 1 or more, or all", text);
  return count;
}

bool parse(const Arguments& arguments, VerifyCommandOptions& options) {
  CommandLine app(
      "Repeats epochs of a run, chosen at random, and compares them with its log, bit by bit. Nothing is written.",
      "bsq verify");
  std::vector<std::string> words;
  std::string epochs = "3";
  app.add_option("words", words, "a run directory or a folder of runs (its newest); overrides such as data.root=DIR")
      ->option_text("RUN [key=value ...]");
  app.add_option("--epochs", epochs, "how many epochs are chosen (default: 3), or all")->option_text("N|all");
  app.add_option("--seed", options.verify.seed, "of the choice (default: another one each time)")
      ->between(0, std::numeric_limits<int>::max())
      ->option_text("S");
  app.add_option("--within", options.verify.within,
                 "choose only epochs for which at most N are repeated (default: as many as it takes)")
      ->between(1, std::numeric_limits<int>::max())
      ->option_text("N");
  app.add_flag("--json", options.json, "JSON to stdout instead of a table");
  add_console_flags(app, options.console);
  app.footer(
      "\nExit code 7: the run is not what its log says. The same bits need the same bsq, processor or GPU, threads and "
      "ranks.\ncheckpoint.keep_last=N of a training keeps more states, so that fewer epochs are repeated for one.");
  if (!parse_arguments(app, arguments)) return false;
  options.verify.epochs = count_of_epochs(epochs);
  const ConfigWords split = split_config_words(words, is_config_key);
  if (split.file.empty()) fail(ErrorKind::usage, "bsq verify: which run? usage: bsq verify RUN [key=value ...]");
  options.verify.run = find_run(split.file);
  options.verify.overrides = split.overrides;
  return true;
}

int verify_on_ranks(const Arguments& arguments, Communicator& ranks) {
  VerifyCommandOptions options;
  if (!parse(arguments, options)) return 0;
  Console console = console_of(options.console, ranks);
  const Verification verification = verify_run(options.verify, console, ranks);
  if (options.json)
    fmt::print("{}\n", to_json(verification).dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  else
    fmt::print("{}", text_of(verification));
  if (!verification.is_verified()) throw Error(ErrorKind::verification, fault_text(verification));
  return 0;
}

}  // namespace

int verify_command(const Arguments& arguments) {
  return run_on_ranks([&](Communicator& ranks) { return verify_on_ranks(arguments, ranks); });
}

}  // namespace bsq
