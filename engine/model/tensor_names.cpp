#include "engine/model/tensor_names.h"

#include "kernels/base/error.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <set>
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

namespace {

/// The first component of all names, with its dot; nothing if they differ.
std::string common_prefix(const std::vector<std::string>& names) {
  if (names.empty()) return {};
  const std::string prefix = names.front().substr(0, names.front().find('.') + 1);
  const bool is_common = std::all_of(names.begin(), names.end(), [&](const std::string& name) {
    return name.starts_with(prefix) && name.find('.', prefix.size()) != std::string::npos;
  });
  return is_common ? prefix : "";
}

/// Takes components of wrappers off a name: anywhere where they can be nothing else, and in front.
std::string without_wrappers(std::string name) {
  for (const std::string_view wrapper : {"_orig_mod.", "module."}) {
    for (std::size_t at = 0; (at = name.find(wrapper, at)) != std::string::npos;) {
      if (at == 0 || name[at - 1] == '.')
        name.erase(at, wrapper.size());
      else
        at += wrapper.size();
    }
  }
  return name.starts_with("model.") ? without_wrappers(name.substr(6)) : name;
}

std::string in_our_spelling(std::string name) {
  constexpr std::string_view shortcut = ".shortcut.", linear = "linear.";
  if (name.starts_with(linear)) name.replace(0, linear.size(), "fc.");
  if (const std::size_t at = name.find(shortcut); at != std::string::npos)
    name.replace(at, shortcut.size(), ".downsample.");
  return name;
}

}  // namespace

std::string usual_name(const std::string& name) {
  return in_our_spelling(without_wrappers(name));
}

std::vector<std::string> normalize_names(TensorFile& file) {
  std::vector<std::string> names;
  for (const HostTensor& tensor : file.tensors) names.push_back(without_wrappers(tensor.name));
  for (std::string prefix; !(prefix = common_prefix(names)).empty();)
    for (std::string& name : names) name.erase(0, prefix.size());

  std::vector<std::string> renamed;
  std::set<std::string> taken;
  for (std::size_t i = 0; i < names.size(); ++i) {
    HostTensor& tensor = file.tensors[i];
    const std::string name = in_our_spelling(names[i]);
    if (!taken.insert(name).second)
      fail(ErrorKind::checkpoint,
           "{}: two tensors are {} without their prefixes, one of them {}; are there two sets of weights in the file?",
           file.path.string(), name, tensor.name);
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

void check_states(const TensorFile& file, const Network& network) {
  for (const StateSpec& state : network.states()) {
    const HostTensor* tensor = state.role == Role::running_var ? file.find(state.name) : nullptr;
    if (tensor == nullptr) continue;
    for (const float value : tensor->values<float>())
      if (value < 0)
        fail(ErrorKind::checkpoint, "{}: {} has a variance of {}, below zero; the file is damaged", file.path.string(),
             state.name, value);
  }
}

std::vector<float> read_state(const TensorFile& file, const StateSpec& state) {
  const HostTensor& tensor = file.at(state.name);
  if (tensor.shape != std::vector<std::int64_t>{state.numel})
    fail(ErrorKind::checkpoint, "{}: {} has shape ({}), this network wants ({})", file.path.string(), state.name,
         fmt::join(tensor.shape, ", "), state.numel);
  const auto values = tensor.values<float>();
  return {values.begin(), values.end()};
}

float read_number(const TensorFile& file, const std::string& name) {
  const HostTensor& tensor = file.at(name);
  if (tensor.numel() != 1) fail(ErrorKind::checkpoint, "{}: {} must hold one number", file.path.string(), name);
  return tensor.values<float>()[0];
}

}  // namespace bsq
