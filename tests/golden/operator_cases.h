// One case of a trace of kind = operator_cases, and the operations that have a file of their own.
#pragma once

#include "engine/memory/device_memory.h"
#include "engine/network/parameters.h"
#include "tests/golden/trace.h"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace bsq::golden {

/// One case, as a backend runs it.
struct OperatorCase {
  Backend& backend;
  const TensorFile& trace;
  const nlohmann::json& entry;
  std::string prefix;  // caseNN
  std::string title;   // of its rows
  Comparison& comparison;

  std::string tensor(const std::string& name) const { return prefix + "." + name; }
  int integer(const char* key) const { return entry.at(key).get<int>(); }
  /// Of an NCHW or OIHW tensor, [N, H, W, C].
  Shape channels_last(const std::string& name) const {
    const HostTensor& stored = trace.at(tensor(name));
    if (stored.shape.size() != 4) fail(ErrorKind::checkpoint, "{}: expected four dimensions", stored.name);
    return {stored.shape[0], stored.shape[2], stored.shape[3], stored.shape[1]};
  }
  /// Its values in that order.
  std::vector<float> values(const std::string& name) const {
    const auto stored = trace.at(tensor(name)).values<float>();
    return from_file_layout({stored.begin(), stored.end()}, channels_last(name));
  }
  Buffer uploaded(const std::vector<float>& from) const {
    Buffer buffer(backend, from.size() * sizeof(float));
    upload_array(backend, buffer.as<float>(), from);
    return buffer;
  }
  void check(const std::string& name, double error, double tolerance) const {
    comparison.check(title + ": " + name, error, tolerance);
  }
};

void compare_max_pool(const OperatorCase& c);
void compare_average_pool(const OperatorCase& c);

}  // namespace bsq::golden
