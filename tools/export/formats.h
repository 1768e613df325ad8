// The formats of `bsq export`: one row per format, and what they share.
//
// A format writes to a temporary file, reads that back and compares it with the model; only then it gets its name.
#pragma once

#include "engine/config/config.h"
#include "engine/run/console.h"
#include "tools/session/open_model.h"

#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>

namespace bsq {

/// The opsets of ONNX that bsq writes.
constexpr int kLeastOpset = 13;
constexpr int kMostOpset = 25;

struct ExportJob {
  OpenModel model;
  Config config;  // how it is run
  std::filesystem::path output;
  std::optional<int> opset;      // for a format that has opsets
  std::string min_container;     // for a format that has types below a byte; empty: int8
  std::string runtime;           // for a format that is written for runtimes; empty: what suits the model
  bool byte_input = false;       // likewise: pictures as bytes
  std::string optimize;          // for a format that has goals: speed or size; empty: speed
  bool names_act_scale = false;  // whether a person has said quant.act_scale
};

/// What a person is told.
struct ExportOutcome {
  std::string what;      // `ONNX opset 21, weights in INT4 and INT8`
  std::string verified;  // how it was verified, or why it was not
  bool is_verified = true;
  std::vector<std::string> notes = {};                // lines of their own
  std::optional<std::uintmax_t> constant_bytes = {};  // of a text: what it holds, once it is compiled
};

struct ExportFormat {
  const char* name;
  const char* meaning;
  const char* ending;         // of the names of its files
  const char* second_ending;  // of a second file beside each; null: there is none
  const char* default_infix;  // between `model` and the ending in the name of a file
  bool wants_levels;          // the weights must have bit widths
  bool has_opsets;
  bool has_small_types;
  bool has_runtimes;
  bool has_goals;     // it can be written for speed or for size
  void (*require)();  // throws Error(usage) if this bsq cannot write it; null: it always can
  /// Throws Error(verification) if what has been written is not the model, Error(checkpoint) if it cannot be written.
  ExportOutcome (*write)(const ExportJob&, Console&);
};

std::span<const ExportFormat> export_formats();
/// Throws Error(usage).
const ExportFormat& export_format(const std::string& name);
/// `float, packed or onnx`: the names of the formats with the property `takes`, or of all.
std::string format_names(bool ExportFormat::*takes = nullptr, const char* last = "or");

ExportOutcome export_float(const ExportJob& job, Console& console);
ExportOutcome export_packed(const ExportJob& job, Console& console);
ExportOutcome export_deployed(const ExportJob& job, Console& console);
ExportOutcome export_onnx(const ExportJob& job, Console& console);
ExportOutcome export_qonnx(const ExportJob& job, Console& console);
ExportOutcome export_c(const ExportJob& job, Console& console);

/// What the metadata of a model say of pictures before the network sees them, and of its answers: what exported files
/// say too.
std::map<std::string, std::string> picture_metadata(const ModelCard& card);

}  // namespace bsq
