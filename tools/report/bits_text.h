// The bits of a model as a person reads them and as JSON: bits of every layer, ones of every plane, and the compression
// ratio in its honest forms.
#pragma once

#include "engine/model/bit_summary.h"
#include "tools/report/table.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>

namespace bsq {

/// One row per tensor: name, shape, weights, bits, zeros, scale, ones of each plane.
Table layer_table(const BitSummary& summary);
/// The compression ratio by each rule of counting. `file_bytes`: the size of the model's file, `packed` or not.
Table compression_table(const BitSummary& summary, std::uintmax_t file_bytes, bool packed = false);
/// What of the network is float: parameters and statistics, with their bytes, and what quantized layers read.
Table float_table(const BitSummary& summary);
nlohmann::ordered_json to_json(const BitSummary& summary, std::uintmax_t file_bytes);

/// `9.14x`.
std::string ratio_text(double ratio);
/// `16x3x3x3`.
std::string shape_text(const std::vector<std::int64_t>& shape);

}  // namespace bsq
