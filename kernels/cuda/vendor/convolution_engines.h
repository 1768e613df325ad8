// The engines that cuDNN's heuristics name for one pass of a convolution, which is a graph of one operation.
#pragma once

#include "kernels/cuda/vendor/cudnn.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bsq::cuda {

/// The ids of the tensors of the graph in a plan.
enum ConvTensorUid : std::int64_t { kInputUid = 1, kWeightUid = 2, kOutputUid = 3 };

/// An engine with its knobs set, and what cuDNN says about it.
struct ConvEngine {
  CudnnDescriptor config;
  std::int64_t index = 0;
  std::vector<cudnnBackendNumericalNote_t> numerics;
  std::vector<cudnnBackendBehaviorNote_t> behavior;
  std::string found_by;

  bool uses_tensor_cores() const;
};

/// "TENSOR_CORE, DOWN_CONVERT_INPUTS": cuDNN's names without their common beginning.
std::string names_of(const std::vector<cudnnBackendNumericalNote_t>& notes);
std::string names_of(const std::vector<cudnnBackendBehaviorNote_t>& notes);

/// Whether an engine gives the same bits in every run and rounds no operand below what `dtype` promises, as far as
/// cuDNN says. Its documentation names algorithms that are not reproducible (the first and the last of backward filter,
/// the first of backward data), but of functions that are not used here, and engines have other numbers: engines have
/// the note NONDETERMINISTIC. Whether the note can be trusted is tried out on the device (plan_trial.h).
bool is_exact_enough(const std::vector<cudnnBackendNumericalNote_t>& notes, DType dtype, bool allow_tf32);

class ConvGraph {
 public:
  /// Nothing if cuDNN does not know such an operation. The pass backward_weight writes float32.
  static std::optional<ConvGraph> of(const CudnnTarget& target, const ConvGeometry& geometry, ConvPass pass);

  /// The engines, best first; none if the heuristics do not know the graph.
  std::vector<ConvEngine> named_by(cudnnBackendHeurMode_t mode) const;

 private:
  ConvGraph(const CudnnTarget& target, CudnnDescriptor graph) : target_(target), graph_(std::move(graph)) {}

  CudnnTarget target_;
  CudnnDescriptor graph_;
};

}  // namespace bsq::cuda
