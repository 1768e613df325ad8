#include "tools/export/onnx/runtimes.h"

#include <array>

namespace bsq {
namespace {

constexpr std::array kRuntimes = {
    Runtime{"onnxruntime", "integers from the first convolution to the last addition", Arithmetic::integers,
            ByteKind::any_zero},
    Runtime{"openvino", "the same, but for additions, which are a part of their convolution", Arithmetic::fused,
            ByteKind::any_zero},
    Runtime{"tensorrt", "the same with INT8 alone, whose zero points are 0", Arithmetic::fused_first,
            ByteKind::signed_zero},
};

}  // namespace

std::span<const Runtime> runtimes() {
  return kRuntimes;
}

const Runtime* find_runtime(std::string_view name) {
  for (const Runtime& runtime : kRuntimes)
    if (name == runtime.name) return &runtime;
  return nullptr;
}

}  // namespace bsq
