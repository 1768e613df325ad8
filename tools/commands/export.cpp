// `bsq export`: a model for other programs, or at its real size. What is written is read back and compared with the
// model before it gets its name.
#include "engine/base/suggest.h"
#include "engine/base/text.h"
#include "engine/files/checkpoint_dir.h"
#include "engine/files/posix_file.h"
#include "kernels/base/error.h"
#include "tools/cli/arguments.h"
#include "tools/export/formats.h"
#include "tools/export/onnx/network_graph.h"
#include "tools/export/onnx/onnx_file.h"
#include "tools/report/precision_text.h"
#include "tools/session/model_config.h"
#include "tools/session/open_model.h"
#include "tools/session/run_files.h"

#include <algorithm>

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
  bool force = false;
  ConsoleFlags console;
};

struct Format {
  const char* name;
  const char* ending;
  bool wants_integers;
  bool is_onnx;
};

constexpr Format kFormats[] = {{"float", ".safetensors", false, false},
                               {"packed", ".safetensors", true, false},
                               {"onnx", ".onnx", false, true},
                               {"qonnx", ".onnx", true, true}};

const Format& format_of(const std::string& name) {
  std::vector<std::string> names;
  for (const Format& format : kFormats) {
    if (name == format.name) return format;
    names.emplace_back(format.name);
  }
  fail(ErrorKind::usage, "--format {}: use float, packed, onnx or qonnx{}", name, did_you_mean(name, names));
}

void check_onnx_options(const ExportOptions& options) {
  if (!options.min_container.empty() && options.format != "onnx")
    fail(ErrorKind::usage, "--min-container: is for --format onnx, whose types have widths");
  if (options.opset && !format_of(options.format).is_onnx)
    fail(ErrorKind::usage, "--opset: is for the formats onnx and qonnx");
}

bool parse(const Arguments& arguments, ExportOptions& options) {
  CommandLine app("Writes a model for other programs; what is written is read back and compared with the model first.",
                  "bsq export");
  std::vector<std::string> words;
  app.add_option("words", words, "what to export, and overrides such as quant.act_bits=4, data.root=DIR")
      ->option_text("CHECKPOINT [key=value ...]");
  app.add_option("--format", options.format,
                 "float: effective weights under PyTorch's names | packed: bit planes, a bit taking a bit | "
                 "onnx: integers and DequantizeLinear | qonnx: IntQuant nodes of exact widths")
      ->option_text("F");
  app.add_option("--output", options.output, "file to write (default: export/ of the run, or beside the model)")
      ->option_text("FILE");
  app.add_option("--opset", options.opset, "of onnx and qonnx (default: 13, or 21 where INT4 or INT16 is needed)")
      ->between(kLeastOpset, kMostOpset)
      ->option_text("N");
  app.add_option("--min-container", options.min_container, "int8: no type below a byte, for runtimes without INT4")
      ->one_of({"int8"})
      ->option_text("TYPE");
  app.add_option("--config", options.words.config_file, "the configuration of the data that onnx is verified on")
      ->option_text("CFG");
  app.add_flag("--force", options.force, "replace FILE");
  add_console_flags(app, options.console);
  if (!parse_arguments(app, arguments)) return false;
  const ConfigWords split = split_config_words(words);
  if (split.file.empty())
    fail(ErrorKind::usage, "bsq export: which checkpoint? usage: bsq export CHECKPOINT --format F");
  if (options.format.empty()) fail(ErrorKind::usage, "bsq export: --format: float, packed, onnx or qonnx?");
  check_onnx_options(options);
  options.checkpoint = split.file;
  options.words.overrides = split.overrides;
  return true;
}

/// `model.qonnx.onnx` in the run's export/, or beside the model.
fs::path default_output(const TensorFile& file, const Format& format) {
  const std::string infix = std::string(format.name) == "onnx" ? "" : fmt::format(".{}", format.name);
  const std::optional<fs::path> run = run_of_checkpoint(file.path);
  const fs::path name = file.path.stem().string() + infix + format.ending;
  if (!run) return file.path.parent_path() / name;
  const fs::path folder = *run / "export";
  std::error_code code;
  fs::create_directories(folder, code);
  check_file(code, ErrorKind::checkpoint, folder, "cannot create the folder");
  return folder / name;
}

fs::path output_of(const ExportOptions& options, const TensorFile& file, const Format& format) {
  const fs::path output = options.output.empty() ? default_output(file, format) : fs::path(options.output);
  if (output.extension() != format.ending)
    fail(ErrorKind::usage, "{}: name the output *{}", output.string(), format.ending);
  std::error_code ignored;
  if (fs::equivalent(output, file.path, ignored))
    fail(ErrorKind::usage, "{}: is the model itself; choose another --output", output.string());
  if (fs::exists(output, ignored) && !options.force)
    fail(ErrorKind::usage, "{} exists; use --force to replace it", output.string());
  return output;
}

/// What the file says about its activations, or what an override says instead: a file that leaves here should say it.
void note_activations(ExportJob& job, const ModelWords& words) {
  const auto note = [&](const char* metadata, const char* key, const std::string& value) {
    if (words.overrides_key(key)) job.file.metadata[metadata] = value;
  };
  note("act_bits", "quant.act_bits", std::to_string(job.config.quant.act_bits));
  note("activation", "quant.activation", job.config.quant.activation);
  note("act_scale", "quant.act_scale", job.config.quant.act_scale);
}

void print_outcome(const ExportJob& job, const ExportOutcome& outcome) {
  const std::uintmax_t bytes = fs::file_size(job.output);
  const PrecisionSummary summary = summarize_precision(job.weights, make_resnet(resnet_options_of(job.file)));
  fmt::print("{}: {} bytes; {}\n", job.output.string(), with_thousands(bytes), outcome.what);
  fmt::print("  {} by the paper's rule ({:.3f} bits a weight), {} with everything counted, {} on disk\n",
             ratio_text(summary.compression()), summary.bits_per_parameter(), ratio_text(summary.compression_on_disk()),
             ratio_text(static_cast<double>(summary.float_bytes) / static_cast<double>(bytes)));
  fmt::print("  verified: {}\n", outcome.verified);
}

}  // namespace

int export_command(const Arguments& arguments) {
  ExportOptions options;
  if (!parse(arguments, options)) return 0;
  const Format& format = format_of(options.format);
  if (format.is_onnx) require_onnx();
  Console console = options.console.console();
  ExportJob job;
  job.format = options.format;
  job.file = read_model(options.checkpoint, console);
  job.weights = check_model(job.file);
  if (format.wants_integers && form_of(job.weights) == "float")
    fail(ErrorKind::usage, "--format {}: {} is a float model and has no bit widths; bsq convert gives it some",
         job.format, job.file.path.string());
  job.config = config_of_model(options.words, job.file, console);
  note_activations(job, options.words);
  job.output = output_of(options, job.file, format);
  job.opset = options.opset;
  job.int8_at_least = !options.min_container.empty();
  const ExportOutcome outcome = format.is_onnx          ? export_onnx(job, console)
                                : format.wants_integers ? export_packed(job)
                                                        : export_float(job);
  print_outcome(job, outcome);
  return 0;
}

}  // namespace bsq
