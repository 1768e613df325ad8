// The table.
#include "tools/export/formats.h"

#include "engine/base/suggest.h"
#include "kernels/base/error.h"
#include "tools/export/onnx/onnx_file.h"

#include <array>

namespace bsq {
namespace {

// clang-format off
constexpr std::array kFormats = {
  // name, meaning, ending, default infix, wants_levels, has_opsets, has_small_types, has_runtimes, require, write
  ExportFormat{"float", "effective weights under PyTorch's names", ".safetensors", ".float", false, false, false, false, nullptr, export_float},
  ExportFormat{"packed", "signs and bit planes, packed into bits", ".safetensors", ".packed", true, false, false, false, nullptr, export_packed},
  ExportFormat{"deployed", "integers for bsq predict", ".safetensors", ".deployed", false, false, false, false, nullptr, export_deployed},
  ExportFormat{"onnx", "integers for runtimes: DequantizeLinear and QuantizeLinear", ".onnx", "", false, true, true, true, require_onnx, export_onnx},
  ExportFormat{"qonnx", "IntQuant nodes of exact widths", ".onnx", ".qonnx", true, true, false, false, require_onnx, export_qonnx},
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

}  // namespace bsq
