// ONNX models to and from the bytes of a file, by libbsq_onnx.so, which is loaded on first use.
#pragma once

#include "tools/export/onnx/graph.h"

#include <string>

namespace bsq {

/// One line: the version of protobuf, or why there is none.
std::string describe_onnx();
/// Throws Error(usage) if this bsq is built without ONNX.
void require_onnx();

std::string onnx_bytes(const OnnxModel& model);
/// Throws Error(verification) if the bytes are no model that bsq may have written.
OnnxModel parse_onnx(const std::string& bytes);

}  // namespace bsq
