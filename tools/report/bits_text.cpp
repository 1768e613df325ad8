// Drawing a BitSummary.
#include "tools/report/bits_text.h"

#include "engine/base/text.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

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

/// `float`, `8`, `8 fixed`; a star behind the bits of an empty tensor.
std::string bits_text(const TensorBits& tensor) {
  if (tensor.bits == kFloatBits) return "float";
  return fmt::format("{}{}{}", tensor.bits, tensor.empty && tensor.bits > 0 ? "*" : "", tensor.fixed ? " fixed" : "");
}

/// Names of layers that read float numbers.
std::vector<std::string> float_readers(const BitSummary& summary) {
  std::vector<std::string> names;
  for (const TensorBits& tensor : summary.tensors)
    if (tensor.input_bits == 0) names.push_back(layer_name(tensor.name));
  return names;
}

std::string names_text(const std::vector<std::string>& names) {
  constexpr std::size_t kWidth = 74;
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string rest = fmt::format(", ... ({} in all)", names.size());
    if (text.size() + names[i].size() + rest.size() > kWidth) return text + rest;
    text += (i == 0 ? "" : ", ") + names[i];
  }
  return text;
}

bool is_of_norm(Role role) {
  return role == Role::norm_gamma || role == Role::norm_beta || role == Role::running_mean || role == Role::running_var;
}

bool is_of_activation(Role role) {
  return role == Role::clip || role == Role::lsq_clip || role == Role::quantizer_step ||
         role == Role::quantizer_offset || role == Role::act_scale || role == Role::value_range;
}

std::vector<std::string> float_layers(const BitSummary& summary) {
  std::vector<std::string> names;
  for (const FloatTensor& tensor : summary.float_tensors)
    if (!is_of_norm(tensor.role) && !is_of_activation(tensor.role)) names.push_back(layer_name(tensor.name));
  return names;
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
                   with_thousands(static_cast<std::uint64_t>(tensor.numel)), bits_text(tensor),
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
  table.add_row({"stored bits", ratio_text(kFloatBits / summary.stored_bits_per_parameter()),
                 fmt::format("{:.3f} bits per weight: signs and scales too, of an empty layer its scale alone",
                             summary.stored_bits_per_parameter())});
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

Table float_table(const BitSummary& summary) {
  std::int64_t weights = 0, norms = 0, activations = 0;
  for (const FloatTensor& tensor : summary.float_tensors)
    (is_of_norm(tensor.role) ? norms : is_of_activation(tensor.role) ? activations : weights) += tensor.numel;
  Table table({{"what is float", Align::left}, {"numbers"}, {"bytes"}, {"which", Align::left}});
  const auto add = [&](const char* what, std::int64_t numbers, const std::string& which) {
    table.add_row({what, with_thousands(static_cast<std::uint64_t>(numbers)),
                   with_thousands(sizeof(float) * static_cast<std::uint64_t>(numbers)), which});
  };
  if (weights > 0) add("weights", weights, names_text(float_layers(summary)));
  if (norms > 0) add("norms", norms, "gamma, beta, running mean and variance");
  if (activations > 0) add("activations", activations, "learned ceilings, steps and offsets, calibrated scales");
  add("together", weights + norms + activations, "");
  const std::vector<std::string> readers = float_readers(summary);
  const bool is_all =
      std::ranges::all_of(summary.tensors, [](const TensorBits& tensor) { return tensor.input_bits.value_or(0) == 0; });
  table.add_row({"inputs", "", "", is_all ? "of all layers" : "of " + names_text(readers)});
  return table;
}

nlohmann::ordered_json to_json(const BitSummary& summary, std::uintmax_t file_bytes) {
  nlohmann::ordered_json layers = nlohmann::ordered_json::array();
  for (const TensorBits& tensor : summary.tensors)
    layers.push_back({{"name", tensor.name},
                      {"shape", tensor.shape},
                      {"weights", tensor.numel},
                      {"bits", tensor.bits},
                      {"fixed", tensor.fixed},
                      {"empty", tensor.empty},
                      {"odd", tensor.odd},
                      {"scale", tensor.scale},
                      {"zero_percent", tensor.zero_percent},
                      {"plane_density_percent", tensor.plane_density_percent}});
  for (std::size_t i = 0; i < layers.size(); ++i)
    if (const std::optional<int> bits = summary.tensors[i].input_bits) layers[i]["input_bits"] = *bits;
  return {{"quantized_weights", summary.parameters},
          {"float_numbers", summary.float_parameters},
          {"float_layers", float_layers(summary)},
          {"layers_with_float_inputs", float_readers(summary)},
          {"bits_per_parameter", summary.bits_per_parameter()},
          {"stored_bits_per_parameter", summary.stored_bits_per_parameter()},
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
