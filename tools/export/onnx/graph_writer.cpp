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
constexpr int kInt4Opset = 21;  // INT16 in DequantizeLinear came with it
constexpr int kInt2Opset = 25;

int ir_version_of(int opset) {
  constexpr std::pair<int, int> first_opset_of[] = {{25, 13}, {24, 12}, {23, 11}, {21, 10}, {19, 9}, {15, 8}};
  for (const auto& [first, version] : first_opset_of)
    if (opset >= first) return version;
  return 7;
}

int opset_for(int bits, bool int8_at_least) {
  const bool fits_int8 = bits == 0 || (4 <= bits && bits <= 7) || (bits < 4 && int8_at_least);
  return fits_int8 ? kLeastOpset : kInt4Opset;
}

int chosen_opset(const std::vector<IntegerTensor>& weights, const OnnxOptions& options) {
  int needed = kLeastOpset;
  for (const IntegerTensor& tensor : weights) {
    const int opset = options.qonnx ? kLeastOpset : opset_for(tensor.bits, options.int8_at_least);
    if (options.opset && *options.opset < opset)
      fail(ErrorKind::usage, "--opset {}: {} has {} bits, and ONNX has {} from opset {} on; {}", *options.opset,
           tensor.name, tensor.bits, name_of(container_of(tensor.bits, opset, options.int8_at_least)), opset,
           tensor.bits < 4 ? "leave out --opset, or give --min-container int8" : "leave out --opset");
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
  opset_ = chosen_opset(integers_, options);
  model_.ir_version = ir_version_of(opset_);
  model_.opsets[""] = opset_;
  if (options_.qonnx) model_.opsets[kQonnxDomain] = 1;
}

std::string GraphWriter::add(const std::string& op, const std::string& name, const std::vector<std::string>& inputs,
                             const std::map<std::string, OnnxAttribute>& attributes) {
  model_.nodes.push_back({name, op, "", inputs, {name}, attributes});
  return name;
}

std::string GraphWriter::add_int_quant(const std::string& name, const std::string& x, const std::string& unit, int bits,
                                       bool is_signed) {
  const std::int64_t flag = is_signed ? 1 : 0;  // narrow: a signed range without its lowest number
  add("IntQuant", name, {x, unit, number("zero", 0), number(fmt::format("bits_{}", bits), static_cast<float>(bits))},
      {{"signed", flag}, {"narrow", flag}, {"rounding_mode", std::string("ROUND")}});
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
    add_int_quant(spec.name, spec.name + "_float", unit, found->bits + 1, /*is_signed=*/true);
    return spec.name;
  }
  const OnnxType type = container_of(found->bits, opset_, options_.int8_at_least);
  model_.initializers.push_back(integer_tensor(spec.name + "_integers", type, found->shape, found->levels));
  return add("DequantizeLinear", spec.name, {spec.name + "_integers", unit});
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

std::string GraphWriter::zero_point() {
  if (zero_point_.empty()) {
    zero_point_ = "zero_uint8";
    model_.initializers.push_back({zero_point_, OnnxType::uint8, {}, std::string(1, '\0')});
  }
  return zero_point_;
}

OnnxType container_of(int bits, int opset, bool int8_at_least) {
  require(0 <= bits && bits <= kMaxBits, "{} bits have no type in ONNX", bits);
  if (bits == kMaxBits) return OnnxType::int16;
  if (bits > 3 || int8_at_least || opset < kInt4Opset) return OnnxType::int8;
  return bits <= 1 && opset >= kInt2Opset ? OnnxType::int2 : OnnxType::int4;
}

}  // namespace bsq
