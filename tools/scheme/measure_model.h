// A sensitivity by the engine's evaluator, on the device that a command computes on.
#pragma once

#include "engine/config/config.h"
#include "engine/input/dataset.h"
#include "engine/run/console.h"
#include "kernels/backend.h"
#include "kernels/ranks/communicator.h"
#include "tools/scheme/sensitivity.h"

namespace bsq {

struct MeasurementPlan {
  const OpenModel& model;
  const Config& config;   // activations, normalization, batches, precision
  const Dataset& images;  // a loss is the mean over them
  std::string set;        // what they are of: train or test
  int probes = 0;         // of the Hessian, per layer; 0: none
};

/// Batch norms and activation scales are those of evaluation. Weights lie in a store of floats, so that those of one
/// layer can be changed in place; in bf16 it rounds them to 8 bits, which hides what 7 or 8 bits of a layer cost.
Sensitivity measure_model(const MeasurementPlan& plan, Backend& backend, Communicator& communicator, Console& console);

}  // namespace bsq
