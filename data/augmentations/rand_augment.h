// Policies: operations that are drawn for every picture. RandAugment (Cubuk et al., "RandAugment: practical automated
// data augmentation with a reduced search space", 2020), with the operations of torchvision's.
#pragma once

#include "data/augmentations/augmentation.h"

#include <string>
#include <vector>

namespace bsq {

struct PolicyConfig {
  std::string policy = "none";  // or rand_augment
  int rand_augment_ops = 2;
  int rand_augment_magnitude = 9;
};

/// An operation: what it is called, and what it does at a magnitude.
struct RandAugmentOperation {
  static constexpr int largest_magnitude = 30;

  std::string name;
  bool is_signed = false;  // goes the other way with probability 1/2
  /// `magnitude` 0 .. largest_magnitude, negative for the other way.
  void (*apply)(const PictureView& picture, int magnitude) = nullptr;
};

/// All that RandAugment draws from, each with the same probability.
const std::vector<RandAugmentOperation>& rand_augment_operations();

// The line of the table.
void add_policy_keys(ConfigSchema& schema);
std::unique_ptr<const PictureAugmentation> make_policy(const Config& config);

}  // namespace bsq
