// A network in double precision and plain loops, from its spec alone: what float32 engines are measured by.
#pragma once

#include "engine/network/network.h"
#include "engine/network/network_spec.h"

#include <map>
#include <string>
#include <vector>

namespace bsq::test {

/// By the names of parameters and states, in the layout of memory.
using DoubleValues = std::map<std::string, std::vector<double>>;

/// Nothing is quantized and no dropout drops; activations are the node's, or a plain ReLU.
class DoubleNetwork {
 public:
  /// `network` is made of the spec and gives the shapes.
  DoubleNetwork(const NetworkSpec& spec, const Network& network) : spec_(spec), network_(network) {}

  /// Logits [batch, classes] of images [batch, H, W, 3]. `training`: batch norms take the statistics of the batch.
  std::vector<double> forward(const DoubleValues& values, const std::vector<float>& images, int batch,
                              bool training) const;

 private:
  const NetworkSpec& spec_;
  const Network& network_;
};

}  // namespace bsq::test
