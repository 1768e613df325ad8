// Learning-rate schedules: pure functions of the epoch.
#pragma once

#include "engine/config/config.h"

#include <cmath>
#include <numbers>

namespace bsq {

/// Of an epoch, counted from 0. The first `warmup_epochs` rise to the full rate in equal steps (PyTorch's LinearLR).
/// Milestones: lr * gamma^(milestones passed) (MultiStepLR). Cosine: half a wave over the epochs after the warm-up,
/// which would be 0 after the last of them (CosineAnnealingLR).
inline double learning_rate(const StageConfig& stage, int epoch) {
  const int warmup = stage.warmup_epochs;
  if (stage.schedule == "cosine" && epoch >= warmup)
    return stage.lr * 0.5 * (1 + std::cos(std::numbers::pi * (epoch - warmup) / (stage.epochs - warmup)));
  const double risen = epoch < warmup ? stage.lr * (epoch + 1) / warmup : stage.lr;
  if (stage.schedule == "cosine") return risen;
  int passed = 0;
  for (const int milestone : stage.milestones) passed += epoch >= milestone;
  return risen * std::pow(stage.gamma, passed);
}

}  // namespace bsq
