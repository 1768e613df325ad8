// What the functions of operators share: checks of a node, its attributes and inputs, and the table that they are in.
#pragma once

#include "kernels/base/error.h"
#include "tools/export/onnx/evaluator.h"

#include <algorithm>
#include <span>
#include <string>
#include <vector>

namespace bsq {

template <typename... Args>
[[noreturn]] void refuse(const OnnxNode& node, fmt::format_string<Args...> format, Args&&... args) {
  fail(ErrorKind::verification, "ONNX node {} ({}): {}", node.name, node.op,
       fmt::format(format, std::forward<Args>(args)...));
}

inline void check(bool holds, const OnnxNode& node, const char* what) {
  if (!holds) refuse(node, "{}", what);
}

template <typename T>
T attribute(const OnnxNode& node, const std::string& name, const T& otherwise) {
  const auto found = node.attributes.find(name);
  if (found == node.attributes.end()) return otherwise;
  const T* value = std::get_if<T>(&found->second);
  if (value == nullptr) refuse(node, "attribute {} is of another type", name);
  return *value;
}

/// What a node reads, and how large what it makes may be.
struct Inputs : std::vector<const GraphTensor*> {
  std::int64_t most_numbers = 0;

  /// Dims of the node's output, once it is known that they are none too many.
  std::vector<std::int64_t> output_dims(const OnnxNode& node, const std::vector<std::int64_t>& dims) const {
    std::int64_t count = 1;
    for (const std::int64_t dim : dims) {
      check(dim > 0 && dim <= most_numbers / count, node, "makes a tensor that is empty or too large");
      count *= dim;
    }
    return dims;
  }
};

inline GraphTensor same_shape(const GraphTensor& x) {
  return {x.dims, std::vector<float>(x.values.size())};
}

inline float scalar(const OnnxNode& node, const GraphTensor& x) {
  check(x.numel() == 1, node, "wants a scalar");
  return x.values[0];
}

struct OnnxOperator {
  const char* op;
  GraphTensor (*run)(const OnnxNode&, const Inputs&, RoundingGuide*);
};

/// Operators that look at the places of numbers in an image.
std::span<const OnnxOperator> image_operators();

}  // namespace bsq
