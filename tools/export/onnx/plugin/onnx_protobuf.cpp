// ONNX's protobuf classes, to and from the structs of graph.h. Field by field in the order of onnx.proto.
//
// data_type is a plain number in the format, so that classes of an older ONNX carry the types of newer ones.
#include "kernels/base/error.h"
#include "tools/export/onnx/plugin/plugin.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <onnx/onnx_pb.h>

namespace bsq::onnx_plugin {
namespace {

std::string describe() {
  const int version = GOOGLE_PROTOBUF_VERSION;  // 3021012: 3.21.12
  return fmt::format("protobuf {}.{}.{}", version / 1000000, version / 1000 % 1000, version % 1000);
}

// ---- structs to classes -------------------------------------------------------------------------------------------

void write_attribute(const std::string& name, const OnnxAttribute& value, ::onnx::AttributeProto& to) {
  to.set_name(name);
  if (const auto* number = std::get_if<std::int64_t>(&value)) {
    to.set_type(::onnx::AttributeProto::INT);
    to.set_i(*number);
  } else if (const auto* real = std::get_if<float>(&value)) {
    to.set_type(::onnx::AttributeProto::FLOAT);
    to.set_f(*real);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    to.set_type(::onnx::AttributeProto::STRING);
    to.set_s(*text);
  } else {
    to.set_type(::onnx::AttributeProto::INTS);
    for (const std::int64_t element : std::get<std::vector<std::int64_t>>(value)) to.add_ints(element);
  }
}

void write_node(const OnnxNode& node, ::onnx::NodeProto& to) {
  for (const std::string& input : node.inputs) to.add_input(input);
  for (const std::string& output : node.outputs) to.add_output(output);
  to.set_name(node.name);
  to.set_op_type(node.op);
  if (!node.domain.empty()) to.set_domain(node.domain);
  for (const auto& [name, value] : node.attributes) write_attribute(name, value, *to.add_attribute());
}

void write_tensor(const OnnxTensor& tensor, ::onnx::TensorProto& to) {
  for (const std::int64_t dim : tensor.dims) to.add_dims(dim);
  to.set_data_type(static_cast<std::int32_t>(tensor.type));
  to.set_name(tensor.name);
  to.set_raw_data(tensor.raw);
}

void write_value(const OnnxValue& value, ::onnx::ValueInfoProto& to) {
  to.set_name(value.name);
  ::onnx::TypeProto_Tensor& type = *to.mutable_type()->mutable_tensor_type();
  type.set_elem_type(static_cast<std::int32_t>(value.type));
  for (const auto& dim : value.dims) {
    ::onnx::TensorShapeProto_Dimension& to_dim = *type.mutable_shape()->add_dim();
    if (const auto* name = std::get_if<std::string>(&dim))
      to_dim.set_dim_param(*name);
    else
      to_dim.set_dim_value(std::get<std::int64_t>(dim));
  }
}

std::string write(const OnnxModel& model) {
  ::onnx::ModelProto to;
  to.set_ir_version(model.ir_version);
  for (const auto& [domain, version] : model.opsets) {
    ::onnx::OperatorSetIdProto& opset = *to.add_opset_import();
    opset.set_domain(domain);
    opset.set_version(version);
  }
  to.set_producer_name(model.producer_name);
  to.set_producer_version(model.producer_version);
  ::onnx::GraphProto& graph = *to.mutable_graph();
  graph.set_name(model.graph_name);
  for (const OnnxNode& node : model.nodes) write_node(node, *graph.add_node());
  for (const OnnxTensor& tensor : model.initializers) write_tensor(tensor, *graph.add_initializer());
  write_value(model.input, *graph.add_input());
  write_value(model.output, *graph.add_output());
  for (const auto& [key, value] : model.metadata) {
    ::onnx::StringStringEntryProto& entry = *to.add_metadata_props();
    entry.set_key(key);
    entry.set_value(value);
  }
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    require(to.SerializeToCodedStream(&coded), "protobuf cannot write this model");
  }
  return bytes;
}

// ---- classes to structs -------------------------------------------------------------------------------------------

OnnxAttribute read_attribute(const ::onnx::AttributeProto& from) {
  switch (from.type()) {
    case ::onnx::AttributeProto::INT: return std::int64_t{from.i()};
    case ::onnx::AttributeProto::FLOAT: return from.f();
    case ::onnx::AttributeProto::STRING: return from.s();
    case ::onnx::AttributeProto::INTS: return std::vector<std::int64_t>(from.ints().begin(), from.ints().end());
    default: fail(ErrorKind::verification, "ONNX attribute {}: of a type that bsq does not write", from.name());
  }
}

OnnxNode read_node(const ::onnx::NodeProto& from) {
  OnnxNode node{from.name(),
                from.op_type(),
                from.domain(),
                {from.input().begin(), from.input().end()},
                {from.output().begin(), from.output().end()},
                {}};
  for (const ::onnx::AttributeProto& attribute : from.attribute())
    node.attributes[attribute.name()] = read_attribute(attribute);
  return node;
}

OnnxValue read_value(const ::onnx::ValueInfoProto& from) {
  OnnxValue value{from.name(), {}, static_cast<OnnxType>(from.type().tensor_type().elem_type())};
  for (const auto& dim : from.type().tensor_type().shape().dim()) {
    if (dim.has_dim_param())
      value.dims.emplace_back(dim.dim_param());
    else
      value.dims.emplace_back(std::int64_t{dim.dim_value()});
  }
  return value;
}

OnnxModel read(const std::string& bytes) {
  ::onnx::ModelProto from;
  if (!from.ParseFromString(bytes)) fail(ErrorKind::verification, "these {} bytes are no ONNX model", bytes.size());
  const ::onnx::GraphProto& graph = from.graph();
  if (graph.input_size() != 1 || graph.output_size() != 1)
    fail(ErrorKind::verification, "an ONNX model with {} inputs and {} outputs", graph.input_size(),
         graph.output_size());
  OnnxModel model;
  model.ir_version = from.ir_version();
  for (const auto& opset : from.opset_import()) model.opsets[opset.domain()] = opset.version();
  model.producer_name = from.producer_name();
  model.producer_version = from.producer_version();
  model.graph_name = graph.name();
  for (const auto& entry : from.metadata_props()) model.metadata[entry.key()] = entry.value();
  for (const auto& node : graph.node()) model.nodes.push_back(read_node(node));
  for (const auto& tensor : graph.initializer())
    model.initializers.push_back({tensor.name(),
                                  static_cast<OnnxType>(tensor.data_type()),
                                  {tensor.dims().begin(), tensor.dims().end()},
                                  tensor.raw_data()});
  model.input = read_value(graph.input(0));
  model.output = read_value(graph.output(0));
  return model;
}

}  // namespace
}  // namespace bsq::onnx_plugin

extern "C" __attribute__((visibility("default"))) const bsq::onnx_plugin::Plugin* bsq_onnx_plugin() {
  static const bsq::onnx_plugin::Plugin plugin{bsq::onnx_plugin::kPluginAbi, bsq::onnx_plugin::describe,
                                               bsq::onnx_plugin::write, bsq::onnx_plugin::read};
  return &plugin;
}
