// Which operations on levels the nodes of a network become: a convolution and the norm behind it are one, an addition
// has both of its terms as levels.
#pragma once

#include "engine/network/layers/activation.h"
#include "engine/network/network.h"

#include <string>
#include <vector>

namespace bsq {

enum class LevelKind : std::uint8_t { convolution, sum, maximum, concat, flatten };

/// One operation, which writes one tensor of levels. Nodes are numbers of the network's list, -1: none.
struct PlannedLevels {
  std::string name;
  LevelKind kind = LevelKind::convolution;
  std::vector<int> inputs;        // numbers of level tensors; 0: the picture; operation i writes i + 1
  int product = -1;               // of a convolution: the conv2d or linear; without one it multiplies nothing
  int affine = -1;                // of a convolution: the norm_act or bias_act that it applies
  int pool = -1;                  // of a maximum: the layer; of a convolution: the layer whose windows it averages
  bool activates = false;         // `activation` is applied
  ActivationPart activation;      // of `affine`, or of the node that adds
  TensorId traced = -1;           // the numbers that the levels stand for, in a run of the network ...
  bool is_before_affine = false;  // ... before `affine` has been applied to them

  /// Whether the grid of the output is that of the input.
  bool keeps_grid() const { return kind == LevelKind::maximum || kind == LevelKind::flatten; }
  /// Whether the grid of the output is that of a quantizer of the network.
  bool has_quantizer() const { return activates && activation.act_bits > 0; }
  /// Whether the grid of the output has to be found by running the network.
  bool needs_range() const { return !keeps_grid() && !has_quantizer(); }
};

struct DeploymentPlan {
  std::vector<PlannedLevels> levels;
  int head = -1;         // node of the last linear layer
  int head_input = -1;   // number of a level tensor, the average of whose pixels is what the head reads
  std::string obstacle;  // why the network has no such form; empty: it has
};

DeploymentPlan plan_deployment(const Network& network);

}  // namespace bsq
