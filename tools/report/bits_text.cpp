// Drawing a BitSummary.
#include "tools/report/bits_text.h"

#include "engine/base/text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace bsq {
namespace {

/// `12.3`; few ones are not shown as none.
std::string percent_text(double percent) {
  return percent > 0 && percent < 0.05 ? "<0.1" : fmt::format("{:.1f}", percent);
}

std::string planes_text(const std::vector<double>& density_percent) {
  std::string text;
  for (const double percent : density_percent) text += fmt::format("{:>6}", percent_text(percent));
  return text;
}

}  // namespace

Table layer_table(const BitSummary& summary) {
  Table table({{"layer", Align::left},
               {"shape", Align::left},
               {"weights"},
               {"bits"},
               {"zeros %"},
               {"scale"},
               {" ones per plane in %, most significant first", Align::left}});
  for (const TensorBits& tensor : summary.tensors) {
    const bool is_float = tensor.bits == kFloatBits;
    table.add_row({layer_name(tensor.name), shape_text(tensor.shape),
                   with_thousands(static_cast<std::uint64_t>(tensor.numel)),
                   is_float ? "float" : std::to_string(tensor.bits) + (tensor.empty && tensor.bits > 0 ? "*" : ""),
                   percent_text(tensor.zero_percent), is_float ? "" : fmt::format("{:.4g}", tensor.scale),
                   planes_text(tensor.plane_density_percent)});
  }
  return table;
}

Table compression_table(const BitSummary& summary, std::uintmax_t file_bytes, bool packed) {
  std::int64_t empty_tensors = 0;
  for (const TensorBits& tensor : summary.tensors) empty_tensors += tensor.empty ? 1 : 0;
  Table table({{"compression", Align::left}, {""}, {"what is counted", Align::left}});
  table.add_row({"paper's rule", ratio_text(summary.compression()),
                 fmt::format("{:.3f} bits per weight over {} quantized weights", summary.bits_per_parameter(),
                             with_thousands(static_cast<std::uint64_t>(summary.parameters)))});
  table.add_row({"empty as 0 bits", ratio_text(summary.compression_without_empty()),
                 empty_tensors == 0 ? "the same, since no layer is empty"
                                    : fmt::format("the same, but {} empty layer{} (*) not as 1 bit per weight",
                                                  empty_tensors, empty_tensors == 1 ? "" : "s")});
  table.add_row({"everything", ratio_text(summary.compression_on_disk()),
                 fmt::format("signs, scales and {} numbers that stay float: {} bytes packed, {} in float32",
                             with_thousands(static_cast<std::uint64_t>(summary.float_parameters)),
                             with_thousands(static_cast<std::uint64_t>(summary.packed_bytes)),
                             with_thousands(static_cast<std::uint64_t>(summary.float_bytes)))});
  table.add_row({"this file", ratio_text(static_cast<double>(summary.float_bytes) / static_cast<double>(file_bytes)),
                 fmt::format("{} bytes on disk{}", with_thousands(file_bytes),
                             !packed && file_bytes > static_cast<std::uintmax_t>(summary.float_bytes)
                                 ? ": numbers in float32, to train on"
                                 : "")});
  return table;
}

nlohmann::ordered_json to_json(const BitSummary& summary, std::uintmax_t file_bytes) {
  nlohmann::ordered_json layers = nlohmann::ordered_json::array();
  for (const TensorBits& tensor : summary.tensors)
    layers.push_back({{"name", tensor.name},
                      {"shape", tensor.shape},
                      {"weights", tensor.numel},
                      {"bits", tensor.bits},
                      {"empty", tensor.empty},
                      {"scale", tensor.scale},
                      {"zero_percent", tensor.zero_percent},
                      {"plane_density_percent", tensor.plane_density_percent}});
  return {{"quantized_weights", summary.parameters},
          {"float_numbers", summary.float_parameters},
          {"bits_per_parameter", summary.bits_per_parameter()},
          {"compression", summary.compression()},
          {"compression_without_empty", summary.compression_without_empty()},
          {"compression_everything", summary.compression_on_disk()},
          {"compression_file", static_cast<double>(summary.float_bytes) / static_cast<double>(file_bytes)},
          {"packed_bytes", summary.packed_bytes},
          {"float_bytes", summary.float_bytes},
          {"file_bytes", file_bytes},
          {"layers", std::move(layers)}};
}

std::string ratio_text(double ratio) {
  return fmt::format("{:.2f}x", ratio);
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  return shape.empty() ? "scalar" : fmt::format("{}", fmt::join(shape, "x"));
}

}  // namespace bsq
