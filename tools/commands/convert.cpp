// `bsq convert`: a model file in another form: float to bit planes, with uniform bits or the scheme of another
// checkpoint or of a file, and any form to plain float.
#include "engine/files/posix_file.h"
#include "engine/methods/bsq/stored_planes.h"
#include "engine/methods/weight_forms.h"
#include "kernels/base/error.h"
#include "tools/cli/arguments.h"
#include "tools/report/bits_text.h"
#include "tools/scheme/apply_scheme.h"
#include "tools/session/open_model.h"

#include <fmt/ranges.h>

namespace bsq {
namespace {

namespace fs = std::filesystem;

struct ConvertOptions {
  std::string input;
  std::string output;
  std::optional<int> bits;
  std::optional<int> max_bits;
  std::string scheme;
  std::optional<std::string> weights;
  std::string form{kQuantizedForm};
  bool force = false;
  ConsoleFlags console;
};

bool parse(const Arguments& arguments, ConvertOptions& options) {
  CommandLine app("Writes a model in another form. IN: a file, checkpoint folder or run; OUT: a .safetensors file.",
                  "bsq convert");
  app.add_path("in", options.input, "model in any form")->required()->option_text("IN");
  app.add_path("out", options.output, "file to write")->required()->option_text("OUT");
  app.add_option("--bits", options.bits, "width of every layer but those that have their own, 1..8 (default 8)")
      ->between(1, kMaxBits)
      ->option_text("N");
  app.add_option("--max-bits", options.max_bits, "round wider layers to this width; the others stay as they are")
      ->between(1, kMaxBits)
      ->option_text("N");
  app.add_path("--scheme", options.scheme, "widths as in this checkpoint, or in this scheme (*.yaml)")
      ->option_text("CKPT|FILE");
  app.add_option("--weights", options.weights, "of several sets in a file of others that of this prefix ('': none)")
      ->option_text("NAME");
  const std::vector<std::string> forms = {std::string(kQuantizedForm), std::string(kFloatForm)};
  app.add_option("--to", options.form, fmt::format("{}", fmt::join(forms, " | ")))->one_of(forms)->option_text("FORM");
  app.add_flag("--force", options.force, "replace OUT");
  add_console_flags(app, options.console);
  if (!parse_arguments(app, arguments)) return false;
  const int choices = (options.bits ? 1 : 0) + (options.max_bits ? 1 : 0) + (options.scheme.empty() ? 0 : 1);
  if (choices > 1) fail(ErrorKind::usage, "--bits, --max-bits and --scheme: give one of them");
  if (options.form == kFloatForm && choices > 0)
    fail(ErrorKind::usage, "--to float: has no bits; leave out --bits, --max-bits and --scheme");
  if (!options.output.ends_with(".safetensors"))
    fail(ErrorKind::usage, "{}: name the output *.safetensors", options.output);
  if (fs::exists(options.output) && !options.force)
    fail(ErrorKind::usage, "{} exists; use --force to replace it", options.output);
  return true;
}

/// The bits that another checkpoint gives every slot; a layer of zeros has 0.
std::vector<int> scheme_of(const OpenModel& model) {
  const std::string path = model.file.path.string();
  if (!model.weights->is_quantized())
    fail(ErrorKind::usage, "--scheme {}: is a float model and has no bit widths", path);
  return scheme_from_json(scheme_to_json(*model.weights, model.layout), model.layout, path);
}

Weights convert(const OpenModel& model, const ConvertOptions& options, Console& console) {
  const Weights& weights = model.weights;
  if (options.form == kFloatForm) return StoredDense::convert(weights);
  if (are_soft(*weights))
    fail(ErrorKind::usage, "{}: {}", model.file.path.string(), width_conflict(*weights, model.layout));
  if (options.max_bits) {
    if (!weights->is_quantized())
      fail(ErrorKind::usage, "--max-bits: {} is a float model and has no bit widths; --bits gives it some",
           model.file.path.string());
    const Weights narrowed = StoredPlanes::narrow(weights, *options.max_bits);
    if (const std::string why = width_conflict(*narrowed, model.layout); !why.empty())
      fail(ErrorKind::usage, "--max-bits {}: {}", *options.max_bits, why);
    return narrowed;
  }
  if (weights->is_quantized() && options.scheme.empty() && !options.bits) return convert_weights(options.form, weights);
  std::vector<int> bits = start_bits(model.layout, options.bits.value_or(kMaxBits));
  if (!options.scheme.empty()) {
    const OpenModel other = open_model(read_model(options.scheme, console));
    if (!have_same_parameters(model.network, other.network))
      fail(ErrorKind::checkpoint, "--scheme {}: is of {}, the model is {}", other.file.path.string(),
           title_of(other.spec), title_of(model.spec));
    bits = scheme_of(other);
    if (const std::string why = width_conflict(*other.weights, model.layout); !why.empty())
      fail(ErrorKind::usage, "--scheme {}: {}", other.file.path.string(), why);
  }
  return StoredPlanes::convert(StoredDense::convert(weights), model.layout, bits);  // anew, from the values
}

}  // namespace

int convert_command(const Arguments& arguments) {
  ConvertOptions options;
  if (!parse(arguments, options)) return 0;
  Console console = options.console.console();
  OpenModel model = open_model(read_model(options.input, console, options.weights));
  const std::string form(model.weights->form());
  const bool by_file = is_scheme_file(options.scheme);
  if (by_file) model = with_scheme(std::move(model), read_scheme_file(options.scheme));
  const Weights converted = by_file ? model.weights : convert(model, options, console);
  write_safetensors(options.output, with_weights(model, *converted));
  const BitSummary summary = summarize_bits(*converted, model.network);
  console.info(fmt::format("{}: {} -> {}, {:.2f} bits per weight, {} by the paper's rule", options.output, form,
                           converted->form(), summary.bits_per_parameter(), ratio_text(summary.compression())));
  return 0;
}

}  // namespace bsq
