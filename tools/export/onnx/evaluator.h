// Runs an ONNX graph: the plain meaning of every operator that network_graph writes, and of no other. Knows nothing of
// the engine, so that the two can be compared.
//
// Tensors are float32, sums are double. An operator, attribute or shape that bsq would not have written throws
// Error(verification).
#pragma once

#include "tools/export/onnx/graph.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace bsq {

struct GraphTensor {
  std::vector<std::int64_t> dims;
  std::vector<float> values;
  OnnxType type = OnnxType::float32;  // of the file; what is computed is float32

  std::int64_t numel() const { return static_cast<std::int64_t>(values.size()); }
};

/// The levels that another program rounded activations to, by the name of the rounding node. Float32 sums differ in
/// their last bits, and a number halfway between two levels falls to either side, after which everything differs a
/// little. So if the two programs disagree about such a tie, the level of the other one is taken, and counted. If the
/// number is farther than `reach` (as a share of all levels) from the middle, it counts as a disagreement.
struct RoundingGuide {
  std::map<std::string, GraphTensor> levels;
  double reach = 2e-5;
  /// The least and the largest level: others are cut off behind the rounding node of this name.
  std::map<std::string, std::pair<double, double>> limits = {};
  std::int64_t rounded = 0;        // numbers that were compared
  std::int64_t ties = 0;           // of these, decided by the other program
  std::int64_t disagreements = 0;  // of these, different without a tie
};

/// `most_numbers`: of a tensor; a node that would make a larger one is an error before memory is taken for it.
GraphTensor evaluate_graph(const OnnxModel& model, const GraphTensor& input, RoundingGuide* guide = nullptr,
                           std::int64_t most_numbers = std::int64_t{1} << 32);

}  // namespace bsq
