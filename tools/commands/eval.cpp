// `bsq eval`: accuracy of a model in any form, the bits of its layers, and its size.
//
// What the model was trained with (normalisation, evaluation batch, activations) is taken from its metadata; a
// configuration names the data; overrides come last and win.
#include "data/datasets.h"
#include "engine/methods/bsq/stored_planes.h"
#include "kernels/base/error.h"
#include "tools/cli/arguments.h"
#include "tools/report/bits_text.h"
#include "tools/session/config_schema.h"
#include "tools/session/deployed_model.h"
#include "tools/session/device.h"
#include "tools/session/evaluate_model.h"
#include "tools/session/model_config.h"
#include "tools/session/open_model.h"
#include "tools/session/ranks.h"

#include <fmt/ranges.h>

namespace bsq {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

struct EvalOptions {
  std::string checkpoint;
  ModelWords words;
  std::string arithmetic;  // trained, calibrated or deployed; empty: what the configuration says
  ConsoleFlags console;
  bool json = false;
};

bool parse(const Arguments& arguments, EvalOptions& options) {
  CommandLine app("Evaluates a checkpoint, a model file or a run, and shows bits, planes and compression.", "bsq eval");
  std::vector<std::string> words;
  app.add_option("words", words, "what to evaluate, and overrides such as data.root=DIR, quant.act_bits=4")
      ->option_text("CHECKPOINT [key=value ...]");
  app.add_path("--config", options.words.config_file,
               "the data, by a configuration; default: that of the checkpoint's run")
      ->option_text("CFG");
  app.add_option("--as", options.arithmetic,
                 "trained: scales by batch | calibrated: fixed scales | deployed: in integers")
      ->one_of({"trained", "calibrated", "deployed"})
      ->option_text("ARITHMETIC");
  app.add_flag("--json", options.json, "JSON to stdout instead of tables");
  add_console_flags(app, options.console);
  app.footer(
      "\nquant.weight_bits=N evaluates a float model as N-bit weights, but for layers that have bits of their own.");
  if (!parse_arguments(app, arguments)) return false;
  const ConfigWords split = split_config_words(words, is_config_key);
  if (split.file.empty())
    fail(ErrorKind::usage, "bsq eval: which checkpoint? usage: bsq eval CHECKPOINT [key=value ...]");
  options.checkpoint = split.file;
  options.words.overrides = split.overrides;
  if (!options.arithmetic.empty())
    options.words.overrides.push_back(options.arithmetic == "trained" ? "quant.act_scale=batch_max"
                                                                      : "quant.act_scale=calibrated");
  return true;
}

Weights weights_to_evaluate(const OpenModel& model, const Config& config, const EvalOptions& options) {
  if (!options.words.overrides_key("quant.weight_bits")) return model.weights;
  if (model.weights->is_quantized())
    fail(ErrorKind::usage, "quant.weight_bits = {}: {} has bit widths of its own; leave it out, or see bsq convert",
         config.quant.weight_bits, model.file.path.string());
  return StoredPlanes::convert(model.weights, model.layout, start_bits(model.layout, config.quant.weight_bits));
}

/// One arithmetic, in the words of a person.
struct NamedResult {
  const char* key;      // of JSON
  const char* meaning;  // of the text
  EvalResult result;
};

/// The one that was asked for comes first.
std::vector<NamedResult> named_results(const Accuracies& accuracies) {
  std::vector<NamedResult> named;
  if (accuracies.deployed) named.push_back({"deployed", "in integers, as it is deployed", *accuracies.deployed});
  if (accuracies.calibrated) named.push_back({"calibrated", "with calibrated scales", *accuracies.calibrated});
  if (accuracies.uses_batch_max)
    named.push_back({"batch_max", "with the maximum of each batch for activation scales", accuracies.trained});
  else
    named.push_back({"trained", "as it was trained", accuracies.trained});
  return named;
}

std::string activations_text(const QuantConfig& quant) {
  const std::string name = block_activation(quant);
  if (quant.act_bits == 0) return name + ", not quantized";
  const char* scales = name == "lsq"                     ? " by learned steps"
                       : quant.act_scale == "calibrated" ? " by calibrated scales"
                                                         : "";
  return fmt::format("{}, {} bits{}", name, quant.act_bits, scales);
}

/// What is evaluated, on what, and what came of it.
struct Evaluated {
  const OpenModel& model;
  const Config& config;
  const Accuracies& accuracies;
  std::vector<std::string> rounded;  // filters, for integers
  std::string form;
  BitSummary bits;
  std::uintmax_t file_bytes = 0;
};

void print_text(const Evaluated& evaluated) {
  const Config& config = evaluated.config;
  const std::vector<NamedResult> results = named_results(evaluated.accuracies);
  const EvalResult& first = results.front().result;
  fmt::print("{}: {} weights; activations {}; batches of {}\n\n", evaluated.model.file.path.string(), evaluated.form,
             activations_text(config.quant), config.data.eval_batch_size);
  fmt::print("top-1   {:.2f} %   {} of {} images{}\n", first.top1_percent(), first.top1, first.samples,
             evaluated.accuracies.deployed ? fmt::format("   {}", results.front().meaning) : "");
  for (std::size_t i = 1; i < results.size(); ++i)
    fmt::print("        {:.2f} %   {}\n", results[i].result.top1_percent(), results[i].meaning);
  fmt::print("top-5   {:.2f} %\nloss    {:.4f}\n\n", first.top5_percent(), first.loss());
  if (!evaluated.rounded.empty())
    fmt::print("rounded to 127 levels to a side for integers, by output channel: {}\n\n",
               fmt::join(evaluated.rounded, ", "));
  fmt::print("{}\n{}\n{}", layer_table(evaluated.bits).text(),
             compression_table(evaluated.bits, evaluated.file_bytes, evaluated.model.packed).text(),
             float_table(evaluated.bits).text());
}

void print_json(const Evaluated& evaluated) {
  const Config& config = evaluated.config;
  const std::vector<NamedResult> results = named_results(evaluated.accuracies);
  const EvalResult& first = results.front().result;
  ordered_json record = {{"file", evaluated.model.file.path.string()},
                         {"form", evaluated.form},
                         {"activation", block_activation(config.quant)},
                         {"act_bits", config.quant.act_bits},
                         {"eval_batch_size", config.data.eval_batch_size},
                         {"images", first.samples},
                         {"top1_correct", first.top1},
                         {"top5_correct", first.top5},
                         {"top1", first.top1_percent()},
                         {"top5", first.top5_percent()},
                         {"loss", first.loss()},
                         {"precision", to_json(evaluated.bits, evaluated.file_bytes)}};
  for (std::size_t i = 1; i < results.size(); ++i)
    record[fmt::format("top1_{}", results[i].key)] = results[i].result.top1_percent();
  if (evaluated.accuracies.deployed) record["rounded"] = evaluated.rounded;
  fmt::print("{}\n", record.dump(2, ' ', false, ordered_json::error_handler_t::replace));
}

int eval_on_ranks(const Arguments& arguments, Communicator& ranks) {
  EvalOptions options;
  if (!parse(arguments, options)) return 0;
  Console console = console_of(options.console, ranks);
  ModelFile read = read_model(options.checkpoint, console);
  require_data(options.words, read);
  const Config config = config_of_model(options.words, read, console);
  const OpenModel model = open_model(std::move(read), quantizer_of(config));
  const std::unique_ptr<const Dataset> images = open_test_set(config);
  check_classes(model, images->info(), console);
  const auto backend = open_device(config, console, ranks);
  const Weights weights = weights_to_evaluate(model, config, options);
  std::optional<Deployment> deployment;
  if (options.arithmetic == "deployed")
    deployment = deploy_model(model, weights, network_for(model, images->info()), config, *backend);
  const Accuracies accuracies = evaluate_model({.model = model,
                                                .weights = weights,
                                                .config = config,
                                                .images = *images,
                                                .deployed = deployment ? &deployment->network : nullptr},
                                               *backend, ranks, console);
  say_notes(*images, console);
  const Evaluated evaluated{.model = model,
                            .config = config,
                            .accuracies = accuracies,
                            .rounded = deployment ? deployment->rounded : std::vector<std::string>{},
                            .form = std::string(weights->form()),
                            .bits = summarize_bits(*weights, model.network),
                            .file_bytes = fs::file_size(model.file.path)};
  (options.json ? print_json : print_text)(evaluated);
  return 0;
}

}  // namespace

int eval_command(const Arguments& arguments) {
  return run_on_ranks([&](Communicator& ranks) { return eval_on_ranks(arguments, ranks); });
}

}  // namespace bsq
