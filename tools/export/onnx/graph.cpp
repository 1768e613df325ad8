#include "tools/export/onnx/graph.h"

#include "kernels/base/error.h"

#include <fmt/ranges.h>

#include <cstring>

namespace bsq {
namespace {

constexpr int kByteBits = 8;

std::size_t bytes_for(std::int64_t numel, OnnxType type) {
  return static_cast<std::size_t>((numel * bits_of(type) + kByteBits - 1) / kByteBits);
}

/// Element i of a signed type.
int integer_at(const std::string& raw, std::int64_t i, int bits) {
  unsigned value = 0;
  if (bits < kByteBits) {
    const auto position = static_cast<unsigned>(i * bits);
    const auto byte = static_cast<unsigned char>(raw[position / kByteBits]);
    value = (byte >> (position % kByteBits)) & ((1U << bits) - 1);
  } else {
    for (int b = bits / kByteBits - 1; b >= 0; --b)
      value =
          value << kByteBits | static_cast<unsigned char>(raw[static_cast<std::size_t>(i * (bits / kByteBits) + b)]);
  }
  const bool negative = (value >> (bits - 1)) != 0;
  return static_cast<int>(std::int64_t{value} - (negative ? std::int64_t{1} << bits : 0));
}

}  // namespace

const char* name_of(OnnxType type) {
  switch (type) {
    case OnnxType::float32: return "FLOAT";
    case OnnxType::uint8: return "UINT8";
    case OnnxType::int8: return "INT8";
    case OnnxType::int16: return "INT16";
    case OnnxType::int32: return "INT32";
    case OnnxType::int4: return "INT4";
    case OnnxType::int2: return "INT2";
  }
  return "unknown";
}

int bits_of(OnnxType type) {
  switch (type) {
    case OnnxType::float32:
    case OnnxType::int32: return 32;
    case OnnxType::uint8:
    case OnnxType::int8: return 8;
    case OnnxType::int16: return 16;
    case OnnxType::int4: return 4;
    case OnnxType::int2: return 2;
  }
  fail(ErrorKind::verification, "ONNX type {} is none that bsq writes", static_cast<int>(type));
}

std::int64_t OnnxTensor::numel() const {
  constexpr std::int64_t kMost = std::int64_t{1} << 48;  // times the bits of a number it still fits
  std::int64_t count = 1;
  for (const std::int64_t dim : dims) {
    if (dim < 1 || dim > kMost / count)
      fail(ErrorKind::verification, "ONNX tensor {}: no tensor of bsq has the shape [{}]", name, fmt::join(dims, ", "));
    count *= dim;
  }
  return count;
}

OnnxTensor float_tensor(const std::string& name, const std::vector<std::int64_t>& dims,
                        const std::vector<float>& values) {
  OnnxTensor tensor{name, OnnxType::float32, dims, std::string(values.size() * sizeof(float), '\0')};
  require(tensor.numel() == static_cast<std::int64_t>(values.size()), "{}: {} values", name, values.size());
  if (!values.empty()) std::memcpy(tensor.raw.data(), values.data(), tensor.raw.size());
  return tensor;
}

OnnxTensor integer_tensor(const std::string& name, OnnxType type, const std::vector<std::int64_t>& dims,
                          const std::vector<int>& values) {
  const int bits = bits_of(type);
  OnnxTensor tensor{name, type, dims, std::string(bytes_for(static_cast<std::int64_t>(values.size()), type), '\0')};
  require(tensor.numel() == static_cast<std::int64_t>(values.size()), "{}: {} values", name, values.size());
  const std::int64_t limit = std::int64_t{1} << (bits - 1);
  for (std::size_t i = 0; i < values.size(); ++i) {
    require(-limit <= values[i] && values[i] < limit, "{}: {} does not fit {}", name, values[i], name_of(type));
    const auto value = static_cast<std::uint64_t>(values[i]) & ((std::uint64_t{1} << bits) - 1);
    const std::size_t first_bit = i * static_cast<std::size_t>(bits);
    for (unsigned shift = 0; shift < static_cast<unsigned>(bits); shift += kByteBits) {
      char& byte = tensor.raw[first_bit / kByteBits + shift / kByteBits];
      byte = static_cast<char>(static_cast<unsigned char>(byte) | ((value >> shift & 0xFF) << (first_bit % kByteBits)));
    }
  }
  return tensor;
}

std::vector<float> values_of(const OnnxTensor& tensor) {
  const std::int64_t numel = tensor.numel();
  if (bytes_for(numel, tensor.type) != tensor.raw.size())
    fail(ErrorKind::verification, "ONNX tensor {}: {} bytes do not fill {} numbers of type {}", tensor.name,
         tensor.raw.size(), numel, name_of(tensor.type));
  std::vector<float> values(static_cast<std::size_t>(numel));
  if (tensor.type == OnnxType::float32) {
    if (!values.empty()) std::memcpy(values.data(), tensor.raw.data(), tensor.raw.size());
    return values;
  }
  for (std::int64_t i = 0; i < numel; ++i) {
    float& value = values[static_cast<std::size_t>(i)];
    if (tensor.type == OnnxType::uint8)
      value = static_cast<float>(static_cast<unsigned char>(tensor.raw[static_cast<std::size_t>(i)]));
    else
      value = static_cast<float>(integer_at(tensor.raw, i, bits_of(tensor.type)));
  }
  return values;
}

}  // namespace bsq
