// The table.
#include "tools/export/formats.h"

#include "engine/base/suggest.h"
#include "kernels/base/error.h"
#include "tools/export/onnx/onnx_file.h"

#include <array>
#include <set>

namespace bsq {
namespace {

// clang-format off
constexpr std::array kFormats = {
  // name, meaning, ending, second ending, default infix, wants_levels, has_opsets, has_small_types, has_runtimes, has_goals, require, write
  ExportFormat{"float", "effective weights under PyTorch's names", ".safetensors", nullptr, ".float", false, false, false, false, false, nullptr, export_float},
  ExportFormat{"packed", "signs and bit planes, packed into bits", ".safetensors", nullptr, ".packed", true, false, false, false, false, nullptr, export_packed},
  ExportFormat{"deployed", "integers for bsq predict", ".safetensors", nullptr, ".deployed", false, false, false, false, false, nullptr, export_deployed},
  ExportFormat{"onnx", "integers for runtimes: DequantizeLinear and QuantizeLinear", ".onnx", nullptr, "", false, true, true, true, false, require_onnx, export_onnx},
  ExportFormat{"qonnx", "IntQuant nodes of exact widths", ".onnx", nullptr, ".qonnx", true, true, false, false, false, require_onnx, export_qonnx},
  ExportFormat{"c", "C99 without dependencies: integers, and a header", ".c", ".h", "", false, false, false, false, true, nullptr, export_c},
};
// clang-format on

}  // namespace

std::span<const ExportFormat> export_formats() {
  return kFormats;
}

const ExportFormat& export_format(const std::string& name) {
  std::vector<std::string> names;
  for (const ExportFormat& format : kFormats) {
    if (name == format.name) return format;
    names.emplace_back(format.name);
  }
  fail(ErrorKind::usage, "--format {}: use {}{}", name, format_names(), did_you_mean(name, names));
}

std::string format_names(bool ExportFormat::*takes, const char* last) {
  std::vector<std::string> names;
  for (const ExportFormat& format : kFormats)
    if (takes == nullptr || format.*takes) names.emplace_back(format.name);
  std::string text;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += i + 1 < names.size() ? ", " : fmt::format(" {} ", last);
    text += names[i];
  }
  return text;
}

std::map<std::string, std::string> picture_metadata(const ModelCard& card) {
  static const std::set<std::string> keys = {"class_names", "mean", "std", "image_size", "resize", "interpolation"};
  std::map<std::string, std::string> said = to_metadata(card);
  std::erase_if(said, [&](const auto& entry) { return !keys.contains(entry.first); });
  return said;
}

}  // namespace bsq
