// Learning-rate schedules: pure functions of the epoch.
#pragma once

#include "engine/config/config.h"

#include <cmath>

namespace bsq {

/// lr * gamma^(milestones passed), epochs from 0 (PyTorch's MultiStepLR).
inline double learning_rate(const StageConfig& stage, int epoch) {
  int passed = 0;
  for (const int milestone : stage.milestones) passed += epoch >= milestone;
  return stage.lr * std::pow(stage.gamma, passed);
}

}  // namespace bsq
