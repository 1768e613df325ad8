// What the formats of `bsq export` share: the model to export, and what is said of a file that has been written.
//
// A format writes to a temporary file, reads that back and compares it with the model; only then it gets its name.
#pragma once

#include "engine/config/config.h"
#include "engine/model/stored_weights.h"
#include "engine/network/network.h"
#include "engine/run/console.h"

#include <filesystem>
#include <optional>
#include <string>

namespace bsq {

struct ExportJob {
  std::string format;
  TensorFile file;      // the model, in any form
  HostWeights weights;  // its quantizable weights
  Config config;        // how it is run
  std::filesystem::path output;
  std::optional<int> opset;
  bool int8_at_least = false;
};

/// Lines for a person.
struct ExportOutcome {
  std::string what;      // `ONNX opset 21, weights in INT4 and INT8`
  std::string verified;  // how
};

/// Throws Error(verification) where what has been written is not the model, Error(checkpoint) where it cannot be.
ExportOutcome export_float(const ExportJob& job);
ExportOutcome export_packed(const ExportJob& job);
ExportOutcome export_onnx(const ExportJob& job, Console& console);  // and qonnx

}  // namespace bsq
