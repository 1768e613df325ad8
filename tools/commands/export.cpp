// `bsq export`: a model for other programs, or at its real size. What is written is read back and compared with the
// model before it gets its name.
#include "engine/base/text.h"
#include "engine/files/checkpoint_dir.h"
#include "engine/files/posix_file.h"
#include "kernels/base/error.h"
#include "tools/cli/arguments.h"
#include "tools/export/formats.h"
#include "tools/export/onnx/runtimes.h"
#include "tools/report/bits_text.h"
#include "tools/session/config_schema.h"
#include "tools/session/model_config.h"
#include "tools/session/run_files.h"

namespace bsq {
namespace {

namespace fs = std::filesystem;

struct ExportOptions {
  std::string checkpoint;
  ModelWords words;
  std::string format;
  std::string output;
  std::optional<int> opset;
  std::string min_container;
  std::string runtime;
  std::string input;
  std::string optimize;
  bool force = false;
  ConsoleFlags console;
};

void check_format_options(const ExportOptions& options) {
  const ExportFormat& format = export_format(options.format);
  if (!options.min_container.empty() && !format.has_small_types)
    fail(ErrorKind::usage, "--min-container: is for --format {}, whose types have widths",
         format_names(&ExportFormat::has_small_types));
  const bool names_runtime = !options.runtime.empty() || !options.input.empty();
  if (names_runtime && !format.has_runtimes)
    fail(ErrorKind::usage, "--runtime and --input: are for --format {}", format_names(&ExportFormat::has_runtimes));
  if (!options.min_container.empty() && !options.runtime.empty() && options.runtime != kReferenceRuntime)
    fail(ErrorKind::usage, "--min-container: is for --runtime {}; {} multiplies INT8", kReferenceRuntime,
         options.runtime);
  if (!options.optimize.empty() && !format.has_goals)
    fail(ErrorKind::usage, "--optimize: is for --format {}", format_names(&ExportFormat::has_goals));
  if (options.opset && !format.has_opsets)
    fail(ErrorKind::usage, "--opset: is for the formats {}", format_names(&ExportFormat::has_opsets, "and"));
}

/// `float: effective weights under PyTorch's names | packed: ...`
std::string format_help() {
  std::string help;
  for (const ExportFormat& format : export_formats())
    help += fmt::format("{}{}: {}", help.empty() ? "" : " | ", format.name, format.meaning);
  return help;
}

/// `onnxruntime: ... | reference: ...`
std::string runtime_help() {
  std::string help;
  for (const Runtime& runtime : runtimes()) help += fmt::format("{}: {} | ", runtime.name, runtime.meaning);
  return help + fmt::format("{}: the arithmetic of training (default: {} if the model has that form)",
                            kReferenceRuntime, runtimes().front().name);
}

std::vector<std::string> runtime_names() {
  std::vector<std::string> names;
  for (const Runtime& runtime : runtimes()) names.emplace_back(runtime.name);
  names.emplace_back(kReferenceRuntime);
  return names;
}

bool parse(const Arguments& arguments, ExportOptions& options) {
  CommandLine app("Writes a model for other programs; what is written is read back and compared with the model first.",
                  "bsq export");
  std::vector<std::string> words;
  app.add_option("words", words, "what to export, and overrides such as quant.act_bits=4, data.root=DIR")
      ->option_text("CHECKPOINT [key=value ...]");
  app.add_option("--format", options.format, format_help())->option_text("F");
  app.add_path("--output", options.output, "file to write (default: export/ of the run, or beside the model)")
      ->option_text("FILE");
  app.add_option("--opset", options.opset,
                 fmt::format("of {} (default: 19, or the first that has the types; qonnx: 13)",
                             format_names(&ExportFormat::has_opsets, "and")))
      ->between(kLeastOpset, kMostOpset)
      ->option_text("N");
  app.add_option("--min-container", options.min_container,
                 "narrowest type of weights: int8 (default) | int4 | int2, for runtimes that read them")
      ->one_of({"int8", "int4", "int2"})
      ->option_text("TYPE");
  app.add_option("--runtime", options.runtime, runtime_help())->one_of(runtime_names())->option_text("R");
  app.add_option("--input", options.input,
                 "what the model reads: float: normalised (default) | uint8: bytes, as pictures have them")
      ->one_of({"float", "uint8"})
      ->option_text("TYPE");
  app.add_option("--optimize", options.optimize,
                 fmt::format("of {}: speed: integers that compilers multiply in vectors (default) | size: bits of each "
                             "layer's own width",
                             format_names(&ExportFormat::has_goals)))
      ->one_of({"speed", "size"})
      ->option_text("GOAL");
  app.add_path("--config", options.words.config_file, "the configuration of the data that onnx and c are verified on")
      ->option_text("CFG");
  app.add_flag("--force", options.force, "replace FILE");
  add_console_flags(app, options.console);
  if (!parse_arguments(app, arguments)) return false;
  const ConfigWords split = split_config_words(words, is_config_key);
  if (split.file.empty())
    fail(ErrorKind::usage, "bsq export: which checkpoint? usage: bsq export CHECKPOINT --format F");
  if (options.format.empty()) fail(ErrorKind::usage, "bsq export: --format: {}?", format_names());
  check_format_options(options);
  options.checkpoint = split.file;
  options.words.overrides = split.overrides;
  return true;
}

/// `model.qonnx.onnx` in the run's export/, or beside the model.
fs::path default_output(const TensorFile& file, const ExportFormat& format) {
  const std::optional<fs::path> run = run_of_checkpoint(file.path);
  const fs::path name = file.path.stem().string() + format.default_infix + format.ending;
  if (!run) return file.path.parent_path() / name;
  const fs::path folder = *run / "export";
  std::error_code code;
  fs::create_directories(folder, code);
  check_file(code, ErrorKind::checkpoint, folder, "cannot create the folder");
  return folder / name;
}

fs::path output_of(const ExportOptions& options, const TensorFile& file, const ExportFormat& format) {
  const fs::path output = options.output.empty() ? default_output(file, format) : fs::path(options.output);
  if (output.extension() != format.ending)
    fail(ErrorKind::usage, "{}: name the output *{}", output.string(), format.ending);
  std::error_code ignored;
  if (fs::equivalent(output, file.path, ignored))
    fail(ErrorKind::usage, "{}: is the model itself; choose another --output", output.string());
  std::vector<fs::path> files = {output};
  if (format.second_ending != nullptr) files.push_back(fs::path(output).replace_extension(format.second_ending));
  for (const fs::path& written : files)
    if (fs::exists(written, ignored) && !options.force)
      fail(ErrorKind::usage, "{} exists; use --force to replace it", written.string());
  return output;
}

/// Puts what overrides say about activations into the card, so that the exported file says how it was run.
void note_activations(ExportJob& job, const ModelWords& words) {
  const QuantConfig& quant = job.config.quant;
  ModelCard& card = job.model.card;
  if (words.overrides_key("quant.act_bits")) card.act_bits = quant.act_bits;
  if (words.overrides_key("quant.activation")) card.activation = quant.activation;
  if (words.overrides_key("quant.signed")) card.signed_numbers = quant.signed_numbers;
  if (words.overrides_key("quant.act_scale")) card.act_scale = quant.act_scale;
  job.model.file.metadata = to_metadata(card);
}

void print_outcome(const ExportJob& job, const ExportOutcome& outcome) {
  const std::uintmax_t bytes = outcome.constant_bytes.value_or(fs::file_size(job.output));
  const BitSummary summary = summarize_bits(*job.model.weights, job.model.network);
  fmt::print("{}: {} bytes{}; {}\n", job.output.string(), with_thousands(bytes),
             outcome.constant_bytes ? " of constants" : "", outcome.what);
  fmt::print("  {} by the paper's rule ({:.3f} bits per weight), {} with everything counted, {} {}\n",
             ratio_text(summary.compression()), summary.bits_per_parameter(), ratio_text(summary.compression_on_disk()),
             ratio_text(static_cast<double>(summary.float_bytes) / static_cast<double>(bytes)),
             outcome.constant_bytes ? "in constants" : "on disk");
  fmt::print("  {}verified: {}\n", outcome.is_verified ? "" : "not ", outcome.verified);
  for (const std::string& note : outcome.notes) fmt::print("  {}\n", note);
}

}  // namespace

int export_command(const Arguments& arguments) {
  ExportOptions options;
  if (!parse(arguments, options)) return 0;
  const ExportFormat& format = export_format(options.format);
  if (format.require != nullptr) format.require();
  Console console = options.console.console();
  ModelFile read = read_model(options.checkpoint, console);
  const Config config = config_of_model(options.words, read, console);
  ExportJob job{.model = open_model(std::move(read), quantizer_of(config)),
                .config = config,
                .output = {},
                .opset = options.opset,
                .min_container = options.min_container,
                .runtime = options.runtime,
                .byte_input = options.input == "uint8",
                .optimize = options.optimize,
                .names_act_scale = options.words.overrides_key("quant.act_scale")};
  const TensorFile& file = job.model.file;
  if (format.wants_levels && !job.model.weights->is_quantized())
    fail(ErrorKind::usage, "--format {}: {} is a float model and has no bit widths; bsq convert gives it some",
         format.name, file.path.string());
  note_activations(job, options.words);
  job.output = output_of(options, file, format);
  print_outcome(job, format.write(job, console));
  return 0;
}

}  // namespace bsq
