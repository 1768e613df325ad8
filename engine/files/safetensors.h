// Tensors in files: the safetensors format, as the Python library of that name reads and writes it.
//
// Layout: u64 little-endian length of the header; the header, a JSON object {name: {dtype, shape, data_offsets}} that
// may hold {"__metadata__": {string: string}}; then the data, without gaps or overlaps, offsets counted from its start.
// Written with the widest elements first and the header padded to 8 bytes, so that every tensor is aligned when the
// file is mapped. A file is hostile input: every number in it is checked against the size of the file before memory is
// taken for it. Format: https://huggingface.co/docs/safetensors. Shapes are PyTorch's (OIHW).
#pragma once

#include "kernels/base/error.h"
#include "kernels/types.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace bsq {

/// The element type that holds T; bf16 travels as its 16 bits.
template <typename T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>)
    return DType::f32;
  else if constexpr (std::is_same_v<T, std::uint16_t>)
    return DType::bf16;
  else if constexpr (std::is_same_v<T, std::uint8_t>)
    return DType::u8;
  else if constexpr (std::is_same_v<T, std::int32_t>)
    return DType::i32;
  else if constexpr (std::is_same_v<T, std::int64_t>)
    return DType::i64;
  else {
    static_assert(std::is_same_v<T, double>, "no DType for this element type");
    return DType::f64;
  }
}

/// A named tensor in host memory, dense and row-major; a scalar has an empty shape.
struct HostTensor {
  std::string name;
  DType dtype = DType::f32;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;

  std::int64_t numel() const {
    std::int64_t count = 1;
    for (const std::int64_t dim : shape) count *= dim;
    return count;
  }

  /// The elements. Throws Error(checkpoint) if the tensor is of another type.
  template <typename T>
  std::span<const T> values() const {
    if (dtype != dtype_of<T>()) {
      fail(ErrorKind::checkpoint, "tensor '{}' is {}, expected {}; was it written for something else?", name,
           name_of(dtype), name_of(dtype_of<T>()));
    }
    return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
  }

  template <typename T>
  static HostTensor from(std::string name, std::vector<std::int64_t> shape, std::span<const T> values) {
    HostTensor tensor{std::move(name), dtype_of<T>(), std::move(shape), {}};
    require(tensor.numel() == static_cast<std::int64_t>(values.size()), "tensor '{}': {} values for a shape of {}",
            tensor.name, values.size(), tensor.numel());
    tensor.bytes.resize(values.size_bytes());
    if (!values.empty()) std::memcpy(tensor.bytes.data(), values.data(), values.size_bytes());
    return tensor;
  }
};

struct TensorFile {
  std::map<std::string, std::string> metadata;
  std::vector<HostTensor> tensors;  // sorted by name after reading
  std::filesystem::path path;       // where it was read from, for messages; empty otherwise
  int halves = 0;                   // how many tensors of float16 were read, as f32

  /// Null if there is none of that name.
  const HostTensor* find(const std::string& name) const;
  /// Throws Error(checkpoint) if there is none of that name.
  const HostTensor& at(const std::string& name) const;
};

/// float16, which nothing here computes with, is read as float32. Throws Error(checkpoint) naming the file, and the
/// tensor if it is one tensor's fault.
TensorFile read_safetensors(const std::filesystem::path& path);
/// The same of the bytes of a file; errors call it `name`.
TensorFile parse_safetensors(std::span<const std::byte> bytes, const std::filesystem::path& name);

/// Whether the file begins as PyTorch's do, zip archives and pickles, whatever its name. Throws as read_safetensors().
bool is_pytorch_file(const std::filesystem::path& path);

/// Makes float32 of tensors of other floating-point types. Returns how many there were.
int widen_to_float32(TensorFile& file);
/// Throws Error(checkpoint) naming file and tensor if a number is NaN or infinite: neither is a weight, and results
/// made of them look like results.
void check_finite(const TensorFile& file);

/// How large the file will be that write_safetensors() makes of it.
std::uint64_t safetensors_bytes(const TensorFile& file);
/// Atomic (engine/files/atomic_file.h): a failure leaves the old file as it was and throws Error(checkpoint). `check`
/// may look at the file before it gets its name, and refuse it by an Error of its own.
void write_safetensors(const std::filesystem::path& path, const TensorFile& file,
                       const std::function<void(const std::filesystem::path& temporary)>& check = {});

}  // namespace bsq
