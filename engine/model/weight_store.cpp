// Names and transfers that the three stores share.
#include "engine/model/weight_store.h"

#include "kernels/base/error.h"

#include <fmt/ranges.h>

namespace bsq {

WeightStorage storage_of(const ParameterSlot& slot) {
  if (!slot.is_filter()) return WeightStorage::values;
  return slot.dtype == DType::bf16 ? WeightStorage::integers_bf16 : WeightStorage::integers;
}

TensorView stored_weights(const ParameterSlot& slot, const Buffer& arena, const float* unit) {
  const bool are_integers = storage_of(slot) != WeightStorage::values;
  return {slot.dtype, slot.spec.shape, arena.as<float>() + slot.offset, {.weight = are_integers ? unit : nullptr}};
}

std::size_t padded(std::size_t count) {
  constexpr std::size_t kMultiple = 16;
  return (count + kMultiple - 1) / kMultiple * kMultiple;
}

void load_tensor(Backend& backend, const ParameterSlot& slot, float* arena, const TensorFile& file,
                 const std::string& name) {
  const HostTensor& tensor = file.at(name);
  check_shape(file, tensor, slot.spec);
  const auto values = tensor.values<float>();
  upload_array(backend, arena + slot.offset, from_file_layout({values.begin(), values.end()}, slot.spec.shape));
}

float load_number(const TensorFile& file, const std::string& name) {
  const HostTensor& tensor = file.at(name);
  if (tensor.numel() != 1) fail(ErrorKind::checkpoint, "{}: {} must hold one number", file.path.string(), name);
  return tensor.values<float>()[0];
}

void check_shape(const TensorFile& file, const HostTensor& tensor, const ParameterSpec& spec,
                 const std::vector<std::int64_t>& trailing) {
  std::vector<std::int64_t> expected = file_shape(spec.shape);
  expected.insert(expected.end(), trailing.begin(), trailing.end());
  if (tensor.shape == expected) return;
  fail(ErrorKind::checkpoint, "{}: {} has shape ({}), this network wants ({}); is it a checkpoint of another network?",
       file.path.string(), tensor.name, fmt::join(tensor.shape, ", "), fmt::join(expected, ", "));
}

std::string plane_name(const std::string& parameter, std::string_view prefix) {
  const std::size_t dot = parameter.rfind('.');
  return parameter.substr(0, dot + 1) + std::string(prefix) + parameter.substr(dot + 1);
}

std::string scale_name(const std::string& parameter) {
  const std::size_t dot = parameter.rfind('.');
  const bool is_bias = parameter.substr(dot + 1) == "bias";
  return parameter.substr(0, dot + 1) + (is_bias ? "biasscale" : "scale");
}

}  // namespace bsq
