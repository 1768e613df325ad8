// `bsq sensitivity`: how much the loss rises layer by layer and width by width, and a scheme for a budget of bits made
// of that.
#include "data/datasets.h"
#include "engine/base/text.h"
#include "kernels/base/error.h"
#include "tools/cli/arguments.h"
#include "tools/report/file_set.h"
#include "tools/scheme/choose_widths.h"
#include "tools/scheme/measure_model.h"
#include "tools/scheme/picture_sample.h"
#include "tools/scheme/sensitivity_text.h"
#include "tools/session/config_schema.h"
#include "tools/session/device.h"
#include "tools/session/model_config.h"

#include <optional>

namespace bsq {
namespace {

struct SensitivityOptions {
  std::string checkpoint;
  ModelWords words;
  std::string set = "train";
  int images = 1024;
  int probes = 0;  // of the Hessian
  bool json = false;
  bool csv = false;
  std::optional<double> scheme_for;  // stored bits per weight
  std::string measured;              // before; empty: now
  std::string folder;
  ConsoleFlags console;
};

void check(const SensitivityOptions& options) {
  if (options.json + options.csv + options.scheme_for.has_value() > 1)
    fail(ErrorKind::usage, "--json, --csv and --scheme-for: give one of them, since each takes stdout");
  if (options.measured.empty()) return;
  if (options.probes > 0)
    fail(ErrorKind::usage, "--sensitivity {}: nothing is measured; leave out --hessian", options.measured);
  if (!options.words.overrides.empty() || !options.words.config_file.empty())
    fail(ErrorKind::usage, "--sensitivity {}: nothing is measured; leave out --config and key=value", options.measured);
}

bool parse(const Arguments& arguments, SensitivityOptions& options) {
  constexpr int kMostImages = 1 << 30, kMostProbes = 1 << 20;
  CommandLine app("Measures how much the loss rises if one layer has fewer bits, for all layers and widths.",
                  "bsq sensitivity");
  std::vector<std::string> words;
  app.add_option("words", words, "what to measure, and overrides such as data.root=DIR, device=cuda")
      ->option_text("CHECKPOINT [key=value ...]");
  app.add_path("--config", options.words.config_file,
               "the data, by a configuration; default: that of the checkpoint's run")
      ->option_text("CFG");
  app.add_option("--set", options.set, "images of which set: train (default) | test")
      ->one_of({"train", "test"})
      ->option_text("SET");
  app.add_option("--images", options.images, "how many of them, at equal distances (default 1024)")
      ->between(1, kMostImages)
      ->option_text("N");
  app.add_option("--hessian", options.probes,
                 "also the trace of the Hessian of each layer, by N random probes (default 0: no)")
      ->between(0, kMostProbes)
      ->option_text("N");
  app.add_flag("--json", options.json, "JSON to stdout instead of a table");
  app.add_flag("--csv", options.csv, "CSV to stdout instead of a table");
  app.add_option("--scheme-for", options.scheme_for,
                 "a scheme to stdout instead, of at most BITS stored bits per weight: signs and scales count")
      ->option_text("BITS");
  app.add_path("--sensitivity", options.measured, "what --json has printed of this model, in place of measuring again")
      ->option_text("FILE");
  app.add_path("--out", options.folder, "write sensitivity.json, .csv and .svg into this folder as well")
      ->option_text("DIR");
  add_console_flags(app, options.console);
  app.footer("\nComputes in fp32, also where the model was trained in bf16, unless precision=... says otherwise.");
  if (!parse_arguments(app, arguments)) return false;
  const ConfigWords split = split_config_words(words, is_config_key);
  if (split.file.empty())
    fail(ErrorKind::usage, "bsq sensitivity: which checkpoint? usage: bsq sensitivity CHECKPOINT [key=value ...]");
  options.checkpoint = split.file;
  options.words.overrides = split.overrides;
  check(options);
  return true;
}

std::unique_ptr<const Dataset> pictures(const SensitivityOptions& options, const Config& config) {
  auto set = options.set == "test" ? open_test_set(config) : std::move(open_datasets(config).train);
  return std::make_unique<PictureSample>(std::move(set), options.images);
}

Sensitivity measure_now(const SensitivityOptions& options, ModelFile read, Console& console) {
  require_data(options.words, read);
  Config config = config_of_model(options.words, read, console);
  if (!options.words.overrides_key("precision")) config.precision = "fp32";
  const OpenModel model = open_model(std::move(read), quantizer_of(config));
  const std::unique_ptr<const Dataset> images = pictures(options, config);
  check_classes(model, images->info(), console);
  const auto alone = make_single_process();
  const auto backend = open_device(config, console, *alone);
  const Sensitivity result =
      measure_model({model, config, *images, options.set, options.probes}, *backend, *alone, console);
  say_notes(*images, console);
  return result;
}

void write_files(const std::string& folder, const Sensitivity& sensitivity, Console& console) {
  FileSet files(folder, "the sensitivity");
  files.add("sensitivity.json", to_json_text(sensitivity));
  files.add("sensitivity.csv", sensitivity_csv(sensitivity));
  files.add("sensitivity.svg", sensitivity_figure(sensitivity).file());
  files.commit();
  console.info(fmt::format("{}: sensitivity.json, .csv, .svg", folder));
}

std::string scheme_of(const OpenModel& model, const Sensitivity& sensitivity, double target) {
  const std::vector<SchemeLayer> layers = scheme_layers(model);
  const ChosenWidths chosen = choose_widths(layers, sensitivity, target);
  std::vector<SchemeLine> lines;
  for (std::size_t i = 0; i < layers.size(); ++i)
    lines.push_back({layers[i].name, chosen.bits[i], layers[i].fixed,
                     fmt::format("{}; the loss rises by {:.5f}", cost_text(layers[i], chosen.bits[i]),
                                 sensitivity.layers[i].rise(chosen.bits[i]).value_or(0))});
  return scheme_text(
      {fmt::format("Scheme for {}, {}.", shown_name(model.file.path.string()), shown_name(title_of(model.spec))),
       fmt::format("{:.3f} stored bits per weight (signs and scales too; {} were asked for).",
                   chosen.stored_bits_per_weight, target),
       fmt::format("Predicted rise of the loss, a sum over layers: {:.5f}, from {:.5f} on {} {} images.",
                   chosen.predicted_rise, sensitivity.loss, sensitivity.images, shown_name(sensitivity.set))},
      lines);
}

void print_table(const Sensitivity& sensitivity) {
  fmt::print("{}: {}; activations of {} bits, {}\nloss {:.4f} on {} {} images in batches of {}\n\n{}",
             shown_name(sensitivity.model), shown_name(sensitivity.network), sensitivity.act_bits,
             shown_name(sensitivity.precision), sensitivity.loss, sensitivity.images, shown_name(sensitivity.set),
             sensitivity.batch_size, sensitivity_table(sensitivity).text());
}

}  // namespace

int sensitivity_command(const Arguments& arguments) {
  SensitivityOptions options;
  if (!parse(arguments, options)) return 0;
  Console console = options.console.console();
  ModelFile read = read_model(options.checkpoint, console);
  std::optional<OpenModel> model;
  if (options.scheme_for || !options.measured.empty()) model = open_model(read);
  if (options.scheme_for) check_reachable(scheme_layers(*model), *options.scheme_for);  // before minutes of measuring
  Sensitivity sensitivity;
  if (options.measured.empty()) {
    sensitivity = measure_now(options, std::move(read), console);
  } else {
    sensitivity = read_sensitivity(options.measured);
    check_measured_on(sensitivity, scheme_layers(*model), options.measured);
  }
  if (!options.folder.empty()) write_files(options.folder, sensitivity, console);
  if (options.scheme_for)
    fmt::print("{}", scheme_of(*model, sensitivity, *options.scheme_for));
  else if (options.json)
    fmt::print("{}", to_json_text(sensitivity));
  else if (options.csv)
    fmt::print("{}", sensitivity_csv(sensitivity));
  else
    print_table(sensitivity);
  return 0;
}

}  // namespace bsq
