// `bsq inspect`: what is in a safetensors file, whoever wrote it; the precision table where it is a quantized model.
#include "engine/base/text.h"
#include "engine/files/checkpoint_dir.h"
#include "engine/model/packed_model.h"
#include "kernels/base/error.h"
#include "tools/cli/arguments.h"
#include "tools/report/precision_text.h"
#include "tools/report/table.h"

#include <nlohmann/json.hpp>

namespace bsq {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

struct InspectOptions {
  std::string file;
  bool json = false;
};

bool parse(const Arguments& arguments, InspectOptions& options) {
  CommandLine app("Lists the tensors and metadata of a safetensors file, checkpoint or run.", "bsq inspect");
  app.add_option("file", options.file, "what to look into")->required()->option_text("FILE");
  app.add_flag("--json", options.json, "JSON to stdout instead of tables");
  return parse_arguments(app, arguments);
}

bool is_quantized_model(const TensorFile& file) {
  const auto form = file.metadata.find("form");
  return is_packed(file) || (form != file.metadata.end() && (form->second == "planes" || form->second == "fixed"));
}

/// Smallest and largest value of a float32 tensor.
std::string range_text(const HostTensor& tensor) {
  if (tensor.dtype != DType::f32 || tensor.numel() == 0) return "";
  const auto values = tensor.values<float>();
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  return fmt::format("{:.4g} .. {:.4g}", *least, *most);
}

void print_text(const TensorFile& file, std::uintmax_t file_bytes) {
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
  if (!is_quantized_model(file)) return;
  const PrecisionSummary summary = precision_of(file);
  fmt::print("\n{}\n{}", layer_table(summary).text(), compression_table(summary, file_bytes).text());
}

void print_json(const TensorFile& file, std::uintmax_t file_bytes) {
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
  if (is_quantized_model(file)) record["precision"] = to_json(precision_of(file), file_bytes);
  fmt::print("{}\n", record.dump(2, ' ', false, ordered_json::error_handler_t::replace));
}

}  // namespace

int inspect_command(const Arguments& arguments) {
  InspectOptions options;
  if (!parse(arguments, options)) return 0;
  const fs::path found = resolve_checkpoint(options.file);
  const TensorFile file = read_safetensors(fs::is_directory(found) ? found / "model.safetensors" : found);
  (options.json ? print_json : print_text)(file, fs::file_size(file.path));
  return 0;
}

}  // namespace bsq
