// `bsq what-if`: what a scheme makes of a model, in seconds: its size, its operations, and the loss that a measured
// sensitivity predicts. Nothing is trained, run or written.
#include "tools/cli/arguments.h"
#include "tools/scheme/apply_scheme.h"
#include "tools/scheme/sensitivity_text.h"
#include "tools/scheme/what_if.h"

#include <fmt/ranges.h>

namespace bsq {
namespace {

struct WhatIfOptions {
  std::string checkpoint;
  std::string scheme;
  std::string sensitivity;
  std::optional<int> act_bits;
  bool json = false;
  ConsoleFlags console;
};

bool parse(const Arguments& arguments, WhatIfOptions& options) {
  CommandLine app("Says what a scheme makes of a model: size in each way of counting, operations, predicted loss.",
                  "bsq what-if");
  app.add_path("checkpoint", options.checkpoint, "a checkpoint, a model file or a run")
      ->required()
      ->option_text("CHECKPOINT");
  app.add_path("scheme", options.scheme, "what bsq scheme prints, edited")->required()->option_text("SCHEME");
  app.add_path("--sensitivity", options.sensitivity,
               "what bsq sensitivity --json has printed of this checkpoint: predicts the loss")
      ->option_text("FILE");
  app.add_option("--act-bits", options.act_bits, "bits of activations, 0: float (default: as the checkpoint says)")
      ->between(0, kMaxBits)
      ->option_text("N");
  app.add_flag("--json", options.json, "JSON to stdout instead of tables");
  add_console_flags(app, options.console);
  return parse_arguments(app, arguments);
}

}  // namespace

int what_if_command(const Arguments& arguments) {
  WhatIfOptions options;
  if (!parse(arguments, options)) return 0;
  Console console = options.console.console();
  ModelFile read = read_model(options.checkpoint, console);
  Quantizer quantizer = quantizer_of(read.card);
  if (options.act_bits) quantizer.act_bits = *options.act_bits;
  const OpenModel before = open_model(std::move(read), quantizer);
  std::optional<Sensitivity> sensitivity;
  if (!options.sensitivity.empty()) {
    sensitivity = read_sensitivity(options.sensitivity);
    check_measured_on(*sensitivity, scheme_layers(before), options.sensitivity);
  }
  const OpenModel after = with_scheme(before, read_scheme_file(options.scheme));
  const WhatIf what = what_if(before, after, sensitivity ? &*sensitivity : nullptr);
  if (options.json)
    fmt::print("{}\n", to_json(what).dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  else
    fmt::print("{}\n{}", layer_table(what).text(), size_table(what).text());
  if (!what.unmeasured.empty())
    console.warning(fmt::format("{}: not measured at these widths, and not in the predicted loss: {}",
                                options.sensitivity, fmt::join(what.unmeasured, ", ")));
  return 0;
}

}  // namespace bsq
