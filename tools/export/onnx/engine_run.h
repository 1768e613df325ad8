// The engine's side of a comparison with a graph: a batch of images, its logits, and the levels that the activations
// of every quantizer were rounded to, in the layouts of ONNX.
#pragma once

#include "engine/input/dataset.h"
#include "engine/model/stored_weights.h"
#include "engine/network/network.h"
#include "engine/training/evaluator.h"
#include "tools/export/onnx/evaluator.h"

namespace bsq {

struct EngineRun {
  GraphTensor images;
  GraphTensor logits;
  RoundingGuide guide;
};

/// Runs the first `batch` images in float32. `plain`: the file with what the network has besides its quantizable
/// weights.
EngineRun run_engine(Backend& backend, Network network, const TensorFile& plain, const Weights& weights,
                     const Dataset& images, const InputOptions& input, int batch);

struct LogitComparison {
  double largest_difference = 0;  // infinite if one of the two is no number
  double largest_logit = 0;       // of the expected ones
  std::int64_t same_class = 0;    // images that both put into the same class
  std::int64_t images = 0;
};

/// Compares logits, both [N, classes].
LogitComparison compare_logits(const GraphTensor& expected, const GraphTensor& found);

}  // namespace bsq
