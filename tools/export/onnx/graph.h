// An ONNX model as plain structs: as much of the format as bsq writes. No protobuf in here; plugin/ turns a
// model into the bytes of a file and back.
//
// Elements of types below a byte are packed as ONNX wants them: the first one in the lowest bits of a byte.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace bsq {

/// The numbers of TensorProto.DataType. int4 came with opset 21, int2 with opset 25.
enum class OnnxType : std::int32_t { float32 = 1, uint8 = 2, int8 = 3, int16 = 5, int32 = 6, int4 = 22, int2 = 26 };

const char* name_of(OnnxType type);
int bits_of(OnnxType type);

struct OnnxTensor {
  std::string name;
  OnnxType type = OnnxType::float32;
  std::vector<std::int64_t> dims;  // a scalar has none
  std::string raw;

  /// Throws Error(verification) if the dims are none that a tensor has: each is at least 1.
  std::int64_t numel() const;
};

OnnxTensor float_tensor(const std::string& name, const std::vector<std::int64_t>& dims,
                        const std::vector<float>& values);
/// A tensor of a signed integer type, whose range must hold every value.
OnnxTensor integer_tensor(const std::string& name, OnnxType type, const std::vector<std::int64_t>& dims,
                          const std::vector<int>& values);
/// The numbers of a tensor of any type. Throws Error(verification) if its bytes do not fill its shape.
std::vector<float> values_of(const OnnxTensor& tensor);

using OnnxAttribute = std::variant<std::int64_t, float, std::string, std::vector<std::int64_t>>;

struct OnnxNode {
  std::string name;
  std::string op;
  std::string domain;  // empty: the domain of ONNX itself
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::map<std::string, OnnxAttribute> attributes;
};

/// An input or output of the graph.
struct OnnxValue {
  std::string name;
  std::vector<std::variant<std::int64_t, std::string>> dims;  // a name: any size
  OnnxType type = OnnxType::float32;
};

struct OnnxModel {
  std::int64_t ir_version = 0;
  std::map<std::string, std::int64_t> opsets;  // by domain
  std::string producer_name;
  std::string producer_version;
  std::string graph_name;
  std::map<std::string, std::string> metadata;
  std::vector<OnnxNode> nodes;
  std::vector<OnnxTensor> initializers;
  OnnxValue input;
  OnnxValue output;
};

}  // namespace bsq
