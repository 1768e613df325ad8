// `bsq eval`: accuracy of a model in any form, the bits of its layers, and its size.
//
// What the model was trained with (normalisation, evaluation batch, activations) is taken from its metadata; a
// configuration names the data; overrides come last and win.
#include "data/datasets.h"
#include "engine/input/resident_source.h"
#include "engine/methods/bsq/stored_planes.h"
#include "engine/methods/weight_forms.h"
#include "engine/run/engine_notes.h"
#include "engine/training/evaluator.h"
#include "engine/training/experiment.h"
#include "kernels/base/error.h"
#include "tools/cli/arguments.h"
#include "tools/report/bits_text.h"
#include "tools/session/config_schema.h"
#include "tools/session/device.h"
#include "tools/session/model_config.h"
#include "tools/session/open_model.h"
#include "tools/session/ranks.h"

namespace bsq {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

struct EvalOptions {
  std::string checkpoint;
  ModelWords words;
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
  return true;
}

Weights weights_to_evaluate(const OpenModel& model, const Config& config, const EvalOptions& options) {
  if (!options.words.overrides_key("quant.weight_bits")) return model.weights;
  if (model.weights->is_quantized())
    fail(ErrorKind::usage, "quant.weight_bits = {}: {} has bit widths of its own; leave it out, or see bsq convert",
         config.quant.weight_bits, model.file.path.string());
  return StoredPlanes::convert(model.weights, model.layout, start_bits(model.layout, config.quant.weight_bits));
}

struct Evaluation {
  std::string form;
  EvalResult result;
  std::optional<EvalResult> by_batch_max;  // if `result` is that of calibrated activation scales
  BitSummary bit_summary;
};

Evaluation evaluate(const OpenModel& opened, const Config& config, const EvalOptions& options, const Dataset& images,
                    Backend& backend, Communicator& ranks, Console& console) {
  const DType dtype = dtype_of(checked_precision(config, backend));
  DeviceMemory memory(backend);
  Model model(memory, network_for(opened, images.info()), dtype, config.seed,
              store_of([&](const ArenaLayout&) { return weights_to_evaluate(opened, config, options); }));
  model.load_plain(opened.file);
  ResidentSource source(memory, images, "test");
  Evaluator evaluator(memory, model, source, input_options(config, images.info()), config.data.eval_batch_size, ranks);
  EngineTeller().tell(backend, console);
  Evaluation evaluation{.form = std::string(model.quantized().form()),
                        .result = evaluator.run(),
                        .by_batch_max = {},
                        .bit_summary = summarize_bits(*model.weights(), model.network())};
  if (uses_calibrated_scales(opened, config)) {
    evaluation.by_batch_max = evaluation.result;
    evaluation.result = evaluator.run(ActScale::calibrated);
  }
  return evaluation;
}

std::string activations_text(const QuantConfig& quant) {
  const std::string name = block_activation(quant);
  if (quant.act_bits == 0) return name + ", not quantized";
  return fmt::format("{}, {} bits{}", name, quant.act_bits,
                     quant.act_scale == "calibrated" ? " by calibrated scales" : "");
}

void print_text(const OpenModel& model, const Config& config, const Evaluation& evaluation, std::uintmax_t file_bytes) {
  const EvalResult& result = evaluation.result;
  fmt::print("{}: {} weights; activations {}; batches of {}\n\n", model.file.path.string(), evaluation.form,
             activations_text(config.quant), config.data.eval_batch_size);
  fmt::print("top-1   {:.2f} %   {} of {} images\n", result.top1_percent(), result.top1, result.samples);
  if (evaluation.by_batch_max)
    fmt::print("        {:.2f} %   with the maximum of each batch for activation scales\n",
               evaluation.by_batch_max->top1_percent());
  fmt::print("top-5   {:.2f} %\nloss    {:.4f}\n\n", result.top5_percent(), result.loss());
  fmt::print("{}\n{}\n{}", layer_table(evaluation.bit_summary).text(),
             compression_table(evaluation.bit_summary, file_bytes, model.packed).text(),
             float_table(evaluation.bit_summary).text());
}

void print_json(const OpenModel& model, const Config& config, const Evaluation& evaluation, std::uintmax_t file_bytes) {
  const EvalResult& result = evaluation.result;
  ordered_json record = {{"file", model.file.path.string()},
                         {"form", evaluation.form},
                         {"activation", block_activation(config.quant)},
                         {"act_bits", config.quant.act_bits},
                         {"eval_batch_size", config.data.eval_batch_size},
                         {"images", result.samples},
                         {"top1_correct", result.top1},
                         {"top5_correct", result.top5},
                         {"top1", result.top1_percent()},
                         {"top5", result.top5_percent()},
                         {"loss", result.loss()},
                         {"precision", to_json(evaluation.bit_summary, file_bytes)}};
  if (evaluation.by_batch_max) record["top1_batch_max"] = evaluation.by_batch_max->top1_percent();
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
  const Evaluation evaluation = evaluate(model, config, options, *images, *backend, ranks, console);
  say_notes(*images, console);
  const std::uintmax_t file_bytes = fs::file_size(model.file.path);
  (options.json ? print_json : print_text)(model, config, evaluation, file_bytes);
  return 0;
}

}  // namespace

int eval_command(const Arguments& arguments) {
  return run_on_ranks([&](Communicator& ranks) { return eval_on_ranks(arguments, ranks); });
}

}  // namespace bsq
