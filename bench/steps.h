// Rows of the suite `step`: whole training steps of a CIFAR ResNet, float, BSQ and finetuning.
//
// Steps of one type take turns, so that a machine that slows down slows all. FLOPs and bytes are those of the list of
// kernels in roofline_model.h; so is the number of kernels, which launches bound a step by.
#pragma once

#include "bench/peaks.h"
#include "bench/plugin.h"
#include "bench/results.h"

#include <string>
#include <vector>

namespace bsq::bench {

struct StepRow {
  std::string mode;
  Type type;
  Result result;  // without times
};

std::vector<StepRow> step_rows(const std::vector<Type>& types, const Options& options);

/// Adds times to rows, which are of one type.
void measure_steps(std::vector<StepRow>& rows, const Options& options);

}  // namespace bsq::bench
