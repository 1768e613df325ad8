// Nodes and tensors of an ONNX model.
#include "tools/export/onnx/graph_writer.h"

#include "engine/model/tensor_names.h"
#include "engine/model/weight_store.h"
#include "kernels/base/error.h"
#include "tools/export/formats.h"

#include <algorithm>

namespace bsq {
namespace {

constexpr const char* kQonnxDomain = "qonnx.custom_op.general";
/// The first opset whose DequantizeLinear reads the type.
int first_opset_of(OnnxType type) {
  if (type == OnnxType::int2) return 25;
  return type == OnnxType::int4 || type == OnnxType::int16 ? 21 : kLeastOpset;
}

int chosen_opset(const std::vector<IntegerTensor>& weights, const OnnxOptions& options) {
  if (options.qonnx) return options.opset.value_or(kLeastOpset);
  int needed = kUsualOpset;
  for (const IntegerTensor& tensor : weights) {
    const OnnxType type = container_of(tensor.bits, options.narrowest);
    const int opset = first_opset_of(type);
    if (options.opset && *options.opset < opset)
      fail(ErrorKind::usage, "--opset {}: {} has {} bits, and ONNX has {} from opset {} on; leave out --opset{}",
           *options.opset, tensor.name, tensor.bits, name_of(type), opset,
           tensor.bits < 4 ? ", or --min-container" : "");
    needed = std::max(needed, opset);
  }
  return options.opset.value_or(needed);
}

}  // namespace

GraphWriter::GraphWriter(const Network& network, const TensorFile& file, const StoredWeights& weights,
                         const OnnxOptions& options)
    : network_(network),
      tensors_(network.tensors(1, DType::f32)),
      file_(file),
      options_(options),
      file_name_(file.path.string()) {
  if (weights.is_quantized())
    integers_ = integer_weights(weights, lay_out(network.parameters(), ParameterGroup::quantized));
  const int opset = chosen_opset(integers_, options);
  model_.ir_version = ir_version_of(opset);
  model_.opsets[""] = opset;
  if (options_.qonnx) model_.opsets[kQonnxDomain] = 1;
}

std::string GraphWriter::add(const std::string& op, const std::string& name, const std::vector<std::string>& inputs,
                             const std::map<std::string, OnnxAttribute>& attributes) {
  model_.nodes.push_back({name, op, "", inputs, {name}, attributes});
  return name;
}

std::string GraphWriter::add_int_quant(const std::string& name, const std::string& x, const std::string& unit, int bits,
                                       bool is_signed, bool is_narrow) {
  const std::int64_t has_sign = is_signed ? 1 : 0, narrow = is_narrow ? 1 : 0;  // narrow: without the lowest number
  add("IntQuant", name, {x, unit, number("zero", 0), number(fmt::format("bits_{}", bits), static_cast<float>(bits))},
      {{"signed", has_sign}, {"narrow", narrow}, {"rounding_mode", std::string("ROUND")}});
  model_.nodes.back().domain = kQonnxDomain;
  return name;
}

std::string GraphWriter::parameter(ParameterId id) {
  const ParameterSpec& spec = network_.parameters()[static_cast<std::size_t>(id)];
  const auto found = std::find_if(integers_.begin(), integers_.end(),
                                  [&](const IntegerTensor& tensor) { return tensor.name == spec.name; });
  if (found == integers_.end()) return plain_tensor(spec.name);
  const float worth = found->unit() == 0 ? 1.0F : found->unit();  // of zeros alone, and IntQuant divides by it
  const std::string unit = number(spec.name + "_scale", worth);
  if (options_.qonnx) {
    std::vector<float> values;
    for (const int level : found->levels) values.push_back(static_cast<float>(level) * worth);
    model_.initializers.push_back(float_tensor(spec.name + "_float", found->shape, values));
    // Readers take one bit with a sign for -1 and 1, so that nothing but zeros is one bit without.
    const bool is_empty = found->bits == 0;
    add_int_quant(spec.name, spec.name + "_float", unit, found->bits + 1, /*is_signed=*/!is_empty,
                  /*is_narrow=*/!is_empty && !found->is_lopsided);
    return spec.name;
  }
  const OnnxType type = container_of(found->bits, options_.narrowest);
  model_.initializers.push_back(integer_tensor(spec.name + "_integers", type, found->shape, found->levels));
  return add("DequantizeLinear", spec.name, {spec.name + "_integers", unit, zero_point(type)});
}

std::string GraphWriter::plain_tensor(const std::string& name) {
  const HostTensor& tensor = file_.at(name);
  const auto values = tensor.values<float>();
  model_.initializers.push_back(float_tensor(name, tensor.shape, {values.begin(), values.end()}));
  return name;
}

float GraphWriter::number_of(ParameterId id) const {
  const ParameterSpec& spec = network_.parameters()[static_cast<std::size_t>(id)];
  return file_.find(spec.name) == nullptr ? spec.constant : read_number(file_, spec.name);
}

float GraphWriter::number_of_state(StateId id) const {
  return read_number(file_, state_name(id));
}

std::string GraphWriter::number(const std::string& name, float value) {
  if (numbers_.insert(name).second) model_.initializers.push_back(float_tensor(name, {}, {value}));
  return name;
}

std::string GraphWriter::zero_point(OnnxType type) {
  std::string name = fmt::format("zero_{}", name_of(type));
  if (numbers_.insert(name).second) {
    const auto bytes = static_cast<std::size_t>(std::max(bits_of(type) / 8, 1));
    model_.initializers.push_back({name, type, {}, std::string(bytes, '\0')});
  }
  return name;
}

int ir_version_of(int opset) {
  constexpr std::pair<int, int> versions[] = {{25, 13}, {24, 12}, {23, 11}, {21, 10}, {19, 9}, {15, 8}};
  for (const auto& [first, version] : versions)
    if (opset >= first) return version;
  return 7;
}

OnnxType container_of(int bits, OnnxType narrowest) {
  require(0 <= bits && bits <= kMaxBits, "{} bits have no type in ONNX", bits);
  if (bits == kMaxBits) return OnnxType::int16;
  if (bits <= 1 && narrowest == OnnxType::int2) return OnnxType::int2;
  return bits <= 3 && narrowest != OnnxType::int8 ? OnnxType::int4 : OnnxType::int8;
}

OnnxType level_type_of(int act_bits) {
  return act_bits < 8 ? OnnxType::int8 : OnnxType::uint8;
}

}  // namespace bsq
