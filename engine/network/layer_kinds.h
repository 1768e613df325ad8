// The table of layers that a network can be made of: one line per kind. Each kind declares its options, and its
// parameters and states with their roles, in network/layers/.
//
//   conv2d        reads an image; out, kernel (3), stride (1), padding (kernel / 2), quantized (false),
//                 initializer (he_fan_out | torch_default)
//   norm_act      reads an image and perhaps a second one of the same shape, which is added before the activation;
//                 quantized (false: the activations), activation (relu | relu6 | pact | none | configured, which is
//                 that of the stage; relu, or configured if quantized), activation_name (<node>.act: parameters and
//                 states of the activation are called by it)
//   average_pool  reads an image
//   linear        reads the numbers of an average_pool; out, quantized (false: weight and bias)
//
// A quantized layer gives weights bit widths; a quantized norm_act has activations of the stage's width.
#pragma once

#include "engine/network/network.h"
#include "engine/network/network_spec.h"
#include "engine/network/quantizer.h"

#include <memory>
#include <span>
#include <vector>

namespace bsq {

/// A request for the layer of one node.
struct LayerRequest {
  Network& network;  // the network so far; gets the parameters and states of the layer
  const NodeSpec& node;
  int number = 0;  // of the node
  std::span<const TensorId> ids;
  std::span<const TensorSpec> inputs;  // for a batch of one, in float32
  const Quantizer& quantizer;

  NodeOptions options() const { return {number, node}; }
  /// Throws a SpecError about this node, as all members do.
  [[noreturn]] void refuse(const std::string& what) const;
  void want_inputs(std::size_t least, std::size_t most) const;
  /// The shape [1, H, W, C] of an input, which must be an image.
  const Shape& image(std::size_t input) const;
};

struct LayerKind {
  const char* name;
  std::unique_ptr<Layer> (*make)(const LayerRequest&);
};

std::span<const LayerKind> layer_kinds();

/// Makes the network of a spec. Throws SpecError if it cannot be run.
Network build_network(const NetworkSpec& spec, const Quantizer& quantizer = {});

}  // namespace bsq
