// What formats that run what they have written have in common: the pictures, and what is said of accuracies.
#pragma once

#include "engine/run/console.h"
#include "tools/session/evaluate_model.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace bsq {

struct VerificationImages {
  std::unique_ptr<const Dataset> images;
  std::string what;  // `test images of cifar10`
  bool is_stand_in = false;
};

/// Test images of the configured data, or images of the synthetic set if the data is not there.
VerificationImages verification_images(const Config& config, Console& console);
/// How many of them a file is run on.
int verified_count(const Dataset& images);
/// Those, [H, W, 3] of bytes each.
std::vector<std::uint8_t> verified_pictures(const Dataset& images);

/// Accuracies stand side by side, never one alone.
std::string accuracy_text(const EvaluationJob& job, Backend& backend, Console& console);
/// What is said of filters that were rounded; empty if none were.
std::string rounded_text(const std::vector<std::string>& rounded);

}  // namespace bsq
