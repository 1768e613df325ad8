#include "engine/model/tensor_names.h"

#include "kernels/base/error.h"

#include <fmt/ranges.h>

#include <utility>

namespace bsq {

std::string plane_name(const std::string& parameter, std::string_view prefix) {
  const std::size_t dot = parameter.rfind('.');
  return parameter.substr(0, dot + 1) + std::string(prefix) + parameter.substr(dot + 1);
}

std::string scale_name(const std::string& parameter) {
  const std::size_t dot = parameter.rfind('.');
  const bool is_bias = parameter.substr(dot + 1) == "bias";
  return parameter.substr(0, dot + 1) + (is_bias ? "biasscale" : "scale");
}

std::vector<std::string> normalize_names(TensorFile& file) {
  constexpr std::pair<std::string_view, std::string_view> spellings[] = {{".shortcut.", ".downsample."},
                                                                         {"linear.", "fc."}};
  std::vector<std::string> renamed;
  for (HostTensor& tensor : file.tensors) {
    std::string name = tensor.name;
    if (name.starts_with("module.")) name.erase(0, 7);
    for (const auto& [from, to] : spellings) {
      const bool at_start = from.front() != '.';
      const std::size_t position = at_start ? (name.starts_with(from) ? 0 : std::string::npos) : name.find(from);
      if (position != std::string::npos) name.replace(position, from.size(), to);
    }
    if (name == tensor.name) continue;
    renamed.push_back(tensor.name + " -> " + name);
    tensor.name = name;
  }
  return renamed;
}

void check_shape(const TensorFile& file, const HostTensor& tensor, const ParameterSpec& spec,
                 const std::vector<std::int64_t>& trailing) {
  std::vector<std::int64_t> expected = file_shape(spec.shape);
  expected.insert(expected.end(), trailing.begin(), trailing.end());
  if (tensor.shape == expected) return;
  fail(ErrorKind::checkpoint, "{}: {} has shape ({}), this network wants ({}); is it a checkpoint of another network?",
       file.path.string(), tensor.name, fmt::join(tensor.shape, ", "), fmt::join(expected, ", "));
}

std::vector<float> read_tensor(const TensorFile& file, const std::string& name, const ParameterSpec& spec) {
  const HostTensor& tensor = file.at(name);
  check_shape(file, tensor, spec);
  const auto values = tensor.values<float>();
  return from_file_layout({values.begin(), values.end()}, spec.shape);
}

float read_number(const TensorFile& file, const std::string& name) {
  const HostTensor& tensor = file.at(name);
  if (tensor.numel() != 1) fail(ErrorKind::checkpoint, "{}: {} must hold one number", file.path.string(), name);
  return tensor.values<float>()[0];
}

}  // namespace bsq
