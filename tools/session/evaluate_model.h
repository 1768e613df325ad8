// The accuracy of a model in each arithmetic that it has, side by side.
#pragma once

#include "engine/deployed/deployed_run.h"
#include "engine/training/evaluator.h"
#include "tools/session/open_model.h"

#include <optional>

namespace bsq {

struct Accuracies {
  EvalResult trained;                    // activations scaled as in training, or not quantized
  bool uses_batch_max = false;           // in training: by the maximum of each batch
  std::optional<EvalResult> calibrated;  // by calibrated scales, if the configuration asks for them
  std::optional<EvalResult> deployed;    // METHOD 16, if asked for
};

struct EvaluationJob {
  const OpenModel& model;
  Weights weights;  // those of the model, or others of its network
  const Config& config;
  const Dataset& images;
  const DeployedNetwork* deployed = nullptr;  // the same in integers, if that is asked for
  Arithmetic arithmetic = Arithmetic::integers;
};

/// Throws Error(usage) if the model lacks what was asked for.
Accuracies evaluate_model(const EvaluationJob& job, Backend& backend, Communicator& ranks, Console& console);

}  // namespace bsq
