// The safetensors format (engine/files/safetensors.h): reading is header -> layout checks -> data, writing the same
// backwards.
#include "engine/files/safetensors.h"

#include "engine/base/text.h"
#include "engine/files/atomic_file.h"
#include "engine/files/json.h"
#include "engine/files/memory_source.h"
#include "engine/files/posix_file.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>
#include <set>
#include <string_view>
#include <tuple>

namespace bsq {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "tensors are stored little-endian and copied as they are");

constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the cap of the format
constexpr std::size_t kMostNameBytes = 4096;            // no module lies this deep
constexpr std::int64_t kLengthBytes = 8;
constexpr std::size_t kAlignmentBytes = 8;
constexpr const char* kMetadataKey = "__metadata__";

constexpr std::array<std::pair<std::string_view, DType>, 6> kDTypeNames = {{{"F32", DType::f32},
                                                                            {"BF16", DType::bf16},
                                                                            {"U8", DType::u8},
                                                                            {"I32", DType::i32},
                                                                            {"I64", DType::i64},
                                                                            {"F64", DType::f64}}};

constexpr std::string_view kHalf = "F16";

/// Where a tensor lies in the data.
struct Extent {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  bool is_half = false;
  HostTensor tensor;  // of the type in memory
};

/// The number that these bits of IEEE 754's binary16 say.
float float_of_half(std::uint16_t bits) {
  const int exponent = bits >> 10 & 31, fraction = bits & 1023;
  const float size = exponent == 31  ? (fraction == 0 ? std::numeric_limits<float>::infinity()
                                                      : std::numeric_limits<float>::quiet_NaN())
                     : exponent == 0 ? std::ldexp(static_cast<float>(fraction), -24)
                                     : std::ldexp(static_cast<float>(1024 + fraction), exponent - 25);
  return (bits & 0x8000) != 0 ? -size : size;
}

float float_of_bf16(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

template <typename T, typename From>
std::vector<T> converted(std::span<const std::byte> bytes, T (*convert)(From)) {
  std::vector<T> values(bytes.size() / sizeof(From));
  for (std::size_t i = 0; i < values.size(); ++i) {
    From value;
    std::memcpy(&value, bytes.data() + i * sizeof(From), sizeof(From));
    values[i] = convert(value);
  }
  return values;
}

/// One line, and no more than a person reads of what a file says.
std::string short_line(std::string text) {
  text = excerpt(std::move(text), 360);
  std::replace(text.begin(), text.end(), '\n', '?');
  return text;
}

template <typename... Args>
[[noreturn]] void refuse(const std::filesystem::path& path, fmt::format_string<Args...> format, Args&&... args) {
  fail(ErrorKind::checkpoint, "{}: {}", path.string(), short_line(fmt::format(format, std::forward<Args>(args)...)));
}

template <typename Source>
bool is_pytorch_file(const Source& file) {
  std::array<char, 4> begin{};
  if (file.size_bytes() < std::ssize(begin)) return false;
  file.read_at(0, std::as_writable_bytes(std::span(begin)));
  const bool is_pickle = begin[0] == '\x80' && begin[1] >= 2 && begin[1] <= 5 && begin[2] != '\0';
  return std::string_view(begin.data(), begin.size()) == "PK\x03\x04" || is_pickle;
}

/// Of the first eight: a protobuf message with the version of ONNX, then the name of its maker or the graph.
bool are_of_onnx(std::uint64_t bytes) {
  return (bytes & 0xFF) == 0x08 && ((bytes >> 16 & 0xFF) == 0x12 || (bytes >> 16 & 0xFF) == 0x3A);
}

template <typename Source>
std::string read_header(const Source& file) {
  const auto file_bytes = static_cast<std::uint64_t>(file.size_bytes());
  if (is_pytorch_file(file))
    refuse(file.path(), "is a file of PyTorch's; make a safetensors file of it with tools/torch/from_torch.py");
  if (file_bytes < kLengthBytes)
    refuse(file.path(), "{} bytes are too few for a header; not a safetensors file or truncated", file_bytes);
  std::uint64_t header_bytes = 0;
  file.read_at(0, std::as_writable_bytes(std::span(&header_bytes, 1)));
  if (header_bytes > file_bytes - kLengthBytes) {
    if (are_of_onnx(header_bytes))
      refuse(file.path(), "is a file of ONNX, which bsq writes but does not read; give the one that it was made of");
    refuse(file.path(), "header says {} bytes, file has {}; not a safetensors file or truncated",
           with_thousands(header_bytes), with_thousands(file_bytes));
  }
  if (header_bytes > kMaxHeaderBytes)
    refuse(file.path(), "header says {} bytes, more than the {} the format allows; not a safetensors file",
           with_thousands(header_bytes), with_thousands(kMaxHeaderBytes));
  std::string header(static_cast<std::size_t>(header_bytes), '\0');
  file.read_at(kLengthBytes, std::as_writable_bytes(std::span(header)));
  if (!header.starts_with('{')) refuse(file.path(), "header does not start with '{{'; not a safetensors file");
  return header;
}

/// JSON as the format allows it: no key twice, and no deeper than tensor -> shape -> number, so that a header of a
/// million brackets is refused before it becomes a million objects.
class HeaderLook final : public JsonLook<json> {
 public:
  explicit HeaderLook(const std::filesystem::path& path) : path_(path) {}

  void opens(bool /*is_map*/, int depth) override {
    constexpr int kMaxNesting = 3;
    if (depth >= kMaxNesting) refuse(path_, "header is nested too deeply; not a safetensors file");
    keys_.emplace_back();
  }
  void closes() override { keys_.pop_back(); }
  void names(const std::string& key) override {
    if (!keys_.back().insert(key).second) refuse(path_, "header has '{}' twice; the file is corrupt", key);
  }

 private:
  const std::filesystem::path& path_;
  std::vector<std::set<std::string>> keys_;  // of the maps that are open
};

json parse_header(const std::filesystem::path& path, const std::string& text) {
  HeaderLook look(path);
  json::sax_parse(text, &look);
  try {
    return json::parse(text);
  } catch (const json::exception& error) {
    refuse(path, "header is not JSON ({}); not a safetensors file or corrupt", error.what());
  }
}

std::map<std::string, std::string> read_metadata(const std::filesystem::path& path, const json& entry) {
  if (!entry.is_object()) refuse(path, "{} is not a map of strings; the file is corrupt", kMetadataKey);
  std::map<std::string, std::string> metadata;
  for (const auto& [key, value] : entry.items()) {
    if (!value.is_string()) refuse(path, "{}: '{}' is not a string; the file is corrupt", kMetadataKey, key);
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

/// A count that fits std::int64_t, or nothing.
std::optional<std::uint64_t> count_in(const json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  const auto count = value.get<std::uint64_t>();
  if (count > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return std::nullopt;
  return count;
}

DType read_dtype(const std::filesystem::path& path, const std::string& name, const json& value) {
  if (!value.is_string()) refuse(path, "tensor '{}': dtype is not a string; the file is corrupt", name);
  const auto& text = value.get_ref<const std::string&>();
  if (text == kHalf) return DType::f32;
  for (const auto& [dtype_name, dtype] : kDTypeNames) {
    if (text == dtype_name) return dtype;
  }
  refuse(path, "tensor '{}': dtype {} is not supported; convert it to F32, F16, BF16, F64, U8, I32 or I64", name, text);
}

/// The bytes that the shape takes in the file; refuses dimensions that are no counts and products that overflow.
std::uint64_t read_shape(const std::filesystem::path& path, const json& value, bool is_half, HostTensor& tensor) {
  if (!value.is_array()) refuse(path, "tensor '{}': shape is not a list; the file is corrupt", tensor.name);
  std::int64_t size_bytes = is_half ? 2 : static_cast<std::int64_t>(size_of(tensor.dtype));
  for (const json& entry : value) {
    const std::optional<std::uint64_t> dim = count_in(entry);
    if (!dim || __builtin_mul_overflow(size_bytes, static_cast<std::int64_t>(*dim), &size_bytes)) {
      refuse(path, "tensor '{}': no tensor has the shape {}; the file is corrupt", tensor.name, value.dump());
    }
    tensor.shape.push_back(static_cast<std::int64_t>(*dim));
  }
  return static_cast<std::uint64_t>(size_bytes);
}

Extent read_entry(const std::filesystem::path& path, const std::string& name, const json& entry) {
  const bool has_fields = entry.is_object() && entry.size() == 3 && entry.contains("dtype") &&
                          entry.contains("shape") && entry.contains("data_offsets");
  if (name.size() > kMostNameBytes)
    refuse(path, "tensor '{}' has a name of {} bytes; the file is corrupt", excerpt(name, 80), name.size());
  if (!has_fields) refuse(path, "tensor '{}': expected dtype, shape and data_offsets; the file is corrupt", name);

  Extent extent;
  extent.tensor.name = name;
  extent.tensor.dtype = read_dtype(path, name, entry["dtype"]);
  extent.is_half = entry["dtype"] == kHalf;
  const std::uint64_t size_bytes = read_shape(path, entry["shape"], extent.is_half, extent.tensor);

  const json& offsets = entry["data_offsets"];
  const bool is_pair = offsets.is_array() && offsets.size() == 2;
  const std::optional<std::uint64_t> begin = is_pair ? count_in(offsets[0]) : std::nullopt;
  const std::optional<std::uint64_t> end = is_pair ? count_in(offsets[1]) : std::nullopt;
  if (!begin || !end || *begin > *end) {
    refuse(path, "tensor '{}': data_offsets {} are no range; the file is corrupt", name, offsets.dump());
  }
  if (*end - *begin != size_bytes) {
    refuse(path, "tensor '{}': {} bytes in the file, {} by its shape {}; the file is corrupt", name,
           with_thousands(*end - *begin), with_thousands(size_bytes), entry["shape"].dump());
  }
  extent.begin = *begin;
  extent.end = *end;
  return extent;
}

/// Sorts by position and refuses overlaps, gaps, and data that is not there or belongs to nobody.
void check_layout(const std::filesystem::path& path, std::vector<Extent>& extents, std::uint64_t data_bytes) {
  std::sort(extents.begin(), extents.end(),
            [](const Extent& a, const Extent& b) { return std::tie(a.begin, a.end) < std::tie(b.begin, b.end); });
  std::uint64_t position = 0;
  for (const Extent& extent : extents) {
    if (extent.end > data_bytes) {
      refuse(path, "tensor '{}' ends at byte {} of {} bytes of data; truncated", extent.tensor.name,
             with_thousands(extent.end), with_thousands(data_bytes));
    }
    if (extent.begin != position) {
      refuse(path, "tensor '{}' starts at byte {} of the data, {} {}; the file is corrupt", extent.tensor.name,
             with_thousands(extent.begin),
             extent.begin < position ? "inside the tensor before it, which ends at" : "after a gap since",
             with_thousands(position));
    }
    position = extent.end;
  }
  if (position != data_bytes) {
    refuse(path, "{} bytes after the last tensor belong to none; the file is corrupt",
           with_thousands(data_bytes - position));
  }
}

std::string_view dtype_name(DType dtype) {
  return std::find_if(kDTypeNames.begin(), kDTypeNames.end(), [&](const auto& entry) { return entry.second == dtype; })
      ->first;
}

/// Widest elements first, then by name.
std::vector<const HostTensor*> in_writing_order(const TensorFile& file) {
  std::vector<const HostTensor*> order;
  for (const HostTensor& tensor : file.tensors) order.push_back(&tensor);
  std::sort(order.begin(), order.end(), [](const HostTensor* a, const HostTensor* b) {
    const std::size_t a_bytes = size_of(a->dtype), b_bytes = size_of(b->dtype);
    return std::tie(b_bytes, a->name) < std::tie(a_bytes, b->name);
  });
  return order;
}

std::string header_text(const TensorFile& file, const std::vector<const HostTensor*>& order) {
  json header = json::object();
  if (!file.metadata.empty()) header[kMetadataKey] = file.metadata;
  std::size_t position = 0;
  for (const HostTensor* tensor : order) {
    require(static_cast<std::size_t>(tensor->numel()) * size_of(tensor->dtype) == tensor->bytes.size(),
            "tensor '{}': {} bytes do not fill its shape", tensor->name, tensor->bytes.size());
    require(!header.contains(tensor->name), "two tensors are named '{}'", tensor->name);
    header[tensor->name] = {{"dtype", dtype_name(tensor->dtype)},
                            {"shape", tensor->shape},
                            {"data_offsets", {position, position + tensor->bytes.size()}}};
    position += tensor->bytes.size();
  }
  std::string text = header.dump(-1, ' ', false, json::error_handler_t::replace);
  text.append((kAlignmentBytes - text.size() % kAlignmentBytes) % kAlignmentBytes, ' ');
  return text;
}

}  // namespace

const HostTensor* TensorFile::find(const std::string& name) const {
  const auto found =
      std::find_if(tensors.begin(), tensors.end(), [&](const auto& tensor) { return tensor.name == name; });
  return found == tensors.end() ? nullptr : &*found;
}

const HostTensor& TensorFile::at(const std::string& name) const {
  if (const HostTensor* tensor = find(name)) return *tensor;
  refuse(path, "no tensor '{}' among its {}; was it written for another network?", name, tensors.size());
}

namespace {

template <typename Source>
TensorFile read_tensors(const Source& file) {
  const std::filesystem::path& path = file.path();
  const std::string text = read_header(file);
  const json header = parse_header(path, text);

  TensorFile result;
  result.path = path;
  std::vector<Extent> extents;
  for (const auto& [name, entry] : header.items()) {
    if (name == kMetadataKey)
      result.metadata = read_metadata(path, entry);
    else
      extents.push_back(read_entry(path, name, entry));
  }
  const std::int64_t data_start = kLengthBytes + static_cast<std::int64_t>(text.size());
  check_layout(path, extents, static_cast<std::uint64_t>(file.size_bytes() - data_start));

  for (Extent& extent : extents) {  // from here on every size is bounded by the size of the file
    HostTensor& tensor = extent.tensor;
    tensor.bytes.resize(static_cast<std::size_t>(extent.end - extent.begin));
    file.read_at(data_start + static_cast<std::int64_t>(extent.begin), tensor.bytes);
    if (extent.is_half) {
      tensor = HostTensor::from<float>(tensor.name, tensor.shape, converted(tensor.bytes, float_of_half));
      ++result.halves;
    }
    result.tensors.push_back(std::move(tensor));
  }
  std::sort(result.tensors.begin(), result.tensors.end(),
            [](const HostTensor& a, const HostTensor& b) { return a.name < b.name; });
  return result;
}

}  // namespace

TensorFile read_safetensors(const std::filesystem::path& path) {
  return read_tensors(PosixFile::open_regular(path, ErrorKind::checkpoint));
}

TensorFile parse_safetensors(std::span<const std::byte> bytes, const std::filesystem::path& name) {
  return read_tensors(MemorySource(bytes, name));
}

bool is_pytorch_file(const std::filesystem::path& path) {
  return is_pytorch_file(PosixFile::open_regular(path, ErrorKind::checkpoint));
}

int widen_to_float32(TensorFile& file) {
  int widened = 0;
  for (HostTensor& tensor : file.tensors) {
    std::vector<float> values;
    if (tensor.dtype == DType::bf16)
      values = converted(tensor.bytes, float_of_bf16);
    else if (tensor.dtype == DType::f64)
      values = converted(
          tensor.bytes, +[](double value) { return static_cast<float>(value); });
    else
      continue;
    tensor = HostTensor::from<float>(tensor.name, tensor.shape, values);
    ++widened;
  }
  return widened;
}

void check_finite(const TensorFile& file) {
  for (const HostTensor& tensor : file.tensors) {
    const auto check = [&](const auto& values, const auto& number_of) {
      for (const auto value : values)
        if (const auto number = number_of(value); !std::isfinite(number))
          refuse(file.path, "tensor '{}' has a number that is {}; the file is damaged, or its training has diverged",
                 tensor.name, std::isnan(number) ? "not a number (NaN)" : "infinite");
    };
    if (tensor.dtype == DType::f32) check(tensor.values<float>(), [](float x) { return x; });
    if (tensor.dtype == DType::f64) check(tensor.values<double>(), [](double x) { return x; });
    if (tensor.dtype == DType::bf16) check(tensor.values<std::uint16_t>(), float_of_bf16);
  }
}

std::uint64_t safetensors_bytes(const TensorFile& file) {
  std::uint64_t bytes = sizeof(std::uint64_t) + header_text(file, in_writing_order(file)).size();
  for (const HostTensor& tensor : file.tensors) bytes += tensor.bytes.size();
  return bytes;
}

void write_safetensors(const std::filesystem::path& path, const TensorFile& file, const FileCheck& check) {
  const std::vector<const HostTensor*> order = in_writing_order(file);
  const std::string header = header_text(file, order);
  const std::uint64_t header_bytes = header.size();

  AtomicFile output(path);
  output.write(std::as_bytes(std::span(&header_bytes, 1)));
  output.write(header);
  for (const HostTensor* tensor : order) output.write(tensor->bytes);
  if (check) check(output.temporary());
  output.commit();
}

}  // namespace bsq
