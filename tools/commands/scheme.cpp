// `bsq scheme`: the bits of the layers of a model as a file to be edited, which quant.scheme, `bsq convert --scheme`
// and `bsq what-if` take.
#include "engine/base/text.h"
#include "tools/cli/arguments.h"
#include "tools/scheme/scheme_layers.h"

namespace bsq {
namespace {

struct SchemeOptions {
  std::string checkpoint;
  ConsoleFlags console;
};

bool parse(const Arguments& arguments, SchemeOptions& options) {
  CommandLine app("Prints the bits of every quantized layer of a model as a scheme, a YAML file to be edited.",
                  "bsq scheme");
  app.add_path("checkpoint", options.checkpoint, "a checkpoint, a model file or a run")
      ->required()
      ->option_text("CHECKPOINT");
  add_console_flags(app, options.console);
  app.footer(
      "\nTaken by quant.scheme=FILE, bsq convert --scheme FILE and bsq what-if. fixed: true keeps weight_bits in "
      "training;"
      "\nelse a stage that finds widths may change them.");
  return parse_arguments(app, arguments);
}

std::vector<std::string> heading_of(const OpenModel& model, const std::vector<SchemeLayer>& layers) {
  std::vector<std::string> heading = {
      fmt::format("Scheme of {}, {}.", shown_name(model.file.path.string()), shown_name(title_of(model.spec)))};
  if (!model.weights->is_quantized()) {
    heading.emplace_back(
        "Its weights are float: these are the bits that a conversion gives them if nothing else is said.");
    return heading;
  }
  std::int64_t bits = 0;
  for (const SchemeLayer& layer : layers) bits += layer.stored_bits(layer.start);
  heading.push_back(
      fmt::format("{:.3f} stored bits per weight: signs and scales too, of a layer of zeros its scale alone.",
                  static_cast<double>(bits) / static_cast<double>(weights_of(layers))));
  return heading;
}

SchemeLine line_of(const SchemeLayer& layer) {
  std::string comment = cost_text(layer, layer.start);
  if (layer.bias_bits != layer.bits) comment += fmt::format("; its bias has {} bits", layer.bias_bits);
  if (layer.stored == 0) comment += "; all zeros";
  return {layer.name, layer.start, layer.fixed, comment};
}

}  // namespace

int scheme_command(const Arguments& arguments) {
  SchemeOptions options;
  if (!parse(arguments, options)) return 0;
  Console console = options.console.console();
  const OpenModel model = open_model(read_model(options.checkpoint, console));
  const std::vector<SchemeLayer> layers = scheme_layers(model);
  std::vector<SchemeLine> lines;
  for (const SchemeLayer& layer : layers) lines.push_back(line_of(layer));
  fmt::print("{}", scheme_text(heading_of(model, layers), lines));
  return 0;
}

}  // namespace bsq
