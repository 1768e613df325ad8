// `bsq inspect`: what is in a safetensors file, whoever wrote it; if it is a quantized model, the bits of its layers.
#include "data/datasets.h"
#include "engine/base/text.h"
#include "engine/files/checkpoint_dir.h"
#include "engine/methods/weight_forms.h"
#include "engine/model/model_card.h"
#include "kernels/base/error.h"
#include "models/network_file.h"
#include "tools/cli/arguments.h"
#include "tools/report/bits_text.h"
#include "tools/report/table.h"
#include "tools/session/config_schema.h"
#include "tools/session/open_model.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace bsq {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

struct InspectOptions {
  std::string file;
  bool json = false;
  bool network = false;
};

bool parse(const Arguments& arguments, InspectOptions& options) {
  CommandLine app("Lists the tensors and metadata of a safetensors file, checkpoint or run.", "bsq inspect");
  app.add_path("file", options.file, "what to look into")->required()->option_text("FILE");
  app.add_flag("--json", options.json, "JSON to stdout instead of tables or YAML");
  app.add_flag("--network", options.network,
               "the network of FILE, of a configuration, or of a network file; as a network file");
  return parse_arguments(app, arguments);
}

/// The bits of a quantized model; nothing for other files.
std::optional<BitSummary> summary_of(const TensorFile& file) {
  const ModelCard card = read_card(file);
  const bool is_known =
      std::ranges::any_of(weight_forms(), [&](const WeightForm& form) { return form.name == card.form; });
  if (!card.is_packed() && (!is_known || card.form == kFloatForm)) return std::nullopt;
  const OpenModel model = open_model(describe_model(file), quantizer_of(card));
  return summarize_bits(*model.weights, model.network);
}

/// Smallest and largest value of a float32 tensor.
std::string range_text(const HostTensor& tensor) {
  if (tensor.dtype != DType::f32 || tensor.numel() == 0) return "";
  const auto values = tensor.values<float>();
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  return fmt::format("{:.4g} .. {:.4g}", *least, *most);
}

void print_file_text(const TensorFile& file, std::uintmax_t file_bytes) {
  constexpr std::size_t kNameWidth = 44, kValueWidth = 88;
  std::uint64_t numbers = 0;
  Table tensors({{"tensor", Align::left}, {"type", Align::left}, {"shape", Align::left}, {"bytes"}, {"values"}});
  for (const HostTensor& tensor : file.tensors) {
    numbers += static_cast<std::uint64_t>(tensor.numel());
    tensors.add_row({shortened(tensor.name, kNameWidth), name_of(tensor.dtype), shape_text(tensor.shape),
                     with_thousands(tensor.bytes.size()), range_text(tensor)});
  }
  fmt::print("{}: {} bytes, {} tensors, {} numbers\n", file.path.string(), with_thousands(file_bytes),
             file.tensors.size(), with_thousands(numbers));
  if (!file.metadata.empty()) {
    Table metadata({{"metadata", Align::left}, {"", Align::left}});
    for (const auto& [key, value] : file.metadata)
      metadata.add_row({shortened(key, kNameWidth), shortened(value, kValueWidth)});
    fmt::print("\n{}", metadata.text());
  }
  fmt::print("\n{}", tensors.text());
  if (const std::optional<BitSummary> summary = summary_of(file))
    fmt::print("\n{}\n{}\n{}", layer_table(*summary).text(),
               compression_table(*summary, file_bytes, read_card(file).is_packed()).text(),
               float_table(*summary).text());
}

void print_file_json(const TensorFile& file, std::uintmax_t file_bytes) {
  ordered_json tensors = ordered_json::array();
  for (const HostTensor& tensor : file.tensors)
    tensors.push_back({{"name", tensor.name},
                       {"dtype", name_of(tensor.dtype)},
                       {"shape", tensor.shape},
                       {"bytes", tensor.bytes.size()}});
  ordered_json record = {{"file", file.path.string()},
                         {"bytes", file_bytes},
                         {"metadata", file.metadata},
                         {"tensors", std::move(tensors)}};
  if (const std::optional<BitSummary> summary = summary_of(file)) record["precision"] = to_json(*summary, file_bytes);
  fmt::print("{}\n", record.dump(2, ' ', false, ordered_json::error_handler_t::replace));
}

bool is_yaml(const fs::path& file) {
  return file.extension() == ".yaml" || file.extension() == ".yml";
}

/// That of a network file, which says its images, or of a configuration, for the images and classes of its data.
NetworkSpec network_of(const fs::path& file) {
  if (is_network_file(file)) return read_network_file(file, {});
  const Config config = load_config(config_schema(), file);
  return network_of_run(config, open_test_set(config)->info());
}

void print_network(const InspectOptions& options) {
  Console console = ConsoleFlags{}.console();
  const NetworkSpec spec = is_yaml(options.file) ? network_of(options.file) : read_model(options.file, console).spec;
  if (options.json)
    fmt::print("{}\n", to_json(spec).dump());
  else
    fmt::print("# {}\n{}", title_of(spec), network_text(spec));
}

}  // namespace

int inspect_command(const Arguments& arguments) {
  InspectOptions options;
  if (!parse(arguments, options)) return 0;
  if (options.network) {
    print_network(options);
    return 0;
  }
  const fs::path found = resolve_checkpoint(options.file);
  const TensorFile file = read_safetensors(fs::is_directory(found) ? found / "model.safetensors" : found);
  (options.json ? print_file_json : print_file_text)(file, fs::file_size(file.path));
  return 0;
}

}  // namespace bsq
